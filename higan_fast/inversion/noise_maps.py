"""The noise inputs of a generator as variables of each image, with StyleGAN2's regulariser."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from higan_fast.generators.base import Generator
from higan_fast.inversion.distances import halving
from higan_fast.wording import printable

BUFFER, STRENGTH = "noise_const", "noise_strength"  # how the families call an input, and what it is times
WEIGHT = 1e5  # of the regulariser, as in StyleGAN2's projection
SMALLEST = 8  # pixels a side, down to which correlations count


def noise_inputs(generator: Generator) -> dict[str, Tensor]:
    """The stored noise ``[H, W]`` of every layer that adds any, by the name of its buffer."""
    if getattr(generator, "noise_mode", "const") != "const":
        return {}
    return {
        f"{name}.{BUFFER}": getattr(module, BUFFER)
        for name, module in generator.named_modules()
        if hasattr(module, BUFFER) and bool(getattr(module, STRENGTH).abs().max() > 0)
    }


class _Drawing(nn.Module):
    """Codes → images, as a module whose buffers can be replaced for one call."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, codes: Tensor) -> Tensor:
        return self.generator.draw(codes)


def draw_with(generator: Generator, codes: Tensor, maps: Mapping[str, Tensor]) -> Tensor:
    """Images of codes ``[N, L, D]``, each with noise maps of its own, ``[N, 1, H, W]`` by buffer.

    Those that do not stand there are the stored ones.
    """
    if not maps:
        return generator.draw(codes)
    limits = [generator.samples_at_once(layer) for layer in range(generator.num_layers)]
    most = min((limit for limit in limits if limit is not None), default=len(codes))  # draw would split them
    drawing, images = _Drawing(generator), []
    for start in range(0, len(codes), most):
        part = slice(start, start + most)
        own = {f"generator.{name}": each[part] for name, each in maps.items()}
        images.append(torch.func.functional_call(drawing, own, (codes[part],)))
    return torch.cat(images)


def with_noise(generator: Generator, maps: Mapping[str, NDArray[np.float32]]) -> Generator:
    """A copy of a generator whose stored noise is that of one image, ``[1, H, W]`` by buffer.

    Raises:
        ValueError: if the generator has no such noise input.
    """
    found = copy.deepcopy(generator)
    buffers = dict(found.named_buffers())
    for name, each in maps.items():
        if name not in buffers or buffers[name].shape != each.shape[1:]:
            raise ValueError(
                f"noise map {printable(name)} {list(each.shape[1:])}: this generator has no such input"
            )
        buffers[name].copy_(torch.from_numpy(each[0]))
    found.weights_changed()
    return found


def correlation(noise: Tensor) -> Tensor:
    """How far maps ``[N, 1, H, W]`` are from white noise, ``[N]``.

    Squared correlations of neighbours, at every scale from H to 8 (Karras et al., arXiv 1912.04958, appendix
    D). Without it the maps would carry the picture.
    """
    found = noise.new_zeros(len(noise))
    while True:
        for axis in (2, 3):
            found = found + (noise * noise.roll(1, axis)).flatten(1).mean(dim=1).square()
        factors = halving(noise, SMALLEST)
        if max(factors) == 1:
            return found
        noise = F.avg_pool2d(noise, factors) * math.prod(factors) ** 0.5  # keeps the variance


def standardised(noise: Tensor) -> Tensor:
    """Maps with mean 0 and variance 1 each, as white noise has."""
    flat = noise.flatten(1)
    flat = flat - flat.mean(dim=1, keepdim=True)
    return (flat / flat.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-8)).view_as(noise)
