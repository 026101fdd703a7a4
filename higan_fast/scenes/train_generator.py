"""Trains the embedded generator: ``python -m higan_fast.scenes.train_generator --out runs/train``.

StyleGAN2's recipe (arXiv 1912.04958) at a small size: non-saturating loss, lazy R1, style mixing, and an
exponential moving average of the weights. Style mixing is what makes layers specialise. It runs on the CPU
(bfloat16) or on a GPU; repeat the command to continue an earlier run. ``torchrun --nproc-per-node K`` runs it
on K cores or GPUs, each with its own batch.
"""

from __future__ import annotations

import copy
import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from higan_fast.devices import usable_device
from higan_fast.files import write_whole
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.pictures import image_grid, save_picture
from higan_fast.scenes.dataset import SceneDataset
from higan_fast.scenes.discriminator import Discriminator
from higan_fast.scenes.factors import SEMANTICS

R1_INTERVAL = 16  # steps between two penalties; each is scaled by this number
MIXING_PROBABILITY = 0.9
FACTOR_WEIGHT = 1.0  # of the discriminator's second task, predicting the factors of renders
EMA_IMAGES = 10_000  # half-life of the average, in images
EMA_RAMP = 0.05  # upper limit of the half-life, as a share of the images seen so far
W_AVG_DECAY = 0.998


class Trainer:
    """Generator, its average, discriminator and both optimisers: the contents of a checkpoint.

    Args:
        config: architecture of the generator; the discriminator gets the same widths.
        device: device to train on.
        learning_rate: learning rate of both networks (Adam).
        r1_gamma: weight of the gradient penalty.
    """

    def __init__(
        self,
        config: StyleGAN2Config,
        device: torch.device,
        learning_rate: float = 0.0025,
        r1_gamma: float = 2.0,
    ) -> None:
        self.device, self.r1_gamma = device, r1_gamma
        self.generator = StyleGAN2(config).to(device)
        self.discriminator = Discriminator(config.channels, len(SEMANTICS)).to(device)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        # Rooms are fully determined by their factors. With noise inputs the generator learnt to fake sharp
        # edges with speckle and never unlearnt it, so the noise strengths stay at 0.
        self.generator.noise_mode = "none"
        self.generator.activation_dtype = self.discriminator.activation_dtype = torch.bfloat16
        # Lazy regularisation: the penalty's steps count too (arXiv 1912.04958, §3.1).
        lazy = R1_INTERVAL / (R1_INTERVAL + 1)
        self._learning_rates = {"g_optimizer": learning_rate, "d_optimizer": learning_rate * lazy}
        self.g_optimizer = _adam(self.generator, learning_rate, 0.99)
        self.d_optimizer = _adam(self.discriminator, learning_rate * lazy, 0.99**lazy)
        self.step_index = self.images_seen = 0

    def step(self, renders: Tensor, factors: Tensor) -> dict[str, float]:
        """Trains both networks for one step on renders ``[N, 3, R, R]`` in [-1, 1] and factors in [0, 1]."""
        fakes = self.generator.synthesize(self._mixed_codes(len(renders)))
        losses = self._train_discriminator(renders, factors, fakes.detach())
        losses["g"] = self._train_generator(fakes)
        num = len(renders) * _world_size()
        self._update_average(num)
        self.step_index += 1
        self.images_seen += num
        return losses

    def _train_discriminator(self, renders: Tensor, factors: Tensor, fakes: Tensor) -> dict[str, float]:
        self.d_optimizer.zero_grad(set_to_none=True)
        fake_logits, _ = self.discriminator(fakes)
        real_logits, read = self.discriminator(renders)
        adversarial = F.softplus(fake_logits).mean() + F.softplus(-real_logits).mean()
        reading = F.binary_cross_entropy_with_logits(read, factors)
        (adversarial + FACTOR_WEIGHT * reading).backward()
        losses = {"d": adversarial.item(), "factors": reading.item()}
        if self.step_index % R1_INTERVAL == 0:
            renders = renders.detach().requires_grad_()
            logits, _ = self.discriminator(renders)
            (gradient,) = torch.autograd.grad(logits.sum(), renders, create_graph=True)
            penalty = gradient.square().sum([1, 2, 3]).mean()
            (penalty * (self.r1_gamma / 2 * R1_INTERVAL)).backward()
            losses["r1"] = penalty.item()
        _average_gradients(self.discriminator)
        self.d_optimizer.step()
        return losses

    def _train_generator(self, fakes: Tensor) -> float:
        self.g_optimizer.zero_grad(set_to_none=True)
        self.discriminator.requires_grad_(False)
        loss = F.softplus(-self.discriminator(fakes)[0]).mean()
        loss.backward()
        self.discriminator.requires_grad_(True)
        _average_gradients(self.generator)
        self.g_optimizer.step()
        return loss.item()

    def _mixed_codes(self, num: int) -> Tensor:
        """Returns layer codes ``[N, L, D]``; most samples switch to a second latent at a random layer."""
        generator = self.generator
        w = generator.mapping(torch.randn(2 * num, generator.latent_dim, device=self.device))
        with torch.no_grad():
            generator.mapping_network.w_avg.lerp_(w.mean(0), 1 - W_AVG_DECAY)
        first, second = generator.layer_codes(w).chunk(2)
        crossover = torch.randint(1, generator.num_layers, [num], device=self.device)
        crossover[torch.rand(num, device=self.device) >= MIXING_PROBABILITY] = generator.num_layers
        late = torch.arange(generator.num_layers, device=self.device) >= crossover[:, None]  # [N, L]
        return torch.where(late[:, :, None], second, first)

    @torch.no_grad()
    def _update_average(self, num: int) -> None:
        half_life = min(EMA_IMAGES, EMA_RAMP * self.images_seen)
        decay = 0.5 ** (num / max(half_life, 1e-8))
        trained = dict(self.generator.named_parameters())
        current = self.generator.state_dict()
        for name, average in self.average.state_dict().items():
            average.lerp_(current[name], 1 - decay if name in trained else 1.0)

    def save(self, path: Path) -> None:
        parts = {name: getattr(self, name).state_dict() for name in self._PARTS}
        with write_whole(path) as file:
            torch.save({**parts, **self._facts(), "random": torch.get_rng_state()}, file)

    def load(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["config"] != asdict(self.generator.config):
            raise ValueError(
                f"{path}: holds networks of {state['config']}, but this command asks for "
                f"{asdict(self.generator.config)}; use the same --resolution and --width, or another --out"
            )
        for name in self._PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.step_index, self.images_seen = state["step_index"], state["images_seen"]
        torch.set_rng_state(state["random"].cpu())
        for name, learning_rate in self._learning_rates.items():  # this command's, not the checkpoint's
            getattr(self, name).param_groups[0]["lr"] = learning_rate

    def _facts(self) -> dict[str, Any]:
        config = asdict(self.generator.config)
        return {"step_index": self.step_index, "images_seen": self.images_seen, "config": config}

    _PARTS = ("generator", "average", "discriminator", "g_optimizer", "d_optimizer")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the training run.")
@click.option("--kimg", default=400.0, show_default=True, help="Thousands of images to train on in total.")
@click.option("--batch", "batch_size", default=16, show_default=True)
@click.option("--learning-rate", default=0.0025, show_default=True)
@click.option("--resolution", default=64, show_default=True, type=click.Choice(["64", "128"]))
@click.option(
    "--width",
    default=32,
    show_default=True,
    help="Channels at full resolution; lower resolutions have up to 4 times as many.",
)
@click.option("--renders", default=65_536, show_default=True, help="How many rendered rooms to train on.")
@click.option("--r1-gamma", default=2.0, show_default=True, help="Weight of the gradient penalty.")
@click.option("--seed", default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--threads", default=None, type=int, help="CPU threads; use 1 next to other work.")
@click.option(
    "--snapshot-kimg", default=8.0, show_default=True, help="Thousands of images between checkpoints."
)
def main(
    out: Path,
    kimg: float,
    batch_size: int,
    learning_rate: float,
    resolution: str,
    width: int,
    renders: int,
    r1_gamma: float,
    seed: int,
    device: str,
    threads: int | None,
    snapshot_kimg: float,
) -> None:
    """Train the generator of the embedded world, or continue training it."""
    if threads:
        torch.set_num_threads(threads)
    rank = _join(device)
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    channels = {r: min(width * int(resolution) // r, 4 * width) for r in _resolutions(int(resolution))}
    trainer = Trainer(StyleGAN2Config(channels=channels), usable_device(device), learning_rate, r1_gamma)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
    if rank > 0:
        torch.manual_seed(seed + 1_000_003 * rank + trainer.step_index)  # latents of its own
    dataset = SceneDataset(seed, int(resolution), cache=out / "renders")
    latents = torch.randn(64, 128, generator=torch.Generator().manual_seed(seed))
    begin, first = time.monotonic(), trainer.images_seen
    snapshot_images, saved = int(snapshot_kimg * 1000), trainer.images_seen
    while trainer.images_seen < kimg * 1000:
        start = (trainer.images_seen + rank * batch_size) % (renders - batch_size + 1)
        images, factors = dataset.batch(range(start, start + batch_size))
        real = images.to(trainer.device).float() / 127.5 - 1
        losses = trainer.step(real, factors.to(trainer.device))
        if rank == 0 and trainer.step_index % 50 == 0:
            rate = (trainer.images_seen - first) / (time.monotonic() - begin)
            left = (kimg * 1000 - trainer.images_seen) / rate / 60
            text = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
            click.echo(
                f"{trainer.images_seen / 1000:8.1f} kimg  {rate:5.1f} img/s  {left:5.0f} min left  {text}"
            )
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps({"images": trainer.images_seen, **losses}) + "\n")
        if trainer.images_seen // snapshot_images > saved // snapshot_images:
            saved = trainer.images_seen
            if rank == 0:
                _save_snapshot(trainer, latents, out)
    if rank == 0:
        _save_snapshot(trainer, latents, out)


def _join(device: str) -> int:
    """Joins the processes of ``torchrun``, if there are any; returns this one's rank."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))  # one GPU per process
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    return dist.get_rank()


def _world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def _average_gradients(module: torch.nn.Module) -> None:
    """Averages the gradients over all processes, each of which has seen its own batch."""
    if _world_size() == 1:
        return
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients]) / _world_size()
    dist.all_reduce(flat)
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def _adam(module: torch.nn.Module, learning_rate: float, beta: float) -> torch.optim.Adam:
    return torch.optim.Adam(module.parameters(), lr=learning_rate, betas=(0.0, beta), eps=1e-8)


def _resolutions(last: int) -> list[int]:
    return [2**power for power in range(2, last.bit_length())]


@torch.inference_mode()
def _save_snapshot(trainer: Trainer, latents: Tensor, out: Path) -> None:
    trainer.save(out / "checkpoint.pt")
    images = trainer.average(latents.to(trainer.device)).cpu()
    save_picture(
        out / f"samples-{trainer.images_seen // 1000:05d}k.png", image_grid(images.unflatten(0, (8, 8)))
    )


if __name__ == "__main__":
    main()
