"""StyleGAN2 as rosinality's stylegan2-pytorch saves it: converted from TensorFlow, or trained there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from higan_fast.checkpoints.contents import Content, is_state_dict
from higan_fast.checkpoints.conversion import (
    Taken,
    assemble,
    configured,
    expect_no_config,
    numbered,
    size_of,
    taken,
)
from higan_fast.checkpoints.formats.stylegan2_names import fir, track_average
from higan_fast.generators.base import Generator
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.ops import setup_filter

NAME = "rosinality's stylegan2-pytorch"
LR_MULTIPLIER = 0.01  # of the mapping: its code has no other, and its files do not say
NOISE_SEED = 0
MARK = "conv1.conv.modulation.weight"  # no other code's generators have a tensor of this name

Sources = dict[str, str | Taken | Tensor]


def recognises(content: Content) -> bool:
    return content.kind == "torch" and (bool(_generators(content.value)) or _is_discriminator(content.value))


def read(content: Content, config: Mapping[str, Any] | None) -> Generator:
    """The moving average ``g_ema`` where there is one, else ``g``."""
    expect_no_config(content.path, config)
    path, generators = content.path, _generators(content.value)
    if not generators:
        raise ValueError(f"{path}: holds rosinality's discriminator and no generator; expected g_ema or g")
    tensors = dict(next(iter(generators.values())))
    if "latent_avg" in content.keys:
        tensors["latent_avg"] = content.value["latent_avg"]
    resolved = _read_config(path, tensors)
    generator = assemble(StyleGAN2, resolved, path, tensors, _sources(resolved, tensors))
    assert isinstance(generator, StyleGAN2)
    if "latent_avg" not in tensors:
        track_average(generator)
    return generator


def _generators(value: Any) -> dict[str, Mapping[str, Any]]:
    """The state dicts of generators, the moving average first; a bare one may lie there alone."""
    if not isinstance(value, Mapping):
        return {}
    entries: dict[str, Any] = {"": value, "g_ema": value.get("g_ema"), "g": value.get("g")}
    return {name: entry for name, entry in entries.items() if is_state_dict(entry) and MARK in entry}


def _is_discriminator(value: Any) -> bool:
    entries: list[Any] = [value, value.get("d")] if isinstance(value, Mapping) else []
    return any(is_state_dict(entry) and "final_linear.0.weight" in entry for entry in entries)


def _read_config(path: Path, tensors: Mapping[str, Any]) -> StyleGAN2Config:
    size = partial(size_of, path, tensors)
    blocks = numbered(path, tensors, "convs.{}.conv.weight") // 2
    code_dim = size("conv1.conv.modulation.weight", 1, 2)
    widths = [size("conv1.conv.weight", 1, 5)]
    widths += [size(f"convs.{2 * block}.conv.weight", 1, 5) for block in range(blocks)]
    return configured(
        path,
        StyleGAN2Config,
        channels={4 * 2**index: width for index, width in enumerate(widths)},
        latent_dim=code_dim,
        code_dim=code_dim,
        mapping_depth=numbered(path, tensors, "style.{}.weight", first=1),
        mapping_lr_multiplier=LR_MULTIPLIER,
        hidden_dim=size("style.1.weight", 0, 2),
        image_channels=size("to_rgb1.conv.weight", 1, 5),
        start_size=(size("input.input", 2, 4), size("input.input", 3, 4)),
    )


def _sources(config: StyleGAN2Config, tensors: Mapping[str, Any]) -> Sources:
    """For each of our tensors where it comes from."""
    noises = _Noises(tensors)
    sources: Sources = {"synthesis.const": "input.input"}
    for index in range(config.mapping_depth):
        for part in ("weight", "bias"):
            sources[f"mapping_network.fc.{index}.{part}"] = f"style.{index + 1}.{part}"
    average = "latent_avg" in tensors
    sources["mapping_network.w_avg"] = "latent_avg" if average else torch.zeros(config.code_dim)
    sources |= _conv(0, "conv1", config.size_at(4), noises)
    sources |= _rgb(0, "to_rgb1")
    for block, resolution in enumerate(sorted(config.channels)[1:]):
        size = config.size_at(resolution)
        sources |= _conv(2 * block + 1, f"convs.{2 * block}", size, noises)
        sources |= _conv(2 * block + 2, f"convs.{2 * block + 1}", size, noises)
        sources |= _rgb(block + 1, f"to_rgbs.{block}")
    return sources


def _conv(index: int, theirs: str, image_size: tuple[int, int], noises: _Noises) -> Sources:
    ours, up = f"synthesis.convs.{index}", index % 2 == 1
    return {
        f"{ours}.weight": taken(f"{theirs}.conv.weight", change=_scaled),
        f"{ours}.bias": f"{theirs}.activate.bias",
        f"{ours}.affine.weight": f"{theirs}.conv.modulation.weight",
        f"{ours}.affine.bias": f"{theirs}.conv.modulation.bias",
        f"{ours}.noise_strength": f"{theirs}.noise.weight",
        f"{ours}.noise_const": noises.source(index, image_size),
        # The blur after upsampling has the gain that upsampling takes away.
        f"{ours}.resample_filter": fir(f"{theirs}.conv.blur.kernel", 4) if up else setup_filter(),
    }


def _rgb(index: int, theirs: str) -> Sources:
    ours = f"synthesis.rgbs.{index}"
    return {
        f"{ours}.weight": taken(f"{theirs}.conv.weight", change=lambda weight: weight[0]),
        f"{ours}.bias": f"{theirs}.bias",
        f"{ours}.affine.weight": f"{theirs}.conv.modulation.weight",
        f"{ours}.affine.bias": f"{theirs}.conv.modulation.bias",
        f"{ours}.resample_filter": fir(f"{theirs}.upsample.kernel", 4) if index else setup_filter(),
    }


def _scaled(weight: Tensor) -> Tensor:
    """``[1, O, I, 3, 3]``, over the root of its fan-in: demodulation cancels that, but for its epsilon."""
    return weight[0] / math.sqrt(weight[0, 0].numel())


class _Noises:
    """The stored noise images; files from before the code stored any get some from a fixed seed."""

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self.stored = any(name.startswith("noises.") for name in tensors)
        self.random = torch.Generator().manual_seed(NOISE_SEED)

    def source(self, index: int, image_size: tuple[int, int]) -> str | Tensor:
        if self.stored:
            return f"noises.noise_{index}"
        return torch.randn(image_size, generator=self.random)
