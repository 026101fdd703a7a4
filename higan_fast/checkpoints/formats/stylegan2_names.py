"""StyleGAN2 as stylegan2-ada-pytorch names its tensors and settings → our configuration and our names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from higan_fast.checkpoints.contents import shown
from higan_fast.checkpoints.conversion import Taken, size_of, taken
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config

AVERAGED, AT_ONCE = 2**14, 2**11  # latents


class Settings:
    """The attributes of modules, each checked as it is read."""

    def __init__(self, path: Path, modules: Mapping[str, Mapping[str, Any]]) -> None:
        self.path, self.modules = path, modules

    def text(self, module: str, name: str, expected: tuple[str, ...]) -> str:
        value = self.modules.get(module, {}).get(name)
        if not isinstance(value, str) or value not in expected:
            wanted = " or ".join(expected)
            raise ValueError(f"{self.path}: {module}.{name} is {shown(value)}, expected {wanted}")
        return value

    def number(self, module: str, name: str) -> float:
        value: Any = self.modules.get(module, {}).get(name)
        numeric = isinstance(value, int | float | np.integer | np.floating)
        if isinstance(value, bool) or not numeric or not 0 < float(value) < 1e6:
            raise ValueError(f"{self.path}: {module}.{name} is {shown(value)}, expected a number above 0")
        return float(value)

    def number_or_none(self, module: str, name: str) -> float | None:
        present = self.modules.get(module, {}).get(name) is not None
        return self.number(module, name) if present else None


def read_config(path: Path, tensors: Mapping[str, Tensor], settings: Settings) -> StyleGAN2Config:
    """The architecture: lengths from the tensors' shapes, the rest from the modules' attributes.

    Raises:
        ValueError: when it is not StyleGAN2's, or a variant that ours is not.
    """
    size = partial(size_of, path, tensors)
    blocks = (re.match(r"synthesis\.b(\d{1,5})\.conv1\.", name) for name in tensors)
    resolutions = sorted({int(block[1]) for block in blocks if block})
    if resolutions != [4 * 2**index for index in range(len(resolutions))] or not resolutions:
        raise ValueError(f"{path}: has blocks of the resolutions {resolutions}, expected 4, 8, 16 and so on")
    last = f"synthesis.b{resolutions[-1]}"
    if size(f"{last}.torgb.weight", 0, 4) != 3:
        raise ValueError(f"{path}: makes images of {size(f'{last}.torgb.weight', 0, 4)} channels, expected 3")
    depth = 0
    while f"mapping.fc{depth}.weight" in tensors:
        settings.text(f"mapping.fc{depth}", "activation", ("lrelu",))
        depth += 1
    for resolution in resolutions:
        settings.text(f"synthesis.b{resolution}.conv1", "activation", ("lrelu",))
    conditional = "mapping.embed.weight" in tensors
    embed_dim = size("mapping.embed.weight", 0, 2) if conditional else 0
    latent_dim = size("mapping.fc0.weight", 1, 2) - embed_dim
    if latent_dim < 1:
        raise ValueError(f"{path}: its mapping takes no latent, which cannot be probed")
    return StyleGAN2Config(
        channels={r: size(f"synthesis.b{r}.conv1.weight", 0, 4) for r in resolutions},
        latent_dim=latent_dim,
        code_dim=size("synthesis.b4.conv1.affine.weight", 1, 2),
        mapping_depth=depth,
        mapping_lr_multiplier=settings.number("mapping.fc0", "bias_gain"),
        architecture=settings.text(last, "architecture", ("skip", "orig", "resnet")),  # type: ignore[arg-type]
        conv_clamp=settings.number_or_none("synthesis.b4.conv1", "conv_clamp"),
        label_dim=size("mapping.embed.weight", 1, 2) if conditional else 0,
        embed_dim=embed_dim or None,
        hidden_dim=size("mapping.fc0.weight", 0, 2),
    )


def sources_of(config: StyleGAN2Config, tensors: Mapping[str, Tensor]) -> dict[str, str | Taken | Tensor]:
    """For each of our tensors where it comes from."""
    resolutions, code_dim = sorted(config.channels), config.code_dim
    const = taken("synthesis.b4.const", change=lambda const: const[None])
    sources: dict[str, str | Taken | Tensor] = {"synthesis.const": const}
    mapping = [f"fc{index}" for index in range(config.mapping_depth)]
    for theirs in [*mapping, *(["embed"] if config.label_dim else [])]:
        ours = f"mapping_network.{theirs.replace('fc', 'fc.')}"
        sources |= {f"{ours}.{part}": f"mapping.{theirs}.{part}" for part in ("weight", "bias")}
    average = "mapping.w_avg"
    sources["mapping_network.w_avg"] = average if average in tensors else torch.zeros(code_dim)
    convs = ["b4.conv1", *(f"b{r}.conv{i}" for r in resolutions[1:] for i in (0, 1))]
    for index, theirs in enumerate(convs):
        resolution = int(theirs.split(".")[0][1:])
        sources |= _conv(f"synthesis.convs.{index}", f"synthesis.{theirs}", resolution, tensors)
    with_rgb = resolutions if config.architecture == "skip" else resolutions[-1:]
    for index, resolution in enumerate(with_rgb):
        sources |= _rgb(f"synthesis.rgbs.{index}", f"synthesis.b{resolution}")
    if config.architecture == "resnet":
        for index, resolution in enumerate(resolutions[1:]):
            ours, theirs = f"synthesis.skips.{index}", f"synthesis.b{resolution}.skip"
            sources[f"{ours}.weight"] = f"{theirs}.weight"
            sources[f"{ours}.resample_filter"] = fir(f"{theirs}.resample_filter")
    return sources


def _conv(
    ours: str, theirs: str, resolution: int, tensors: Mapping[str, Tensor]
) -> dict[str, str | Taken | Tensor]:
    names = ("weight", "bias", "affine.weight", "affine.bias")
    sources: dict[str, str | Taken | Tensor] = {f"{ours}.{name}": f"{theirs}.{name}" for name in names}
    sources[f"{ours}.resample_filter"] = fir(f"{theirs}.resample_filter")
    with_noise = f"{theirs}.noise_const" in tensors  # a network may have been trained without
    for name, shape in (("noise_strength", []), ("noise_const", [resolution, resolution])):
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
        one = square.sum(-1) / gain if square.ndim == 2 else square
        if square.ndim == 2 and not torch.allclose(one[:, None] * one, square / gain, atol=1e-5):
            raise RuntimeError("it is not the product of one filter for rows and columns")
        return one

    return taken(name, change=taps)


@torch.no_grad()
def track_average(generator: StyleGAN2) -> None:
    """Sets ``w_avg``, for a file that lacks it, to the mean of mapped latents of a fixed seed."""
    random = torch.Generator().manual_seed(0)
    total = torch.zeros(generator.code_dim, dtype=torch.float64)
    for start in range(0, AVERAGED, AT_ONCE):
        z = torch.randn(AT_ONCE, generator.latent_dim, generator=random)
        # All classes alike.
        classes = torch.arange(start, start + AT_ONCE) % generator.label_dim if generator.label_dim else None
        total += generator.mapping(z, classes).double().sum(0)
    generator.mapping_network.w_avg.copy_(total / AVERAGED)
