"""StyleGAN2 as its authors' TensorFlow code names its variables and lays them out, stylegan2-ada's too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from higan_fast.checkpoints.conversion import Taken, taken
from higan_fast.checkpoints.formats import karras
from higan_fast.checkpoints.formats.tensorflow_variables import (
    conv,
    dense,
    expect,
    expect_channels,
    mapping,
    sizes,
)
from higan_fast.generators.base import Generator
from higan_fast.generators.stylegan2 import Architecture

MARK = "synthesis/4x4/Conv/mod_weight"  # who has this variable is a StyleGAN2

EXPECTED = {
    "mapping_nonlinearity": "lrelu", "nonlinearity": "lrelu", "normalize_latents": True,
    "resample_kernel": [1, 3, 3, 1],
}  # fmt: skip

READ = (
    "mapping_lrmul",
    "conv_clamp",
    "use_noise",
    "architecture",
    "num_channels",
)  # what else is read of the settings


def read(path: Path, variables: Mapping[str, Any], settings: Mapping[str, Any]) -> Generator:
    """The generator in a network's variables.

    Raises:
        ValueError: when it is damaged, or of a variant that cannot be read.
    """
    found = sizes(variables, "synthesis/")
    parts = mapping(path, variables) | _labels(variables)
    parts["synthesis.const"] = taken("synthesis/4x4/Const/const")
    scopes = ["4x4/Conv"] + [f"{size}x{size}/{name}" for size in found[1:] for name in ("Conv0_up", "Conv1")]
    for index, scope in enumerate(scopes):
        ours, theirs = f"synthesis.convs.{index}", f"synthesis/{scope}"
        parts |= _modulated(ours, theirs)
        if f"synthesis/noise{index}" in variables:
            parts[f"{ours}.noise_const"] = taken(f"synthesis/noise{index}")
            parts[f"{ours}.noise_strength"] = taken(f"{theirs}/noise_strength")
    expect(path, settings, {"use_noise": "synthesis/noise0" in variables})
    architecture, rgbs = _architecture(variables, found)
    if "synthesis/ToRGB_lod0/weight" not in variables:  # whose code has no such setting
        expect(path, settings, {"architecture": architecture})
    expect_channels(path, settings, variables, f"synthesis/{rgbs[0]}/bias")
    for index, scope in enumerate(rgbs):
        parts |= _modulated(f"synthesis.rgbs.{index}", f"synthesis/{scope}")
    if architecture == "resnet":
        for index, size in enumerate(found[1:]):
            parts[f"synthesis.skips.{index}.weight"] = conv(f"synthesis/{size}x{size}/Skip/weight")
    clamp = settings.get("conv_clamp")
    return karras.stylegan2(
        path, variables, parts, architecture,
        lr_multiplier=karras.positive(path, "mapping_lrmul", settings.get("mapping_lrmul", 0.01)),
        conv_clamp=None if clamp is None else karras.positive(path, "conv_clamp", clamp),
        unused=("lod", "synthesis/lod", r"synthesis/ToRGB_lod[1-9]\d*/.*"),
    )  # fmt: skip


def _modulated(ours: str, theirs: str) -> dict[str, Taken]:
    return {
        f"{ours}.weight": conv(f"{theirs}/weight"),
        f"{ours}.bias": taken(f"{theirs}/bias"),
        f"{ours}.affine.weight": dense(f"{theirs}/mod_weight"),
        f"{ours}.affine.bias": taken(f"{theirs}/mod_bias"),
    }


def _architecture(variables: Mapping[str, Any], found: list[int]) -> tuple[Architecture, list[str]]:
    """Which it is, and the scopes of what makes RGB."""
    last = f"{found[-1]}x{found[-1]}"
    if "synthesis/ToRGB_lod0/weight" in variables:  # grown progressively: StyleGAN2's configurations B to D
        return "orig", ["ToRGB_lod0"]
    if f"synthesis/{last}/Skip/weight" in variables:
        return "resnet", [f"{last}/ToRGB"]
    if "synthesis/4x4/ToRGB/weight" in variables:
        return "skip", [f"{size}x{size}/ToRGB" for size in found]
    return "orig", [f"{last}/ToRGB"]


def _labels(variables: Mapping[str, Any]) -> dict[str, Taken]:
    embed = "mapping_network.embed"
    if "mapping/LabelConcat/weight" in variables:
        return {f"{embed}.weight": dense("mapping/LabelConcat/weight")}
    if "mapping/LabelEmbed/weight" not in variables:
        return {}
    weight, bias = dense("mapping/LabelEmbed/weight"), taken("mapping/LabelEmbed/bias")
    return {f"{embed}.weight": weight, f"{embed}.bias": bias}
