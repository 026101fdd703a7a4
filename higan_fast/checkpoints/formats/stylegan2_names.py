"""StyleGAN2 as stylegan2-ada-pytorch names its tensors and settings → our configuration and our names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from higan_fast.checkpoints.conversion import (
    Taken,
    check_shape,
    configured,
    listed,
    numbered,
    size_of,
    taken,
)
from higan_fast.checkpoints.formats.stylegan2_settings import Settings
from higan_fast.generators.style_based import StyleBased
from higan_fast.generators.stylegan2 import StyleGAN2Config

AVERAGED, AT_ONCE = 2**14, 2**11  # latents
# What averaging may take besides: a published mapping of 8 × 512² weights takes half of these products.
MOST_PRODUCTS, MOST_IN_LABELS, MOST_IN_LABELS_AT_ONCE = 2**36, 2**28, 2**24


def read_config(path: Path, tensors: Mapping[str, Tensor], settings: Settings) -> StyleGAN2Config:
    """The architecture: lengths from the tensors' shapes, the rest from the modules' attributes.

    Raises:
        ValueError: when it is not StyleGAN2's, or a variant that ours is not.
    """
    size = partial(size_of, path, tensors)
    blocks = (re.match(r"synthesis\.b(\d{1,5})\.conv1\.", name) for name in tensors)
    resolutions = sorted({int(block[1]) for block in blocks if block})
    if resolutions != [4 * 2**index for index in range(len(resolutions))] or not resolutions:
        found = listed([str(resolution) for resolution in resolutions])
        raise ValueError(f"{path}: has blocks of the resolutions {found}; expected 4, 8, 16 and so on")
    last, const = f"synthesis.b{resolutions[-1]}", "synthesis.b4.const"
    for resolution in resolutions:
        settings.text(f"synthesis.b{resolution}.conv1", "activation", ("lrelu",))
    return configured(
        path,
        StyleGAN2Config,
        channels={r: size(f"synthesis.b{r}.conv1.weight", 0, 4) for r in resolutions},
        code_dim=size("synthesis.b4.conv1.affine.weight", 1, 2),
        architecture=settings.text(last, "architecture", ("skip", "orig", "resnet")),
        conv_clamp=settings.number_or_none("synthesis.b4.conv1", "conv_clamp"),
        **mapping_config(path, tensors, settings),
        image_channels=size(f"{last}.torgb.weight", 0, 4),
        start_size=(size(const, 1, 3), size(const, 2, 3)),
    )


def mapping_config(path: Path, tensors: Mapping[str, Tensor], settings: Settings) -> dict[str, Any]:
    """The settings of the mapping network, by the names that they have in our configurations.

    Raises:
        ValueError: when it is damaged, or a variant that ours is not.
    """
    size, depth = partial(size_of, path, tensors), numbered(path, tensors, "mapping.fc{}.weight")
    for index in range(depth):
        settings.text(f"mapping.fc{index}", "activation", ("lrelu",))
    conditional = "mapping.embed.weight" in tensors
    embed_dim = size("mapping.embed.weight", 0, 2) if conditional else 0
    latent_dim = size("mapping.fc0.weight", 1, 2) - embed_dim
    if latent_dim < 1:
        raise ValueError(f"{path}: its mapping takes no latent, which cannot be probed")
    return {
        "latent_dim": latent_dim,
        "mapping_depth": depth,
        "mapping_lr_multiplier": settings.number("mapping.fc0", "bias_gain"),
        "label_dim": size("mapping.embed.weight", 1, 2) if conditional else 0,
        "embed_dim": embed_dim or None,
        "hidden_dim": size("mapping.fc0.weight", 0, 2),
    }


def sources_of(config: StyleGAN2Config, tensors: Mapping[str, Tensor]) -> dict[str, str | Taken | Tensor]:
    """For each of our tensors where it comes from."""
    resolutions, sources = sorted(config.channels), mapping_sources(config, tensors)
    sources["synthesis.const"] = taken("synthesis.b4.const", change=lambda const: const[None])
    convs = ["b4.conv1", *(f"b{r}.conv{i}" for r in resolutions[1:] for i in (0, 1))]
    for index, theirs in enumerate(convs):
        resolution = int(theirs.split(".")[0][1:])
        sources |= _conv(
            f"synthesis.convs.{index}", f"synthesis.{theirs}", config.size_at(resolution), tensors
        )
    with_rgb = resolutions if config.architecture == "skip" else resolutions[-1:]
    for index, resolution in enumerate(with_rgb):
        sources |= _rgb(f"synthesis.rgbs.{index}", f"synthesis.b{resolution}")
    if config.architecture == "resnet":
        for index, resolution in enumerate(resolutions[1:]):
            ours, theirs = f"synthesis.skips.{index}", f"synthesis.b{resolution}.skip"
            sources[f"{ours}.weight"] = f"{theirs}.weight"
            sources[f"{ours}.resample_filter"] = fir(f"{theirs}.resample_filter")
    return sources


def mapping_sources(config: Any, tensors: Mapping[str, Tensor]) -> dict[str, str | Taken | Tensor]:
    """As ``sources_of``, of the mapping network; ``config`` is StyleGAN2's or StyleGAN3's."""
    sources: dict[str, str | Taken | Tensor] = {}
    mapping = [f"fc{index}" for index in range(config.mapping_depth)]
    for theirs in [*mapping, *(["embed"] if config.label_dim else [])]:
        ours = f"mapping_network.{theirs.replace('fc', 'fc.')}"
        sources |= {f"{ours}.{part}": f"mapping.{theirs}.{part}" for part in ("weight", "bias")}
    average = "mapping.w_avg"
    sources["mapping_network.w_avg"] = average if average in tensors else torch.zeros(config.code_dim)
    return sources


def _conv(
    ours: str, theirs: str, image_size: tuple[int, int], tensors: Mapping[str, Tensor]
) -> dict[str, str | Taken | Tensor]:
    names = ("weight", "bias", "affine.weight", "affine.bias")
    sources: dict[str, str | Taken | Tensor] = {f"{ours}.{name}": f"{theirs}.{name}" for name in names}
    sources[f"{ours}.resample_filter"] = fir(f"{theirs}.resample_filter")
    with_noise = f"{theirs}.noise_const" in tensors  # a network may have been trained without
    for name, shape in (("noise_strength", []), ("noise_const", list(image_size))):
        sources[f"{ours}.{name}"] = f"{theirs}.{name}" if with_noise else torch.zeros(shape)
    return sources


def _rgb(ours: str, block: str) -> dict[str, str | Taken | Tensor]:
    names = ("weight", "bias", "affine.weight", "affine.bias")
    sources: dict[str, str | Taken | Tensor] = {f"{ours}.{name}": f"{block}.torgb.{name}" for name in names}
    sources[f"{ours}.resample_filter"] = fir(f"{block}.resample_filter")
    return sources


def fir(name: str, gain: float = 1.0) -> Taken:
    """A filter of two axes, stored times ``gain``, that is the product of ours with itself."""

    def taps(square: Tensor) -> Tensor:
        if square.ndim == 2:
            check_shape(square, [len(square)] * 2)
        one = square.sum(-1) / gain if square.ndim == 2 else square
        if square.ndim == 2 and not torch.allclose(one[:, None] * one, square / gain, atol=1e-5):
            raise RuntimeError("it is not the product of one filter for rows and columns")
        return one

    return taken(name, change=taps)


@torch.no_grad()
def track_average(generator: StyleBased) -> None:
    """Sets ``w_avg``, for a file that lacks it, to the mean of mapped latents of a fixed seed."""
    random = torch.Generator().manual_seed(0)
    total = torch.zeros(generator.code_dim, dtype=torch.float64)
    weights = sum(parameter.numel() for parameter in generator.mapping_network.parameters())
    classes = max(1, generator.label_dim)
    averaged = max(AT_ONCE, min(AVERAGED, MOST_PRODUCTS // weights, MOST_IN_LABELS // classes))
    at_once = max(1, min(AT_ONCE, MOST_IN_LABELS_AT_ONCE // classes))
    for start in range(0, averaged, at_once):
        num = min(at_once, averaged - start)
        z = torch.randn(num, generator.latent_dim, generator=random)
        # All classes alike.
        label = torch.arange(start, start + num) % classes if generator.label_dim else None
        total += generator.mapping(z, label).double().sum(0)
    generator.mapping_network.w_avg.copy_(total / averaged)
