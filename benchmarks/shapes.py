"""Draws docs/shapes.png, the embedded generator in other shapes: ``python -m benchmarks.shapes OUT.png``.

Its weights are adapted, not trained: gray and alpha are sums of its colors, and the wide one starts at its
constant beside its mirror image. All read the same codes, so that boundaries of the embedded world move them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

import higan_fast as hf
from higan_fast.generators.stylegan2 import StyleGAN2
from higan_fast.pictures import labelled_grid, save_picture

LUMA = (0.299, 0.587, 0.114)  # of ITU-R BT.601
SAMPLES, STEPS = (8,), (-3.0, -1.0, 1.0, 3.0)
SEMANTIC = "lighting"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--num", default=3000, show_default=True, help="Samples that the boundary is fitted to.")
def main(out: Path, num: int) -> None:
    """Move a gray, an RGBA and a wide network along one boundary, and write the picture to OUT."""
    networks = hf.load_generator("scenes"), hf.load_predictor("scenes")
    samples = hf.sample(*networks, num, progress=False)
    boundary = replace(hf.fit_boundaries(samples, [SEMANTIC], progress=False)[SEMANTIC], origin=None)
    codes, pictures = samples.codes[list(SAMPLES)], []
    columns = [f"{step:+g}" if step else "0" for step in STEPS]
    for name, generator in shapes().items():
        images = hf.manipulate(generator, codes, boundary, steps=STEPS)
        rows = [f"sample {index}" for index in SAMPLES]
        pictures.append(labelled_grid(images, rows, columns, f"{name}, moved along {SEMANTIC}", "step"))
    width = max(picture.shape[1] for picture in pictures)
    margins = [((0, 0), (0, width - picture.shape[1]), (0, 0)) for picture in pictures]
    padded = [
        np.pad(picture, margin, constant_values=255)
        for picture, margin in zip(pictures, margins, strict=True)
    ]
    save_picture(out, np.concatenate(padded))
    click.echo(out)


def shapes() -> dict[str, StyleGAN2]:
    """The embedded generator, gray, with alpha, and twice as wide."""
    luma = torch.tensor(LUMA)
    alpha = torch.cat([torch.eye(3), 1.5 * luma[None]])  # dark is clear
    return {
        "Gray": adapted(lambda name, tensor: recolored(name, tensor, luma[None]), image_channels=1),
        "RGBA": adapted(lambda name, tensor: recolored(name, tensor, alpha), image_channels=4),
        "Twice as wide": adapted(widened, start_size=(4, 8)),
    }


def adapted(change: Callable[[str, Tensor], Tensor], **config: object) -> StyleGAN2:
    """The embedded generator with each tensor changed, and an architecture to which they belong."""
    given = hf.load_generator("scenes")
    assert isinstance(given, StyleGAN2)
    made = StyleGAN2(replace(given.config, **config))
    made.load_state_dict({name: change(name, tensor) for name, tensor in given.state_dict().items()})
    return made.eval().requires_grad_(False)


def recolored(name: str, tensor: Tensor, mix: Tensor) -> Tensor:
    """Weights and biases of layers that make colors, for sums of these: ``mix`` is ``[new, 3]``."""
    if not name.startswith("synthesis.rgbs.") or name.count(".") != 3 or name.endswith("filter"):
        return tensor
    return torch.tensordot(mix, tensor, dims=1)


def widened(name: str, tensor: Tensor) -> Tensor:
    """The constant and the noise beside their mirror images."""
    spatial = name == "synthesis.const" or name.endswith("noise_const")
    return torch.cat([tensor, tensor.flip(-1)], -1) if spatial else tensor


if __name__ == "__main__":
    main()
