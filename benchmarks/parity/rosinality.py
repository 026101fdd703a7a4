"""rosinality's stylegan2-pytorch: files that it converted and files that it trained."""

from __future__ import annotations

import argparse
import tempfile
import types
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.utils.cpp_extension
from torch import Tensor

from benchmarks.parity.row import (
    TRUNCATIONS,
    Row,
    codes_difference,
    describe_truncation,
    image_difference,
    importing,
    randomize,
)
from higan_fast.checkpoints import load_generator

# size, style_dim, n_mlp, channel_multiplier, all channels (None: as they come)
SETTINGS = (
    (8, 20, 3, 2, (13, 11)),
    (16, 24, 8, 2, (31, 24, 17)),
    (32, 512, 8, 1, None),
    (64, 40, 4, 2, (24, 24, 20, 16, 9)),
    (256, 512, 8, 1, None),
)


def rows(path: Path) -> Iterator[Row]:
    load = torch.utils.cpp_extension.load
    torch.utils.cpp_extension.load = lambda *_, **__: types.SimpleNamespace()  # its CUDA kernels: not needed
    try:
        with importing(path):
            model: Any = import_module("model")
    finally:
        torch.utils.cpp_extension.load = load
    for index, (size, style_dim, n_mlp, multiplier, channels) in enumerate(SETTINGS):
        torch.manual_seed(index)
        theirs = _generator(model, size, style_dim, n_mlp, multiplier, channels)
        randomize(theirs, index)
        with torch.no_grad():
            average = theirs.mean_latent(4096)[0]
        setting = "odd channels, " if channels else ""
        state = theirs.state_dict()
        converted = {"g_ema": state, "latent_avg": average}
        trained = {"g": state, "d": {}, "g_ema": state, "args": argparse.Namespace(size=size), "ada_aug_p": 0}
        yield from _measured(theirs, size, f"{setting}converted", converted, average, TRUNCATIONS)
        yield from _measured(theirs, size, f"{setting}trained", trained, average, TRUNCATIONS[:1])
        yield from _measured(
            theirs, size, f"{setting}before torch 1.6", converted, average, TRUNCATIONS[:1], False
        )


def _generator(
    model: Any, size: int, style_dim: int, n_mlp: int, multiplier: int, channels: tuple[int, ...] | None
) -> Any:
    """Builds its generator; its constructor has a fixed table of channels, so others need new layers."""
    generator = model.Generator(size, style_dim, n_mlp, multiplier)
    if channels is not None:
        generator.input = model.ConstantInput(channels[0])
        generator.conv1 = model.StyledConv(channels[0], channels[0], 3, style_dim)
        generator.to_rgb1 = model.ToRGB(channels[0], style_dim, upsample=False)
        for index, (before, width) in enumerate(pairwise(channels)):
            generator.convs[2 * index] = model.StyledConv(before, width, 3, style_dim, upsample=True)
            generator.convs[2 * index + 1] = model.StyledConv(width, width, 3, style_dim)
            generator.to_rgbs[index] = model.ToRGB(width, style_dim)
    return generator.eval().requires_grad_(False)


def _measured(
    theirs: Any,
    size: int,
    setting: str,
    file_content: dict[str, Any],
    average: Tensor,
    truncations: tuple[tuple[float, int | None], ...],
    archive: bool = True,
) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.pt"
        torch.save(file_content, file, _use_new_zipfile_serialization=archive)
        ours = load_generator(file)
    z = torch.randn(3, theirs.style_dim)
    with torch.no_grad():
        w = theirs.get_latent(z)
        for psi, layers in truncations:
            ws = w[:, None].repeat(1, theirs.n_latent, 1)
            ws[:, :layers] = average + psi * (ws[:, :layers] - average)
            images, _ = theirs([ws], input_is_latent=True, randomize_noise=False)
            codes = ours.map(z, truncation_psi=psi, truncation_layers=layers)
            yield Row(
                "stylegan2-pytorch (rosinality)",
                ".pt",
                ours.family,
                size,
                f"{setting}, {describe_truncation(psi, layers)}",
                codes_difference(codes, ws),
                image_difference(ours.synthesize(codes), images),
            )
