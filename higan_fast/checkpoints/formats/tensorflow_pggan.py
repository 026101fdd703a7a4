"""PGGAN as its authors' TensorFlow code names its variables and lays them out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from higan_fast.checkpoints.conversion import Taken, taken
from higan_fast.checkpoints.formats import karras
from higan_fast.checkpoints.formats.tensorflow_variables import conv, expect_channels, sizes
from higan_fast.generators.base import Generator

MARK = "4x4/Dense/weight"  # who has this variable is a PGGAN

EXPECTED = {
    "normalize_latents": True, "use_wscale": True, "use_pixelnorm": True,
    "pixelnorm_epsilon": 1e-8, "use_leakyrelu": True,
}  # fmt: skip

READ = ("label_size", "num_channels")  # what else is read of the settings


def read(path: Path, variables: Mapping[str, Any], settings: Mapping[str, Any]) -> Generator:
    """The generator in a network's variables.

    Raises:
        ValueError: when it is damaged, or of a variant that cannot be read.
    """
    expect_channels(path, settings, variables, "ToRGB_lod0/bias")
    parts = {
        "dense.weight": taken("4x4/Dense/weight", change=Tensor.t),
        "dense.bias": taken("4x4/Dense/bias", change=lambda bias: bias.repeat_interleave(16)),
        **_conv(0, "4x4/Conv"),
        "rgb.weight": conv("ToRGB_lod0/weight"),
        "rgb.bias": taken("ToRGB_lod0/bias"),
    }
    fused = []
    for block, size in enumerate(sizes(variables)[1:]):
        up = f"{size}x{size}/Conv0"
        parts |= _conv(2 * block + 1, up) | _conv(2 * block + 2, f"{size}x{size}/Conv1")
        if f"{up}_up/weight" in variables:
            fused.append(size)
            weight = taken(
                f"{up}_up/weight", change=lambda weight: weight.permute(2, 3, 0, 1)
            )  # of [k, k, O, I]
            name = f"blocks.{2 * block + 1}"
            parts |= {f"{name}.conv.weight": weight, f"{name}.bias": taken(f"{up}_up/bias")}
    label_dim = settings.get("label_size", 0)
    return karras.pggan(path, variables, parts, fused, label_dim, unused=("lod", r"ToRGB_lod[1-9]\d*/.*"))


def _conv(index: int, scope: str) -> dict[str, Taken]:
    return {
        f"blocks.{index}.conv.weight": conv(f"{scope}/weight"),
        f"blocks.{index}.bias": taken(f"{scope}/bias"),
    }
