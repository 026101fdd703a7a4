"""Some channels of a generator's images, in the order in which they are to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from higan_fast.generators.base import Generator
from higan_fast.generators.progressive_layers import ToRGB
from higan_fast.generators.stylegan2_layers import RGB
from higan_fast.generators.stylegan3_layers import ScaledRGB
from higan_fast.wording import in_words


def keep_bands(generator: Generator, bands: Sequence[int]) -> None:
    """Makes a generator draw some channels of its images alone; they are what they were, and cost less.

    The others are cut off the layers that make images, so that this is a generator of images of
    ``len(bands)`` channels to all that follows, its fingerprint included.

    Args:
        generator: of a family that makes images by 1×1 convolutions: the StyleGANs or PGGAN.
        bands: which channels, counted from 0; one may come twice.

    Raises:
        ValueError: when there is no such channel, or the family is another one.
    """
    channels, chosen = generator.image_shape[0], list(bands)
    if not chosen or any(type(band) is not int or not 0 <= band < channels for band in chosen):
        raise ValueError(
            f"bands (--bands): got {in_words(chosen)}, expected channels from 0 to {channels - 1}, those of "
            "the generator's images"
        )
    heads: list[Any] = [
        module for module in generator.modules() if isinstance(module, RGB | ToRGB | ScaledRGB)
    ]
    if not heads:
        raise ValueError(
            f"bands (--bands): images of {generator.family} are RGB, and none of their channels can be "
            "chosen; leave it out"
        )
    for head in heads:
        head.weight = nn.Parameter(head.weight.detach()[chosen].clone(), head.weight.requires_grad)
        head.bias = nn.Parameter(head.bias.detach()[chosen].clone(), head.bias.requires_grad)
    generator.config = replace(generator.config, image_channels=len(chosen))  # type: ignore[type-var]
