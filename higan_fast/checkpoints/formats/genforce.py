"""PGGAN, StyleGAN and StyleGAN2 as genforce's and higan's PyTorch code saves them.

higan's file is the state dict of one generator; genforce's has several, of which ``generator_smooth`` is the
moving average. Names and shapes tell everything but two settings, which have their defaults there unless the
user's configuration gives them: ``fused_scale`` and ``mapping_lr_multiplier``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from higan_fast.checkpoints.contents import Content, is_state_dict, shown
from higan_fast.checkpoints.conversion import Taken, numbered, taken
from higan_fast.checkpoints.formats import karras
from higan_fast.generators.base import Generator
from higan_fast.generators.stylegan2 import Architecture

NAME = "genforce / higan .pth"

# Where higan has another name for a part of a layer than genforce.
HIGAN_STYLEGAN = {
    "dense.weight": "fc.weight",
    "dense.bias": "wscale.bias",
    "layer.bias": "epilogue.bias",
    "layer.apply_noise.weight": "epilogue.apply_noise.weight",
    "layer.apply_noise.noise": "epilogue.apply_noise.noise",
    "layer.style.weight": "epilogue.style_mod.dense.fc.weight",
    "layer.style.bias": "epilogue.style_mod.dense.wscale.bias",
    "layer.weight": "conv.weight",
    "output.weight": "conv.weight",
}
HIGAN_STYLEGAN2 = {
    "dense.weight": "fc.weight",
    "layer.style.weight": "style.fc.weight",
    "output.style.weight": "style.fc.weight",
}
HIGAN_PGGAN = {
    "layer.weight": "conv.weight",
    "layer.bias": "wscale.bias",
    "output.weight": "conv.weight",
    "output.bias": "wscale.bias",
}


def recognises(content: Content) -> bool:
    if content.kind != "torch":
        return False
    return any(_family(state) or _is_discriminator(state) for state in _states(content.value).values())


def read(content: Content, config: Mapping[str, Any] | None) -> Generator:
    settings = dict(config or {})
    unknown = settings.keys() - {"fused_scale", "mapping_lr_multiplier"}
    if unknown:
        found = shown(next(iter(unknown)))
        raise ValueError(f"config: got {found}, expected fused_scale or mapping_lr_multiplier")
    for state in _states(content.value).values():
        if family := _family(state):
            file = File(content.path, state, settings)
            if file.higan and "fused_scale" in settings:
                raise ValueError(
                    "config: got fused_scale, but the names in a file of higan's tell it; leave it out"
                )
            return family(file)
    raise ValueError(f"{content.path}: holds a discriminator and no generator")


def _states(value: Any) -> dict[str, Mapping[str, Any]]:
    """The state dicts in a file, the moving average first; one alone may be the whole file."""
    if not isinstance(value, Mapping):
        return {}
    models = value.get("models")  # what is saved in training has them one level down
    inner = models if isinstance(models, Mapping) else value
    names = ("generator_smooth", "generator", "discriminator")
    entries = [("", value), *((name, inner.get(name)) for name in names)]
    return {name: state for name, state in entries if isinstance(state, Mapping) and is_state_dict(state)}


def _family(state: Mapping[str, Any]) -> Callable[[File], Generator] | None:
    """What reads the generator in a state dict; None: there is none that we know."""
    if "synthesis.early_layer.const" in state:
        return _stylegan2
    if "synthesis.layer0.const" in state:
        return _stylegan
    named_so = {"layer0.weight", "layer0.conv.weight"} & state.keys()
    return _pggan if named_so and any(name.startswith("output0.") for name in state) else None


def _is_discriminator(state: Mapping[str, Any]) -> bool:
    return {"input0.weight", "layer0.weight"} <= state.keys()


@dataclass(frozen=True)
class File:
    """A generator in a file.

    Attributes:
        tensors: its state dict.
        settings: what the user says of it.
    """

    path: Path
    tensors: Mapping[str, Any]
    settings: Mapping[str, Any]

    @cached_property
    def higan(self) -> bool:
        """Whether higan saved it; else genforce did."""
        return any(name.endswith((".conv.weight", ".fc.weight")) for name in self.tensors)

    def namer(self, higan: Mapping[str, str]) -> Callable[[str], str]:
        """What turns a name of genforce's into that in the file."""

        def renamed(name: str) -> str:
            found = re.fullmatch(r"(.*?(layer|dense|output)(?:\d+|\{\}))\.(.+)", name)
            return name if found is None else f"{found[1]}.{higan.get(f'{found[2]}.{found[3]}', found[3])}"

        return renamed if self.higan else str

    def count(self, namer: Callable[[str], str], name: str) -> int:
        """How many tensors with running numbers there are; ``name`` has a gap for the number."""
        return numbered(self.path, self.tensors, namer(name))

    def lr_multiplier(self) -> float:
        """Of the mapping."""
        name = "mapping_lr_multiplier"
        return karras.positive(self.path, name, self.settings.get(name, 0.01))


def _pggan(file: File) -> Generator:
    own = file.namer(HIGAN_PGGAN)
    num = max(1, file.count(own, "layer{}.bias") // 2)  # resolutions
    karras.check_grown(file.path, file.tensors.get("lod", 0))
    parts = {
        "dense.weight": taken(own("layer0.weight"), change=_dense),
        "dense.bias": taken(own("layer0.bias"), change=lambda bias: bias.repeat_interleave(16)),
        "rgb.weight": taken(own(f"output{num - 1}.weight")),
        "rgb.bias": taken(own(f"output{num - 1}.bias")),
    }
    fused = _fused_sizes_of_pggan(file, num)
    for index in range(2 * num - 1):
        layer = f"layer{index + 1}"
        weight = taken(own(f"{layer}.weight"))
        if index % 2 == 1 and 4 * 2 ** ((index + 1) // 2) in fused:
            weight = _fused_of_higan(layer) if file.higan else taken(f"{layer}.weight", change=_swapped)
        parts |= {f"blocks.{index}.conv.weight": weight, f"blocks.{index}.bias": taken(own(f"{layer}.bias"))}
    unused = ("lod", _other_outputs(num))
    return karras.pggan(file.path, file.tensors, parts, fused, unused=unused)


def _fused_sizes_of_pggan(file: File, num: int) -> list[int]:
    """Higan's names say it; in genforce the weight has its axes the other way."""
    sizes = {index: 4 * 2**index for index in range(1, num)}
    if file.higan:
        return [size for index, size in sizes.items() if f"layer{2 * index}.weight" in file.tensors]
    swapped = False
    for index in sizes:
        weight, bias = (file.tensors.get(f"layer{2 * index}.{part}") for part in ("weight", "bias"))
        swapped |= getattr(weight, "shape", (0,))[:1] != getattr(bias, "shape", (0,))
    fused = file.settings.get("fused_scale", swapped)
    return karras.fused_sizes(file.path, fused, sizes.values())


def _stylegan(file: File) -> Generator:
    own = file.namer(HIGAN_STYLEGAN)
    num = max(1, file.count(own, "synthesis.layer{}.bias") // 2)  # resolutions
    karras.check_grown(file.path, file.tensors.get("synthesis.lod", 0))
    parts = _mapping(file, own)
    if "mapping.label_weight" in file.tensors:
        parts["mapping_network.embed.weight"] = taken("mapping.label_weight", change=Tensor.t)
    sizes = [4 * 2**index for index in range(num)]
    if file.higan:
        fused = [
            size for index, size in enumerate(sizes) if f"synthesis.layer{2 * index}.weight" in file.tensors
        ]
    else:
        fused = karras.fused_sizes(file.path, file.settings.get("fused_scale", "auto"), sizes)
    for index in range(2 * num):
        ours, layer = f"synthesis.layers.{index}", f"synthesis.layer{index}"
        parts |= {
            f"{ours}.bias": taken(own(f"{layer}.bias")),
            f"{ours}.noise_strength": taken(own(f"{layer}.apply_noise.weight")),
            f"{ours}.noise_const": taken(own(f"{layer}.apply_noise.noise")),
            f"{ours}.affine.weight": taken(own(f"{layer}.style.weight")),
            f"{ours}.affine.bias": taken(own(f"{layer}.style.bias")),
        }
        if index:
            higans = file.higan and index % 2 == 0 and sizes[index // 2] in fused
            weight = _fused_of_higan(layer) if higans else taken(own(f"{layer}.weight"))
            parts[f"{ours}.conv.weight"] = weight
    last = f"synthesis.output{num - 1}"
    parts |= {
        "synthesis.const": taken("synthesis.layer0.const"),
        "synthesis.rgb.weight": taken(own(f"{last}.weight")),
        "synthesis.rgb.bias": taken(own(f"{last}.bias")),
    }
    unused = (
        "synthesis.lod",
        "truncation.truncation",
        r".*\.blur\.kernel",
        r"synthesis\." + _other_outputs(num),
    )
    return karras.stylegan(file.path, file.tensors, parts, fused, file.lr_multiplier(), unused)


def _stylegan2(file: File) -> Generator:
    own = file.namer(HIGAN_STYLEGAN2)
    num = file.count(own, "synthesis.layer{}.bias") // 2 + 1  # resolutions
    parts = _mapping(file, own)
    if "mapping.label_weight" in file.tensors:
        parts["mapping_network.embed.weight"] = taken("mapping.label_weight", change=Tensor.t)
    parts["synthesis.const"] = taken("synthesis.early_layer.const")
    layout = _channels_first if file.higan else None
    for index in range(2 * num - 1):
        ours, theirs = f"synthesis.convs.{index}", f"synthesis.layer{index}"
        parts |= _modulated(ours, theirs, own, layout)
        parts[f"{ours}.noise_strength"] = taken(f"{theirs}.noise_strength")
        parts[f"{ours}.noise_const"] = taken(f"{theirs}.noise")
    skips = [f"synthesis.skip_layer{index}.weight" for index in range(num - 1)]
    architecture: Architecture = "skip" if "synthesis.output0.bias" in file.tensors else "orig"
    if skips and skips[0] in file.tensors:
        architecture = "resnet"
        parts |= {f"synthesis.skips.{i}.weight": taken(name, change=layout) for i, name in enumerate(skips)}
    for index, block in enumerate(range(num) if architecture == "skip" else [num - 1]):
        parts |= _modulated(f"synthesis.rgbs.{index}", f"synthesis.output{block}", own, layout)
    unused = ("truncation.truncation", r".*\.(filter|upsample)\.kernel")
    return karras.stylegan2(file.path, file.tensors, parts, architecture, file.lr_multiplier(), unused=unused)


def _mapping(file: File, own: Callable[[str], str]) -> dict[str, Taken]:
    parts = {"mapping_network.w_avg": taken("truncation.w_avg")}
    for index in range(max(1, file.count(own, "mapping.dense{}.bias"))):
        for part in ("weight", "bias"):
            parts[f"mapping_network.fc.{index}.{part}"] = taken(own(f"mapping.dense{index}.{part}"))
    return parts


def _modulated(
    ours: str, theirs: str, own: Callable[[str], str], layout: Callable[[Tensor], Tensor] | None
) -> dict[str, Taken]:
    return {
        f"{ours}.weight": taken(f"{theirs}.weight", change=layout),
        f"{ours}.bias": taken(f"{theirs}.bias"),
        f"{ours}.affine.weight": taken(own(f"{theirs}.style.weight")),
        f"{ours}.affine.bias": taken(own(f"{theirs}.style.bias")),
    }


def _dense(weight: Tensor) -> Tensor:
    """``[O, I, 4, 4]``, to be run over a single pixel within a margin of 3, → ``[16 O, I]``."""
    return weight.flip(2, 3).permute(0, 2, 3, 1).flatten(0, 2)


def _channels_first(weight: Tensor) -> Tensor:
    """``[k, k, I, O]`` → ``[O, I, k, k]``."""
    return weight.permute(3, 2, 0, 1)


def _swapped(weight: Tensor) -> Tensor:
    """``[I, O, k, k]`` → ``[O, I, k, k]``."""
    return weight.transpose(0, 1)


def _fused_of_higan(layer: str) -> Taken:
    return taken(f"{layer}.weight", change=_channels_first)


def _other_outputs(num: int) -> str:
    """The pattern of what makes RGB of lower resolutions, which only growing networks need."""
    return rf"output(?!{num - 1}\.)\d+\..*"
