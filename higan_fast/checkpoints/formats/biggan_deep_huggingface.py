"""BigGAN-deep as Hugging Face's pytorch-pretrained-BigGAN keeps it: a folder of config.json and weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from higan_fast.checkpoints.contents import Content, is_state_dict, shown
from higan_fast.checkpoints.conversion import (
    Taken,
    assemble,
    check_shape,
    configured,
    expect_no_config,
    size_of,
    taken,
)
from higan_fast.generators.base import Generator
from higan_fast.generators.biggan_deep import BigGANDeep, BigGANDeepConfig
from higan_fast.generators.biggan_layers import doubling_kernel

NAME = "Hugging Face BigGAN-deep folder"
GENERATOR = {"embeddings.weight", "generator.gen_z.weight_orig"}
LAYER = "[upsamples, inputs, outputs]"  # in config.json
ATTENTION = {"query": "theta", "key": "phi", "value": "g", "out": "o_conv"}  # ours → theirs

Sources = dict[str, str | Taken | Tensor]


def recognises(content: Content) -> bool:
    if content.kind != "folder":
        return False
    weights = content.value["weights"]
    return is_state_dict(weights) and set(weights) >= GENERATOR


def read(content: Content, config: Mapping[str, Any] | None) -> Generator:
    """The generator in a folder; its config.json says which blocks upsample, and where attention is."""
    path, tensors = content.path, content.value["weights"]
    expect_no_config(path, config)
    up, position, epsilon = _settings(path, content.value["config"])
    # Ours are blocks alone; in theirs attention has a place of its own.
    blocks = [f"generator.layers.{index + (index >= position)}" for index in range(len(up))]
    embed_dim = size_of(path, tensors, "embeddings.weight", 0, 2)
    architecture = configured(
        path,
        BigGANDeepConfig,
        channels=(
            size_of(path, tensors, f"{blocks[0]}.bn_0.running_means", 1, 2),
            *(size_of(path, tensors, f"{block}.conv_3.bias", 0, 1) for block in blocks),
        ),
        up=up,
        latent_dim=size_of(path, tensors, "generator.gen_z.weight_orig", 1, 2) - embed_dim,
        label_dim=size_of(path, tensors, "embeddings.weight", 1, 2),
        embed_dim=embed_dim,
        attention=(position,) if position < len(up) else (),
        num_statistics=size_of(path, tensors, "generator.bn.running_means", 0, 2),
        epsilon=epsilon,
        last_epsilon=epsilon,
    )
    _check_config(path, content.value["config"], architecture)
    # Old versions of torch stored each weight twice: also divided, as it acted when it was last used.
    once = {name: tensor for name, tensor in tensors.items() if not _is_twice(name, tensors)}
    return assemble(BigGANDeep, architecture, path, once, _sources(architecture, blocks))


def _is_twice(name: str, tensors: Mapping[str, Any]) -> bool:
    return name.endswith(".weight") and f"{name}_orig" in tensors


def _settings(path: Path, config: Mapping[str, Any]) -> tuple[tuple[bool, ...], int, float]:
    """What the weights do not say: which blocks upsample, before which is attention, and epsilon."""
    layers, position, epsilon = (config.get(name) for name in ("layers", "attention_layer_position", "eps"))
    if not isinstance(layers, list) or not layers:
        raise ValueError(f"{path}: config.json: layers is {shown(layers)}, expected a list of {LAYER}")
    for index, layer in enumerate(layers):
        if not _is_layer(layer):
            raise ValueError(f"{path}: config.json: layers[{index}] is {shown(layer)}, expected {LAYER}")
    if isinstance(position, bool) or not isinstance(position, int) or position < 0:
        raise ValueError(
            f"{path}: config.json: attention_layer_position is {shown(position)}, expected a layer's index"
        )
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 < epsilon < 1:
        raise ValueError(f"{path}: config.json: eps is {shown(epsilon)}, expected a number such as 0.0001")
    return tuple(layer[0] for layer in layers), position, float(epsilon)


def _check_config(path: Path, config: Mapping[str, Any], architecture: BigGANDeepConfig) -> None:
    """Raises ValueError where config.json contradicts the weights, or its layers."""
    found = {
        "z_dim": architecture.latent_dim,
        "num_classes": architecture.label_dim,
        "n_stats": architecture.num_statistics,
        "output_dim": architecture.resolution,
    }
    for name, value in found.items():
        if name in config and shown(config[name]) != str(value):
            problem = f"{name} is {shown(config[name])}, and the weights say {value}"
            raise ValueError(f"{path}: config.json: {problem}")


def _is_layer(layer: Any) -> bool:
    return isinstance(layer, list) and len(layer) == 3 and isinstance(layer[0], bool)


def _sources(config: BigGANDeepConfig, blocks: list[str]) -> Sources:
    channels, first = config.channels[0], "generator.gen_z"
    sources: Sources = {
        "embedding.weight": "embeddings.weight",
        "first.weight": taken(
            *_parts(first), change=lambda *parts: _channels_first(as_it_acts(*parts), channels)
        ),
        "first.bias": taken(f"{first}.bias", change=lambda bias: _channels_first(bias, channels)),
        "last.scale": "generator.bn.weight",
        "last.shift": "generator.bn.bias",
        **_statistics("last.statistics", "generator.bn"),
        **_conv("last.conv", "generator.conv_to_rgb", outputs=3),  # it makes more, and shows the first three
    }
    for index, block in enumerate(blocks):
        for number in range(4):
            normed = config.channels[index] // (1 if number == 0 else 4)
            sources |= _norm(f"blocks.{index}.norms.{number}", f"{block}.bn_{number}", normed)
            up = config.up[index] and number == 1
            sources |= _conv(f"blocks.{index}.convs.{number}", f"{block}.conv_{number}", up=up)
    for position in config.attention:
        theirs = f"generator.layers.{position}"
        for ours, name in ATTENTION.items():
            sources[f"attention.{position}.{ours}.weight"] = _weight(f"{theirs}.snconv1x1_{name}")
        sources[f"attention.{position}.gain"] = f"{theirs}.gamma"
    return sources


def _parts(name: str) -> list[str]:
    """The tensors of a weight."""
    return [f"{name}.{part}" for part in ("weight_orig", "weight_u", "weight_v")]


def _weight(name: str, up: bool = False, outputs: int | None = None) -> Taken:
    """A weight as it acts; of its first ``outputs``; ``up``: for a convolution of upsampled features."""

    def change(*parts: Tensor) -> Tensor:
        weight = as_it_acts(*parts)[:outputs]
        return doubling_kernel(weight) if up else weight

    return taken(*_parts(name), change=change)


def _conv(ours: str, theirs: str, up: bool = False, outputs: int | None = None) -> Sources:
    bias = taken(f"{theirs}.bias", change=lambda bias: bias[:outputs])
    return {f"{ours}.weight": _weight(theirs, up, outputs), f"{ours}.bias": bias}


def _norm(ours: str, theirs: str, channels: int) -> Sources:
    def affine(*parts: Tensor) -> Tensor:
        return torch.cat([as_it_acts(*parts[:3]), as_it_acts(*parts[3:])])

    return {
        f"{ours}.affine.weight": taken(
            *_parts(f"{theirs}.scale"), *_parts(f"{theirs}.offset"), change=affine
        ),
        f"{ours}.affine.bias": torch.cat([torch.ones(channels), torch.zeros(channels)]),
        **_statistics(f"{ours}.statistics", theirs),
    }


def _statistics(ours: str, theirs: str) -> Sources:
    return {f"{ours}.mean": f"{theirs}.running_means", f"{ours}.variance": f"{theirs}.running_vars"}


def as_it_acts(weight: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """A weight divided by its largest singular value, as the stored singular vectors give it.

    Source: Miyato et al., arXiv 1802.05957, §2.1; torch's ``spectral_norm`` in evaluation.
    """
    matrix = weight.flatten(1)
    sigma = check_shape(left, matrix.shape[:1]) @ (matrix @ check_shape(right, matrix.shape[1:]))
    if not sigma.abs() > 0:
        raise RuntimeError("its largest singular value comes out as 0")
    return weight / sigma


def _channels_first(values: Tensor, channels: int) -> Tensor:
    """Of what makes the first features ``[4 · 4 · C, ...]``, there in rows, columns, channels."""
    return values.unflatten(0, (4, 4, channels)).movedim(2, 0).flatten(0, 2)
