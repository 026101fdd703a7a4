"""Trains the embedded predictor: ``python -m higan_fast.scenes.train_predictor --out runs/predictor``.

It learns from rendered rooms only, never from generated ones. A little blur and noise make it robust to a
generator's softer pictures. Repeat the command to continue an earlier run.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import r2_score, roc_auc_score
from torch import Tensor

from higan_fast.files import write_whole
from higan_fast.predictors.scenes import ScenePredictor, save_scene_predictor
from higan_fast.scenes.dataset import SceneDataset
from higan_fast.scenes.factors import CONTINUOUS, SEMANTICS

BATCH_SIZE = 64
LEARNING_RATE = 3e-3
CONTINUOUS_WEIGHT = 20.0  # weight of squared errors (of values in [0, 1]) relative to cross-entropies
HELD_OUT_SEED = 1_000_003  # a world that is never trained on
HELD_OUT = 4096


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the training run.")
@click.option("--num", default=65_536, show_default=True, help="Rendered rooms to train on.")
@click.option("--epochs", default=10, show_default=True)
@click.option(
    "--cache", type=click.Path(path_type=Path), help="Folder of rendered rooms; default: OUT/renders."
)
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=None, type=int, help="CPU threads; use 1 next to other work.")
def main(out: Path, num: int, epochs: int, cache: Path | None, seed: int, threads: int | None) -> None:
    """Train the predictor of the embedded world, or continue training it."""
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    predictor = ScenePredictor(SEMANTICS, CONTINUOUS)
    optimizer = torch.optim.AdamW(predictor.parameters(), LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, epochs * (num // BATCH_SIZE))
    parts: dict[str, Any] = {"predictor": predictor, "optimizer": optimizer, "schedule": schedule}
    checkpoint, first = out / "checkpoint.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        first = state["epoch"]
    dataset = SceneDataset(seed, cache=cache or out / "renders")
    dataset.prerender(num)
    begin = time.monotonic()
    for epoch in range(first, epochs):
        order = np.random.default_rng([seed, epoch]).permutation(num)
        predictor.train()
        for step, start in enumerate(range(0, num - BATCH_SIZE + 1, BATCH_SIZE)):
            images, factors = dataset.batch(order[start : start + BATCH_SIZE])
            loss = _loss(predictor, softened(images.float() / 127.5 - 1), factors)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            if step % 200 == 0:
                rate = ((epoch - first) * num + start + BATCH_SIZE) / (time.monotonic() - begin)
                click.echo(
                    f"epoch {epoch + start / num:6.2f} of {epochs}  {rate:6.1f} img/s  loss {loss.item():.4f}"
                )
        with write_whole(checkpoint) as file:
            torch.save(
                {**{name: part.state_dict() for name, part in parts.items()}, "epoch": epoch + 1}, file
            )
        click.echo("  ".join(f"{name} {value:.4f}" for name, value in evaluate(predictor).items()))
    about = {"renders": num, "epochs": epochs, "seed": seed, "held_out": evaluate(predictor)}
    save_scene_predictor(predictor, out / "predictor.safetensors", about)


@torch.inference_mode()
def evaluate(predictor: ScenePredictor, num: int = HELD_OUT) -> dict[str, float]:
    """Returns AUC (binary semantics) and R² (continuous ones) on renders of a world never trained on."""
    predictor.eval()
    images, factors = SceneDataset(HELD_OUT_SEED).batch(range(num))
    scores = torch.cat(
        [predictor(batch.float() / 127.5 - 1) for batch in images.split(256)]
    ).numpy()  # [N, S]
    measured = {}
    for column, name in enumerate(predictor.names):
        measure = r2_score if name in predictor.continuous else roc_auc_score
        measured[name] = float(measure(factors[:, column], scores[:, column]))
    return measured


def _loss(predictor: ScenePredictor, images: Tensor, factors: Tensor) -> Tensor:
    logits, binary = predictor.logits(images), predictor.is_binary
    entropy = F.binary_cross_entropy_with_logits(logits[:, binary], factors[:, binary])
    return entropy + CONTINUOUS_WEIGHT * F.mse_loss(logits[:, ~binary], factors[:, ~binary])


def softened(images: Tensor) -> Tensor:
    """Blurs the first two thirds of the batch, in place, and adds noise to the second third."""
    third = len(images) // 3
    size = int(torch.randint(32, 64, []))
    small = F.interpolate(images[: 2 * third], (size, size), mode="bilinear", antialias=True)
    images[: 2 * third] = F.interpolate(small, images.shape[-2:], mode="bilinear")
    images[third : 2 * third] += 0.06 * torch.randn_like(images[third : 2 * third])
    return images


if __name__ == "__main__":
    main()
