"""PGGAN as facebookresearch's pytorch_GAN_zoo saves it: its settings, and ``avgG``, the moving average.

A layer there multiplies its weight and its bias by one gain, and RGB has the gain of all other layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from higan_fast.checkpoints.contents import Content, Record, is_state_dict, shown
from higan_fast.checkpoints.conversion import (
    Taken,
    assemble,
    configured,
    expect_no_config,
    numbered,
    size_of,
    taken,
)
from higan_fast.checkpoints.formats.karras import ROOT_2, acting
from higan_fast.generators.base import Generator
from higan_fast.generators.pggan import PGGAN, PGGANConfig
from higan_fast.generators.progressive_layers import upsampling_kernel

NAME = "pytorch_GAN_zoo PGAN"

# Settings as they must be: with another value it is another network. alpha blends in a lower resolution.
EXPECTED = {"perChannelNormalization": True, "equalizedlR": True, "leakyReluLeak": 0.2, "alpha": 0}
TANH = {"WGANGP": False, "Logistic": False, "MSE": True, "DCGAN": True}  # after RGB, by the loss


def recognises(content: Content) -> bool:
    return (
        content.kind == "torch"
        and {"config", "netG"} <= content.keys
        and is_state_dict(content.value["netG"])
    )


def read(content: Content, config: Mapping[str, Any] | None) -> Generator:
    path, settings = content.path, _settings(content.path, content.value["config"])
    expect_no_config(path, config)
    average = content.value.get("avgG")
    state = average if is_state_dict(average) else content.value["netG"]
    _check_kind(path, state)
    for name, value in EXPECTED.items():
        got = settings.get(name, value)
        got = got.item() if isinstance(got, np.generic) else got
        if not isinstance(got, int | float) or got != value:
            raise ValueError(f"{path}: {name} is {shown(got)}, expected {value}; this variant cannot be read")
    sources, scales = _sources(path, state)
    config_ = _config(path, state, settings, sources, scales)
    unused = rf"toRGBLayers\.(?!{scales}\.)\d+\..*"  # of lower resolutions, which only growing networks need
    return assemble(PGGAN, config_, path, state, sources, (unused,))


def _check_kind(path: Path, state: Mapping[str, Any]) -> None:
    """Raises a ValueError, which says what it is, for another generator than PGAN."""
    if any(name.startswith("groupScale0.") for name in state) and any(
        name.startswith("formatLayer.") for name in state
    ):
        return
    if any(name.startswith(("mapping.", "noiseModulators.", "adain00.")) for name in state):
        what = "a StyleGAN"
    elif any(name.startswith(("main.", "formatLayer.", "toRGBLayer.")) for name in state):
        what = "a DCGAN"
    else:
        what = "a DCGAN or StyleGAN"
    raise ValueError(
        f"{path}: this is {what} of pytorch_GAN_zoo, of which only PGAN can be read; once that code has "
        "loaded it, higan_fast.generators.wrap(network, ...) can probe it"
    )


def _settings(path: Path, config: Any) -> Mapping[str, Any]:
    values = config.state if isinstance(config, Record) else config
    if not isinstance(values, Mapping):
        raise ValueError(f"{path}: its config has no settings; the file is damaged")
    return values


def _config(
    path: Path, state: Mapping[str, Any], settings: Mapping[str, Any], sources: dict[str, Taken], scales: int
) -> PGGANConfig:
    weights = ["blocks.0.conv.weight", *(f"blocks.{2 * scale + 2}.conv.weight" for scale in range(scales))]
    widths = [size_of(path, state, sources[weight].names[0], 0, 4) for weight in weights]
    inputs = size_of(path, state, sources["dense.weight"].names[0], 1, 2)
    label_dim, loss = settings.get("categoryVectorDim", 0), settings.get("lossCriterion", "WGANGP")
    if type(label_dim) is not int or not 0 <= label_dim < inputs:
        raise ValueError(f"{path}: categoryVectorDim is {shown(label_dim)}, expected 0 to {inputs - 1}")
    if not isinstance(loss, str) or loss not in TANH:
        raise ValueError(f"{path}: lossCriterion is {shown(loss)}, expected one of {', '.join(TANH)}")
    channels = {4 * 2**scale: width for scale, width in enumerate(widths)}
    return configured(
        path,
        PGGANConfig,
        channels=channels,
        latent_dim=inputs - label_dim,
        label_dim=label_dim,
        tanh=TANH[loss],
    )


def _sources(path: Path, state: Mapping[str, Any]) -> tuple[dict[str, Taken], int]:
    """For each of our tensors where it comes from; and how often the network doubles its resolution."""
    scales = max(numbered(path, state, f"scaleLayers.{{}}.0{inner}.bias") for inner in ("", ".module"))
    convs = ["groupScale0.0", *(f"scaleLayers.{scale}.{conv}" for scale in range(scales) for conv in (0, 1))]
    names = {"dense": "formatLayer", "rgb": f"toRGBLayers.{scales}"}
    names |= {f"blocks.{index}": conv for index, conv in enumerate(convs)}
    sources = {}
    for ours, theirs in names.items():
        # Files from before its layers were wrapped lack the name of the module within.
        inner = "" if f"{theirs}.weight" in state else ".module"
        weight, bias = f"{theirs}{inner}.weight", f"{theirs}{inner}.bias"
        up = ours.startswith("blocks") and int(ours.split(".")[1]) % 2 == 1
        conv = ".conv" if ours.startswith("blocks") else ""
        sources[f"{ours}{conv}.weight"] = taken(weight, change=_upsampling if up else acting)
        sources[f"{ours}.bias"] = taken(bias, weight, change=_acting_bias)
    return sources, scales


def _upsampling(weight: Tensor) -> Tensor:
    return upsampling_kernel(acting(weight))


def _acting_bias(bias: Tensor, weight: Tensor) -> Tensor:
    return bias * (ROOT_2 / math.sqrt(max(1, weight[0].numel())))
