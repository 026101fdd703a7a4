"""Measures the embedded generator's quality: ``python -m higan_fast.scenes.quality --out docs/scenes``.

Reports the Fréchet distance (arXiv 1706.08500) between generated and rendered rooms in the predictor's
features, together with its noise floor (renders against other renders) and that of an untrained generator;
the frequency of each semantic in generated and rendered rooms; and a contact sheet of both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from torch import Tensor

from higan_fast.checkpoints import load_generator
from higan_fast.engine.scoring import score
from higan_fast.files import write_whole
from higan_fast.generators.base import Generator
from higan_fast.generators.stylegan2 import StyleGAN2
from higan_fast.pictures import image_grid, save_picture
from higan_fast.predictors import load_predictor
from higan_fast.predictors.scenes import ScenePredictor
from higan_fast.progress import progress
from higan_fast.sampling.latents import make_codes
from higan_fast.scenes.dataset import SceneDataset

Array = NDArray[np.float64]

RENDER_SEEDS = (2_000_003, 2_000_029)  # two worlds that neither network was trained on
BATCH = 64


@torch.inference_mode()
def measure(
    generator: Generator, predictor: ScenePredictor, num: int = 5_000, seed: int = 7
) -> dict[str, Any]:
    """Measures a generator on ``num`` images.

    Returns:
        ``frechet``: distances of ``generated``, ``rendered`` (the noise floor) and ``untrained`` images;
        ``frequency``: for each semantic, the mean score of ``generated`` and ``rendered`` rooms (for a binary
        semantic, the share of rooms that have it).
    """
    torch.manual_seed(seed)
    untrained = StyleGAN2(generator.config) if isinstance(generator, StyleGAN2) else None
    with progress("measuring", (4 if untrained else 3) * num) as advance:
        rendered, other = (_read(predictor, _renders(world, num), advance) for world in RENDER_SEEDS)
        generated = _read(predictor, _images(generator, num, seed), advance)
        frechet = {
            "generated": frechet_distance(generated.features, rendered.features),
            "rendered": frechet_distance(other.features, rendered.features),
        }
        if untrained:
            read = _read(predictor, _images(untrained, num, seed), advance)
            frechet["untrained"] = frechet_distance(read.features, rendered.features)
    means = generated.scores.mean(0).tolist(), rendered.scores.mean(0).tolist()
    frequency = {
        name: {"generated": ours, "rendered": theirs}
        for name, ours, theirs in zip(predictor.names, *means, strict=True)
    }
    return {"images": num, "frechet": frechet, "frequency": frequency}


def frechet_distance(first: Array, second: Array) -> float:
    """Returns the distance between the Gaussians of two sets of features, ``[N, F]`` and ``[M, F]``."""
    covariances = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = sqrtm(covariances[0] @ covariances[1]).real
    shift = first.mean(0) - second.mean(0)
    return float(shift @ shift + np.trace(covariances[0] + covariances[1] - 2 * root))


class _Reading:
    """Features ``[N, F]`` and scores ``[N, S]`` of images."""

    def __init__(self, features: Tensor, scores: Tensor) -> None:
        self.features, self.scores = features.double().numpy(), scores.double().numpy()


def _read(predictor: ScenePredictor, batches: Iterable[Tensor], advance: Callable[[int], None]) -> _Reading:
    features, scores = [], []
    for images in batches:
        features.append(predictor.features(images))
        scores.append(score(predictor, images))
        advance(len(images))
    return _Reading(torch.cat(features), torch.cat(scores))


def _images(generator: Generator, num: int, seed: int) -> Iterator[Tensor]:
    for start in range(0, num, BATCH):
        yield generator.synthesize(make_codes(generator, seed, start, min(start + BATCH, num)).codes)


def _renders(seed: int, num: int) -> Iterator[Tensor]:
    for start in range(0, num, BATCH):
        yield SceneDataset(seed).batch(range(start, min(start + BATCH, num)))[0].float() / 127.5 - 1


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--network", default="scenes", show_default=True)
@click.option("--num", default=5_000, show_default=True, help="Images of each kind.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for quality.json and the contact sheet.")
def main(network: str, num: int, out: Path | None) -> None:
    """Measure the embedded generator."""
    generator, predictor = load_generator(network), load_predictor("scenes")
    assert isinstance(predictor, ScenePredictor)
    figures = measure(generator, predictor, num)
    for name, distance in figures["frechet"].items():
        click.echo(f"Fréchet distance, {name:9} {distance:8.3f}")
    for name, share in figures["frequency"].items():
        gap = share["generated"] - share["rendered"]
        click.echo(
            f"{name:11} generated {share['generated']:.3f}  rendered {share['rendered']:.3f}  {gap:+.3f}"
        )
    if out:
        with write_whole(out / "quality.json") as file:
            file.write(json.dumps(figures, indent=2).encode())
        with torch.inference_mode():
            sheets = {"generated": _images(generator, 64, seed=7), "rendered": _renders(RENDER_SEEDS[0], 64)}
            for name, batches in sheets.items():
                save_picture(out / f"{name}.png", image_grid(next(batches).unflatten(0, (8, 8))))


if __name__ == "__main__":
    main()
