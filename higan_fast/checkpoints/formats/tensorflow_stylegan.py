"""StyleGAN as its authors' TensorFlow code names its variables and lays them out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from higan_fast.checkpoints.conversion import taken
from higan_fast.checkpoints.formats import karras
from higan_fast.checkpoints.formats.tensorflow_variables import (
    conv,
    dense,
    expect_channels,
    mapping,
    sizes,
)
from higan_fast.generators.base import Generator

MARK = "synthesis/4x4/Const/StyleMod/weight"  # who has this variable is a StyleGAN

EXPECTED = {
    "mapping_nonlinearity": "lrelu", "nonlinearity": "lrelu", "use_wscale": True,
    "normalize_latents": True, "use_styles": True, "use_noise": True, "use_pixel_norm": False,
    "use_instance_norm": True, "blur_filter": [1, 2, 1],
}  # fmt: skip

READ = ("fused_scale", "mapping_lrmul", "num_channels")  # what else is read of the settings


def read(path: Path, variables: Mapping[str, Any], settings: Mapping[str, Any]) -> Generator:
    """The generator in a network's variables.

    Raises:
        ValueError: when it is damaged, or of a variant that cannot be read.
    """
    expect_channels(path, settings, variables, "synthesis/ToRGB_lod0/bias")
    found = sizes(variables, "synthesis/")
    parts = mapping(path, variables)
    if "mapping/LabelConcat/weight" in variables:
        parts["mapping_network.embed.weight"] = dense("mapping/LabelConcat/weight")
    parts["synthesis.const"] = taken("synthesis/4x4/Const/const")
    parts["synthesis.rgb.weight"] = conv("synthesis/ToRGB_lod0/weight")
    parts["synthesis.rgb.bias"] = taken("synthesis/ToRGB_lod0/bias")
    scopes = ["4x4/Const", "4x4/Conv"]
    scopes += [f"{size}x{size}/{name}" for size in found[1:] for name in ("Conv0_up", "Conv1")]
    for index, scope in enumerate(scopes):
        ours, theirs = f"synthesis.layers.{index}", f"synthesis/{scope}"
        parts |= {
            f"{ours}.bias": taken(f"{theirs}/bias"),
            f"{ours}.noise_strength": taken(f"{theirs}/Noise/weight"),
            f"{ours}.noise_const": taken(f"synthesis/noise{index}"),
            f"{ours}.affine.weight": dense(f"{theirs}/StyleMod/weight"),
            f"{ours}.affine.bias": taken(f"{theirs}/StyleMod/bias"),
        }
        if index:
            parts[f"{ours}.conv.weight"] = conv(f"{theirs}/weight")
    fused = karras.fused_sizes(path, settings.get("fused_scale", "auto"), found)
    lr_multiplier = karras.positive(path, "mapping_lrmul", settings.get("mapping_lrmul", 0.01))
    unused = ("lod", "synthesis/lod", r"synthesis/ToRGB_lod[1-9]\d*/.*")
    return karras.stylegan(path, variables, parts, fused, lr_multiplier, unused)
