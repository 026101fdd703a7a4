"""Generators of ajbrock's BigGAN-PyTorch: BigGAN, SAGAN, SNGAN and BigGAN-deep. The file is a state dict.

The weights are kept as they act, divided by their largest singular value, which that code estimates anew from
a stored vector whenever it runs, training or not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from higan_fast.checkpoints.contents import Content, shown
from higan_fast.checkpoints.conversion import (
    Taken,
    assemble,
    check_shape,
    configured,
    numbered,
    size_of,
    taken,
)
from higan_fast.generators.base import Generator
from higan_fast.generators.biggan import LAST_EPSILON, BigGAN, BigGANConfig
from higan_fast.generators.biggan_deep import BigGANDeep, BigGANDeepConfig
from higan_fast.generators.biggan_layers import doubling_kernel

NAME = "BigGAN-PyTorch state dict"
GENERATOR = {"linear.weight", "blocks.0.0.conv1.weight", "output_layer.0.gain"}
DISCRIMINATOR = {"linear.weight", "blocks.0.0.conv1.weight", "embed.weight"}
# Singular values kept for a log, vectors beyond the first, and counters that change nothing.
UNUSED = (r".*\.sv\d+", r".*\.u[1-9]\d*", r".*\.num_batches_tracked")
ATTENTION = {"query": "theta", "key": "phi", "value": "g", "out": "o"}  # ours → theirs

# Settings that change images and that the file does not say: as they must be, where they are given.
EXPECTED = {"G_nl": ("'relu'", "'inplace_relu'"), "norm_style": ("'bn'",), "num_G_SV_itrs": ("1",)}

Sources = dict[str, str | Taken | Tensor]


def recognises(content: Content) -> bool:
    return content.kind == "torch" and (content.keys >= GENERATOR or content.keys >= DISCRIMINATOR)


def read(content: Content, config: Mapping[str, Any] | None) -> Generator:
    """The generator in a ``G_ema.pth`` or ``G.pth``.

    Args:
        config: the settings it was trained with, by the names of that code's command line. ``BN_eps`` is the
            only one that the file does not say by itself.
    """
    if "output_layer.0.gain" not in content.keys:
        raise ValueError(f"{content.path}: holds BigGAN-PyTorch's discriminator; give G_ema.pth or G.pth")
    file = _File(content.path, content.value)
    epsilon = file.epsilon(config)
    deep = "blocks.0.0.conv4.weight" in file.tensors
    architecture, sources = (_deep if deep else _biggan)(file, epsilon)
    _check_config(file, architecture, config or {})
    family = BigGANDeep if deep else BigGAN
    return assemble(family, architecture, file.path, file.tensors, sources, UNUSED)


class _File:
    """The tensors of a file, by their shapes; and where each of ours comes from."""

    def __init__(self, path: Path, tensors: Mapping[str, Any]) -> None:
        self.path, self.tensors = path, tensors
        self.num_blocks = numbered(path, tensors, "blocks.{}.0.conv1.weight")

    def shape(self, name: str, axes: int) -> tuple[int, ...]:
        """Of a tensor with so many axes."""
        return tuple(size_of(self.path, self.tensors, name, axis, axes) for axis in range(axes))

    def epsilon(self, config: Mapping[str, Any] | None) -> float:
        value = (config or {}).get("BN_eps")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
            got = "" if value is None else f"BN_eps: got {shown(value)}. "
            raise ValueError(
                f"{self.path}: {got}A BigGAN-PyTorch file does not say its BN_eps; give a --config with "
                '{"BN_eps": 1e-5}, or 1e-4 for the models that were converted from TF Hub'
            )
        return float(value)

    def channels(self, last_conv: str) -> tuple[int, ...]:
        """Of the first features, and after each block."""
        first = self.shape("blocks.0.0.conv1.weight", 4)[1]
        after = (self.shape(f"blocks.{i}.0.{last_conv}.weight", 4)[0] for i in range(self.num_blocks))
        return (first, *after)

    def attention(self) -> tuple[int, ...]:
        return tuple(i + 1 for i in range(self.num_blocks) if f"blocks.{i}.1.theta.weight" in self.tensors)

    def bottom_width(self, channels: int) -> int:
        return max(1, math.isqrt(self.shape("linear.weight", 2)[0] // channels))

    def weight(self, name: str, up: bool = False) -> Taken:
        """A weight as it acts; ``up``: for a convolution of upsampled features."""
        names = self.weight_names(name)
        if up:
            return taken(*names, change=lambda *parts: doubling_kernel(as_it_acts(*parts)))
        return taken(*names, change=as_it_acts)

    def weight_names(self, name: str) -> tuple[str, ...]:
        return tuple(f"{name}.{part}" for part in ("weight", "u0") if f"{name}.{part}" in self.tensors) or (
            f"{name}.weight",
        )

    def conv(self, ours: str, theirs: str, up: bool = False) -> Sources:
        return {f"{ours}.weight": self.weight(theirs, up), f"{ours}.bias": f"{theirs}.bias"}

    def block(self, index: int, latent_dim: int, up: tuple[bool, ...]) -> Sources:
        """The normalisations and convolutions of a block, ``up`` saying of which the input is upsampled."""
        sources: Sources = {}
        for number, doubled in enumerate(up):
            ours, theirs = f"blocks.{index}", f"blocks.{index}.0"
            sources |= self.conv(f"{ours}.convs.{number}", f"{theirs}.conv{number + 1}", doubled)
            sources |= self.norm(f"{ours}.norms.{number}", f"{theirs}.bn{number + 1}", latent_dim)
        return sources

    def norm(self, ours: str, theirs: str, latent_dim: int) -> Sources:
        """One of the blocks' normalisations; their codes have the class first and ours the latent."""
        gain, bias = (self.weight_names(f"{theirs}.{part}") for part in ("gain", "bias"))
        embedded = "shared.weight" in self.tensors  # if not, they are tables with one row for each class
        # With --cross_replica that code adds the gain in evaluation, where it otherwise multiplies by it.
        adds = f"{theirs}.bn.running_mean" in self.tensors

        def affine(*parts: Tensor) -> Tensor:
            pair = [as_it_acts(*parts[: len(gain)]), as_it_acts(*parts[len(gain) :])]
            if not embedded:
                pair = [weight.t() for weight in pair]
            if adds:
                pair = [torch.zeros_like(pair[0]), pair[0] + check_shape(pair[1], pair[0].shape)]
            weight = torch.cat(pair)
            return latent_first(weight, weight.shape[1] - latent_dim)

        channels = self.shape(f"{theirs}.gain.weight", 2)[0 if embedded else 1]
        constant = torch.cat([torch.ones(channels), torch.full([channels], float(adds))])
        return {
            f"{ours}.affine.weight": taken(*gain, *bias, change=affine),
            f"{ours}.affine.bias": constant,
            **self.statistics(f"{ours}.statistics", theirs),
        }

    def statistics(self, ours: str, theirs: str) -> Sources:
        """Where each of its three kinds of normalisation keeps them."""
        counter = f"{theirs}.bn.accumulation_counter"
        if counter in self.tensors:  # --mybn: sums, where standing statistics were accumulated
            return {
                f"{ours}.{part}": taken(name, counter, change=_averaged)
                for part, name in (
                    ("mean", f"{theirs}.bn.stored_mean"),
                    ("variance", f"{theirs}.bn.stored_var"),
                )
            }
        stored = f"{theirs}.stored"
        if f"{theirs}.bn.running_mean" in self.tensors:  # --cross_replica
            stored = f"{theirs}.bn.running"
        return {f"{ours}.mean": f"{stored}_mean", f"{ours}.variance": f"{stored}_var"}

    def rest(self, channels: tuple[int, ...]) -> Sources:
        """All but the blocks."""
        sources: Sources = {
            "first.weight": self.weight("linear"),
            "first.bias": "linear.bias",
            "last.scale": "output_layer.0.gain",
            "last.shift": "output_layer.0.bias",
            **self.statistics("last.statistics", "output_layer.0"),
            **self.conv("last.conv", "output_layer.2"),
        }
        if "output_layer.0.bn.running_mean" in self.tensors:
            sources["last.scale"] = torch.ones(channels[-1])
            sources["last.shift"] = taken("output_layer.0.gain", "output_layer.0.bias", change=_added)
        if "shared.weight" in self.tensors:
            sources["embedding.weight"] = taken("shared.weight", change=Tensor.t)
        for index in self.attention():
            theirs = f"blocks.{index - 1}.1"
            for ours, name in ATTENTION.items():
                sources[f"attention.{index}.{ours}.weight"] = self.weight(f"{theirs}.{name}")
            sources[f"attention.{index}.gain"] = f"{theirs}.gamma"
        return sources


def _averaged(total: Tensor, num: Tensor) -> Tensor:
    return (total / check_shape(num, [1]).clamp(min=1))[None]


def _added(gain: Tensor, bias: Tensor) -> Tensor:
    return gain + check_shape(bias, gain.shape)


def as_it_acts(weight: Tensor, vector: Tensor | None = None) -> Tensor:
    """A weight divided by its largest singular value, by one power iteration from the stored left vector.

    Source: Miyato et al., arXiv 1802.05957, algorithm 1; here the iteration is run, and not kept.
    """
    if vector is None:
        return weight
    matrix = weight.flatten(1)
    right = F.normalize(check_shape(vector, [1, len(matrix)]) @ matrix, dim=1)
    left = F.normalize(right @ matrix.t(), dim=1)
    sigma = (right @ matrix.t() @ left.t()).squeeze()
    if not sigma.abs() > 0:
        raise RuntimeError("its largest singular value comes out as 0")
    return weight / sigma


def latent_first(weight: Tensor, class_dim: int) -> Tensor:
    """Of a weight that reads a class and then a latent; ours reads the latent first."""
    return torch.cat([weight[:, class_dim:], weight[:, :class_dim]], 1)


def _biggan(file: _File, epsilon: float) -> tuple[BigGANConfig, Sources]:
    channels = file.channels("conv2")
    chunk = file.shape("linear.weight", 2)[1]
    inputs = file.shape("blocks.0.0.bn1.gain.weight", 2)
    if "shared.weight" in file.tensors:
        label_dim, embed_dim = file.shape("shared.weight", 2)
        hierarchical = inputs[1] == embed_dim + chunk
    else:
        label_dim, embed_dim, hierarchical = inputs[0], None, False
    config = configured(
        file.path,
        BigGANConfig,
        channels=channels,
        latent_dim=chunk * len(channels) if hierarchical else chunk,
        label_dim=label_dim,
        embed_dim=embed_dim,
        hierarchical=hierarchical,
        attention=file.attention(),
        bottom_width=file.bottom_width(channels[0]),
        epsilon=epsilon,
    )
    sources = file.rest(channels)
    for index in range(file.num_blocks):
        sources |= file.block(index, chunk if hierarchical else 0, up=(True, False))
        shortcut = (f"blocks.{index}.shortcut", f"blocks.{index}.0.conv_sc")
        sources |= file.conv(*shortcut)
    return config, sources


def _deep(file: _File, epsilon: float) -> tuple[BigGANDeepConfig, Sources]:
    channels = file.channels("conv4")
    label_dim, embed_dim = file.shape("shared.weight", 2)
    inputs = file.shape("linear.weight", 2)[1]
    # Each resolution has two blocks, of which the first keeps its channels; or in the network for 32², where
    # the channels are all the same, a third of all blocks. (Other depths do not run in that code.)
    depth = 2 if len(set(channels)) > 1 else max(1, file.num_blocks // 3)
    up = tuple(index % depth == depth - 1 for index in range(file.num_blocks))
    config = configured(
        file.path,
        BigGANDeepConfig,
        channels=channels,
        up=up,
        latent_dim=inputs - embed_dim,
        label_dim=label_dim,
        embed_dim=embed_dim,
        attention=file.attention(),
        bottom_width=file.bottom_width(channels[0]),
        num_statistics=1,
        epsilon=epsilon,
        last_epsilon=LAST_EPSILON,
    )
    first = taken(
        *file.weight_names("linear"), change=lambda *parts: latent_first(as_it_acts(*parts), embed_dim)
    )
    sources: Sources = file.rest(channels) | {"first.weight": first}
    for index in range(file.num_blocks):
        sources |= file.block(index, inputs - embed_dim, up=(False, up[index], False, False))
    return config, sources


def _check_config(
    file: _File, architecture: BigGANConfig | BigGANDeepConfig, config: Mapping[str, Any]
) -> None:
    """Raises a ValueError where the settings that were given are not those of the file."""
    found = {
        "resolution": 4 * architecture.resolution // architecture.bottom_width,
        "n_classes": architecture.label_dim,
        "G_shared": architecture.embed_dim is not None,
        "hier": isinstance(architecture, BigGANDeepConfig) or architecture.hierarchical,
    }
    for name, value in found.items():
        if name in config and config[name] != value:
            raise ValueError(f"{file.path}: has {name} = {value}, and --config says {shown(config[name])}")
    for name, words in EXPECTED.items():
        if name in config and shown(config[name]) not in words:
            raise ValueError(
                f"{file.path}: {name} is {shown(config[name])}, expected {' or '.join(words)}; this variant "
                "cannot be read"
            )
