"""PGGAN, StyleGAN and StyleGAN2 from the tensors that NVlabs' TensorFlow code and its ports keep.

Each has names and layouts of its own. Which gain a network applies to a weight, when it flips a kernel and
what it adds to a bias is the same in all of them, and stands here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from higan_fast.checkpoints.contents import shown
from higan_fast.checkpoints.conversion import Taken, as_tensor, assemble, configured, shape_in_words
from higan_fast.generators.base import Generator
from higan_fast.generators.pggan import PGGAN, PGGANConfig
from higan_fast.generators.progressive_layers import upsampling_kernel
from higan_fast.generators.stylegan import StyleGAN, StyleGANConfig
from higan_fast.generators.stylegan2 import Architecture, StyleGAN2, StyleGAN2Config
from higan_fast.wording import printable

# For each of our tensors the one in the file, and what lays it out as ours is: [O, I] or [O, I, k, k].
Parts = Mapping[str, Taken]
ROOT_2 = math.sqrt(2)


def pggan(
    path: Path,
    tensors: Mapping[str, Any],
    parts: Parts,
    fused: Collection[int],
    label_dim: Any = 0,
    unused: Iterable[str] = (),
) -> Generator:
    """A PGGAN.

    Args:
        path: the file, for messages.
        tensors: all tensors of the generator in it.
        parts: of all of ours.
        fused: the sizes at which it upsamples by a transposed convolution, whose weight it keeps flipped.
        label_dim: how many of the input's values are a class, as the file says it.
        unused: patterns of the names for which we have no place.

    Raises:
        ValueError: when it is damaged, or of a variant that cannot be read.
    """
    _, inputs = _shape(path, tensors, parts["dense.weight"], 2)
    if type(label_dim) is not int or not 0 <= label_dim < inputs:
        raise ValueError(f"{path}: label_size is {shown(label_dim)}, expected 0 to {inputs - 1}")
    channels = _channels(path, tensors, parts, "blocks.{}.bias")
    config = configured(
        path, PGGANConfig, channels=channels, latent_dim=inputs - label_dim, label_dim=label_dim,
        image_channels=_image_channels(path, tensors, parts, "rgb.bias"),
    )  # fmt: skip
    (outputs,) = _shape(path, tensors, parts["dense.bias"], 1)  # before it is laid out: it is repeated
    if outputs != 16 * channels[4]:
        name = parts["dense.bias"].names[0]
        got = shape_in_words(tensors[name].shape)
        raise ValueError(
            f"{path}: {printable(name)} has shape {got} (ours: [{outputs}]), expected [{16 * channels[4]}]"
        )
    sources: dict[str, Any] = dict(parts)
    sources["dense.weight"] = _then(parts["dense.weight"], lambda weight: acting(weight, ROOT_2 / 4))
    sources["rgb.weight"] = _then(parts["rgb.weight"], _plain)
    for index in range(2 * len(channels) - 1):
        name, size = f"blocks.{index}.conv.weight", 4 * 2 ** ((index + 1) // 2)
        sources[name] = _then(parts[name], _upsampling(size in fused) if index % 2 == 1 else acting)
    return assemble(PGGAN, config, path, tensors, sources, unused)


def stylegan(
    path: Path,
    tensors: Mapping[str, Any],
    parts: Parts,
    fused: Collection[int],
    lr_multiplier: float,
    unused: Iterable[str] = (),
) -> Generator:
    """A StyleGAN; the arguments are as those of ``pggan``."""
    channels = _channels(path, tensors, parts, "synthesis.layers.{}.bias")
    config = configured(
        path, StyleGANConfig, channels=channels, **_mapping(path, tensors, parts),
        image_channels=_image_channels(path, tensors, parts, "synthesis.rgb.bias"),
        start_size=_start_size(path, tensors, parts),
    )  # fmt: skip
    sources: dict[str, Any] = dict(parts)
    for index in range(config.mapping_depth):
        name = f"mapping_network.fc.{index}"
        sources[f"{name}.weight"] = _then(
            parts[f"{name}.weight"], lambda weight: acting(weight) * lr_multiplier
        )
        sources[f"{name}.bias"] = _then(parts[f"{name}.bias"], lambda bias: bias * lr_multiplier)
    for index in range(2 * len(channels)):
        name, size = f"synthesis.layers.{index}", 4 * 2 ** (index // 2)
        style = f"{name}.affine.weight"
        sources[style] = _then(parts[style], _plain)
        up = index % 2 == 0 and size > 4
        if up:
            sources[f"{name}.blur_filter"] = torch.tensor([1.0, 2, 1]) / 4
        if index:
            conv = f"{name}.conv.weight"
            sources[conv] = _then(parts[conv], _upsampling(size in fused) if up else acting)
    sources["synthesis.rgb.weight"] = _then(parts["synthesis.rgb.weight"], _plain)
    return assemble(StyleGAN, config, path, tensors, sources, unused)


def stylegan2(
    path: Path,
    tensors: Mapping[str, Any],
    parts: Parts,
    architecture: Architecture,
    lr_multiplier: float,
    conv_clamp: float | None = None,
    unused: Iterable[str] = (),
) -> Generator:
    """A StyleGAN2; the arguments are as those of ``pggan``. All gains but the convolutions' are ours too."""
    if "mapping_network.embed.weight" in parts and "mapping_network.embed.bias" not in parts:
        (name,) = parts["mapping_network.embed.weight"].names
        raise ValueError(
            f"{path}: {name} embeds classes as the first StyleGAN2 did, which cannot be read; those of "
            "stylegan2-ada can"
        )
    channels = _channels(path, tensors, parts, "synthesis.convs.{}.bias")
    embed_dim = None
    if "mapping_network.embed.bias" in parts:
        (embed_dim,) = _shape(path, tensors, parts["mapping_network.embed.bias"], 1)
    config = configured(
        path, StyleGAN2Config, channels=channels, mapping_lr_multiplier=lr_multiplier,
        architecture=architecture, conv_clamp=conv_clamp, embed_dim=embed_dim,
        **_mapping(path, tensors, parts),
        image_channels=_image_channels(path, tensors, parts, "synthesis.rgbs.0.bias"),
        start_size=_start_size(path, tensors, parts),
    )  # fmt: skip
    sources: dict[str, Any] = dict(parts)
    for name, part in parts.items():
        if name.endswith("affine.bias"):
            sources[name] = _then(part, lambda bias: bias + 1)
        if filtered := re.fullmatch(r"(synthesis\.(convs|rgbs|skips)\.\d+)\.weight", name):
            sources[f"{filtered[1]}.resample_filter"] = torch.tensor([1.0, 3, 3, 1]) / 8
    for index in range(2 * len(channels) - 1):
        name, size = f"synthesis.convs.{index}", 4 * 2 ** ((index + 1) // 2)
        sources[f"{name}.weight"] = _then(parts[f"{name}.weight"], _flipped if index % 2 == 1 else _plain)
        if f"{name}.noise_const" not in parts:  # trained without noise
            sources |= {
                f"{name}.noise_const": torch.zeros(config.size_at(size)),
                f"{name}.noise_strength": torch.zeros([]),
            }
    return assemble(StyleGAN2, config, path, tensors, sources, unused)


def check_grown(path: Path, lod: Any) -> None:
    """Raises a ValueError when the level of detail says that the network was still growing."""
    level = as_tensor(path, "lod", lod)
    if level.numel() != 1 or level.item() != 0:
        several = f"a tensor of shape {shape_in_words(level.shape)}"
        got = shown(level.item()) if level.numel() == 1 else several
        raise ValueError(
            f"{path}: lod is {got}, expected 0: the network was saved before it had grown "
            "to its full resolution; take a later snapshot"
        )


def fused_sizes(path: Path, fused_scale: Any, sizes: Iterable[int]) -> list[int]:
    """At which sizes a StyleGAN upsamples by a transposed convolution, from its setting ``fused_scale``.

    Raises:
        ValueError: when it is none of True, False and "auto".
    """
    first = {"True": 0, "False": math.inf, "'auto'": 128}.get(shown(fused_scale))
    if first is None:
        raise ValueError(f'{path}: fused_scale is {shown(fused_scale)}, expected true, false or "auto"')
    return [size for size in sizes if size >= first]


def positive(path: Path, name: str, value: Any) -> float:
    """A setting that must be a number above 0.

    Raises:
        ValueError: when it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        raise ValueError(f"{path}: {name} is {shown(value)}, expected a number above 0")
    return value


def acting(weight: Tensor, gain: float = ROOT_2) -> Tensor:
    """A weight ``[O, I, ...]`` as it acts.

    It is kept as it was trained, with an equalised learning rate: the network multiplies it by ``gain`` over
    the root of its number of inputs (arXiv 1710.10196, §4.1).
    """
    return weight * (gain / math.sqrt(max(1, weight[0].numel())))


def _upsampling(fused: bool) -> Callable[[Tensor], Tensor]:
    return lambda weight: upsampling_kernel(acting(weight.flip(2, 3) if fused else weight))


def _plain(weight: Tensor) -> Tensor:
    return acting(weight, 1)


def _flipped(weight: Tensor) -> Tensor:
    return acting(weight.flip(2, 3), 1)


def _then(part: Taken, change: Callable[[Tensor], Tensor]) -> Taken:
    """After the layout, the change."""
    layout = part.change
    return Taken(part.names, change if layout is None else lambda tensor: change(layout(tensor)))


def _mapping(path: Path, tensors: Mapping[str, Any], parts: Parts) -> dict[str, Any]:
    """The sizes of a mapping network, for both StyleGANs' configs."""
    depth = sum(name.startswith("mapping_network.fc.") for name in parts) // 2
    (code_dim,) = _shape(path, tensors, parts["mapping_network.w_avg"], 1)
    hidden_dim, inputs = _shape(path, tensors, parts["mapping_network.fc.0.weight"], 2)
    embed_dim = label_dim = 0
    if "mapping_network.embed.weight" in parts:
        embed_dim, label_dim = _shape(path, tensors, parts["mapping_network.embed.weight"], 2)
    if inputs <= embed_dim:
        name = parts["mapping_network.fc.0.weight"].names[0]
        raise ValueError(
            f"{path}: {name} reads {inputs} values, and {embed_dim} of them are an embedded class"
        )
    return {
        "latent_dim": inputs - embed_dim,
        "code_dim": code_dim,
        "mapping_depth": depth,
        "label_dim": label_dim,
        "hidden_dim": None if hidden_dim == code_dim else hidden_dim,
    }


def _image_channels(path: Path, tensors: Mapping[str, Any], parts: Parts, bias: str) -> int:
    """How many channels an image has, from the bias of what makes it."""
    (found,) = _shape(path, tensors, parts[bias], 1)
    return found


def _start_size(path: Path, tensors: Mapping[str, Any], parts: Parts) -> tuple[int, int]:
    """Height and width of the constant."""
    _, _, height, width = _shape(path, tensors, parts["synthesis.const"], 4)
    return height, width


def _channels(path: Path, tensors: Mapping[str, Any], parts: Parts, name: str) -> dict[int, int]:
    """``{resolution: channels}`` from a bias of each resolution; ``name`` has a gap for the layer's index."""
    channels: dict[int, int] = {}
    while (bias := name.format(2 * len(channels))) in parts:
        (channels[4 * 2 ** len(channels)],) = _shape(path, tensors, parts[bias], 1)
    return channels


def _shape(path: Path, tensors: Mapping[str, Any], part: Taken, dims: int) -> tuple[int, ...]:
    """The shape of one of our tensors, before it is read.

    Raises:
        ValueError: when the file lacks it, or has it in another number of dimensions.
    """
    (name,) = part.names
    if name not in tensors:
        raise ValueError(
            f"{path}: lacks {printable(name)}; the file is damaged, or of another architecture than it says"
        )
    got = tuple(getattr(tensors[name], "shape", ()))
    try:
        tensor = torch.empty(got, device="meta")
        shape = tuple(tensor.shape if part.change is None else part.change(tensor).shape)
    except (RuntimeError, IndexError):
        shape = ()
    if len(shape) != dims or 0 in shape:
        problem = f"has shape {shape_in_words(got)}, which does not fit; the file is damaged"
        raise ValueError(f"{path}: {printable(name)} {problem}")
    return shape
