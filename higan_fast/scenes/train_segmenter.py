"""Trains the embedded segmentation head: ``python -m higan_fast.scenes.train_segmenter --out runs/segm``.

It learns from rendered rooms and their exact masks, never from generated ones. No room comes twice. Blur,
noise and other contrasts make it robust to a generator's softer pictures. Repeat the command to continue an
earlier run; with another ``--num``, its learning rate then falls towards that end.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import click
import torch
import torch.nn.functional as F
from torch import Tensor

from higan_fast.files import write_whole
from higan_fast.predictors.segmenter import RoomSegmenter, load_room_segmenter, save_room_segmenter
from higan_fast.scenes.classes import CLASSES
from higan_fast.scenes.factors import sample_factors
from higan_fast.scenes.renderer import RENDERER_VERSION, render_with_masks
from higan_fast.scenes.train_predictor import HELD_OUT, HELD_OUT_SEED, softened

BATCH_SIZE = 16
LEARNING_RATE = 3e-3
WARM_UP = 0.05  # share of the training in which the learning rate rises
SNAPSHOT_STEPS = 500  # between two checkpoints


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the training run.")
@click.option("--num", default=24_000, show_default=True, help="Rendered rooms to train on in total.")
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=None, type=int, help="CPU threads; use 1 next to other work.")
@click.option("--bfloat16/--float32", default=False, help="Multiply in bfloat16; faster where a CPU can.")
def main(out: Path, num: int, seed: int, threads: int | None, bfloat16: bool) -> None:
    """Train the segmentation head of the embedded world, or continue training it."""
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    segmenter = RoomSegmenter(CLASSES)
    optimizer = torch.optim.AdamW(segmenter.parameters(), LEARNING_RATE, weight_decay=1e-2)
    checkpoint, first, last = out / "checkpoint.pt", 0, num // BATCH_SIZE
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        segmenter.load_state_dict(state["segmenter"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        first = state["steps"]
    begin = time.monotonic()
    for step in range(first, last):
        rooms = sample_factors(seed, range(step * BATCH_SIZE, (step + 1) * BATCH_SIZE))
        images, masks = render_with_masks(rooms)
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * _rate(step / last)
        segmenter.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            logits = segmenter(_disguised(images.float() / 127.5 - 1))
        loss = _loss(logits.float(), masks.long())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        done = step + 1
        if done % 50 == 0:
            rate = (done - first) / (time.monotonic() - begin)
            click.echo(
                f"{done * BATCH_SIZE:8,} rooms  {rate * BATCH_SIZE:6.1f} img/s  "
                f"{(last - done) / rate / 60:4.0f} min left  loss {loss.item():.4f}"
            )
        if done % SNAPSHOT_STEPS == 0 or done == last:
            parts = {"segmenter": segmenter.state_dict(), "optimizer": optimizer.state_dict()}
            with write_whole(checkpoint) as file:
                torch.save({**parts, "random": torch.get_rng_state(), "steps": done}, file)
            click.echo(f"mean IoU {evaluate(segmenter, 256)['mean']:.4f} on 256 rooms that it never saw")
    about = {
        "trained_on": f"masks of higan_fast.scenes, renderer version {RENDERER_VERSION}",
        "renders": num,
        "seed": seed,
    }
    save_room_segmenter(segmenter, out / "segmenter.safetensors", about)
    for name, value in evaluate(load_room_segmenter(out / "segmenter.safetensors")).items():
        click.echo(f"IoU {name:8} {value:.4f}")


@torch.inference_mode()
def evaluate(segmenter: RoomSegmenter, num: int = HELD_OUT) -> dict[str, float]:
    """Returns the intersection over union of each class, and their mean, on ``num`` renders never trained on.

    The pixels of all renders are counted together, crisp images, the most likely class of each pixel.
    """
    segmenter.eval()
    classes = len(segmenter.classes)
    pairs = torch.zeros(classes * classes, dtype=torch.int64)
    for start in range(0, num, 64):
        rooms = sample_factors(HELD_OUT_SEED, range(start, min(start + 64, num)))
        images, masks = render_with_masks(rooms)
        named = segmenter(images.float() / 127.5 - 1).argmax(1)
        pairs += torch.bincount((masks.long() * classes + named).flatten(), minlength=classes * classes)
    pairs = pairs.view(classes, classes)  # [true, named]
    both = pairs.diagonal()
    each = both / (pairs.sum(0) + pairs.sum(1) - both)
    return {**dict(zip(segmenter.classes, each.tolist(), strict=True)), "mean": each.mean().item()}


def _loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy, plus one minus the mean soft IoU: small classes count as much as walls."""
    share = logits.softmax(1)  # [N, K, R, R]
    true = F.one_hot(masks, logits.shape[1]).movedim(3, 1).float()
    both = (share * true).sum([0, 2, 3])
    either = (share + true - share * true).sum([0, 2, 3])
    return F.cross_entropy(logits, masks) + 1 - ((both + 1) / (either + 1)).mean()


def _disguised(images: Tensor) -> Tensor:
    """Blurs and adds noise as for the predictor; changes contrast and brightness of each image a little."""
    images = softened(images)
    contrast = 1 + 0.15 * (2 * torch.rand(len(images), 1, 1, 1) - 1)
    return images * contrast + 0.1 * (2 * torch.rand(len(images), 1, 1, 1) - 1)


def _rate(progress: float) -> float:
    """The share of the full learning rate: a short rise, then half a cosine down to 0."""
    if progress < WARM_UP:
        return (progress + 1e-3) / (WARM_UP + 1e-3)
    return 0.5 + 0.5 * math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))


if __name__ == "__main__":
    main()
