"""The StyleGAN2 of a genforce/higan checkout, with our generator's weights."""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.parity.row import importing
from benchmarks.peers.weights import with_weights
from higan_fast.generators.stylegan2 import StyleGAN2


def load_peer(checkout: Path, generator: StyleGAN2) -> Any:
    """Returns the peer's synthesis network, built as its tools do, with the weights of ``generator``."""
    config = generator.config
    with importing(checkout):
        network = import_module("models.stylegan2_generator_network").StyleGAN2GeneratorNet(
            config.resolution, config.latent_dim, config.code_dim,
            num_mapping_layers=config.mapping_depth,
            fmaps_base=config.resolution * config.channels[config.resolution],
            fmaps_max=max(config.channels.values()),
        )  # fmt: skip
    return with_weights(network.synthesis, peer_state(generator), ".kernel", generator.device)


def peer_state(generator: StyleGAN2) -> dict[str, Tensor]:
    """Returns our synthesis weights under the peer's names, except for the constant FIR filters."""
    synthesis = generator.synthesis
    state = {"early_layer.const": synthesis.const}
    for index, conv in enumerate(synthesis.convs):
        weight = conv.weight * math.sqrt(conv.weight[0].numel())  # the peer divides by it, and flips it if up
        kernel = weight.flip(2, 3) if conv.up == 2 else weight
        noise = {"noise": conv.noise_const[None, None], "noise_strength": conv.noise_strength}
        state |= _named(f"layer{index}", conv, kernel, noise)
    for index, rgb in enumerate(synthesis.rgbs):
        state |= _named(f"output{index}", rgb, rgb.weight, {})
    return {name: value.detach() for name, value in state.items()}


def _named(part: str, layer: Any, weight: Tensor, more: dict[str, Tensor]) -> dict[str, Tensor]:
    values = {
        "weight": weight.permute(2, 3, 1, 0),  # [k, k, I, O]
        "bias": layer.bias,
        "style.fc.weight": layer.affine.weight,
        "style.bias": layer.affine.bias - 1,  # the peer adds 1
        **more,
    }
    return {f"{part}.{name}": value for name, value in values.items()}
