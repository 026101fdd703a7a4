"""The generator of a stylegan2-ada-pytorch checkout, with our generator's weights."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.peers.weights import with_weights
from higan_fast.generators.stylegan2 import StyleGAN2


def load_peer(checkout: Path, generator: StyleGAN2, half: bool = False) -> Any:
    """Returns the peer's synthesis network, which computes the same as ``generator``.

    Args:
        checkout: folder of the peer's code.
        generator: source of the weights and the device.
        half: whether to use its fast path: float16 and channels-last in the four highest resolutions, clamped
            to ±256.

    Raises:
        ImportError: if a module that it needs is not installed.
    """
    networks = _networks(checkout)
    config = generator.config
    options: dict[str, Any] = {"num_fp16_res": 0}
    if half:
        options = {"num_fp16_res": 4, "conv_clamp": 256, "fp16_channels_last": True}
    network = networks.Generator(
        config.latent_dim, 0, config.code_dim, config.resolution, 3,
        synthesis_kwargs={
            "channel_base": config.resolution * config.channels[config.resolution],
            "channel_max": max(config.channels.values()),
            **options,
        },
    )  # fmt: skip
    return with_weights(network.synthesis, peer_state(generator), ".resample_filter", generator.device)


def peer_state(generator: StyleGAN2) -> dict[str, Tensor]:
    """Returns our synthesis weights under the peer's names, except for the constant FIR filters."""
    synthesis = generator.synthesis
    state = {"b4.const": synthesis.const[0]}
    for index, resolution in enumerate(sorted(generator.config.channels)):
        parts = {"conv1": synthesis.convs[2 * index], "torgb": synthesis.rgbs[index]}
        if index > 0:
            parts["conv0"] = synthesis.convs[2 * index - 1]
        for part, module in parts.items():
            for name, value in module.state_dict().items():
                if name != "resample_filter":
                    state[f"b{resolution}.{part}.{name}"] = value
    return {name: value.detach() for name, value in state.items()}


def lacks_plugins() -> bool:
    """Whether the peer failed to compile its own kernels; call this after it has run on CUDA."""
    ops: list[Any] = [sys.modules[f"torch_utils.ops.{name}"] for name in ("bias_act", "upfirdn2d")]
    return any(op._plugin is None for op in ops)


def _networks(checkout: Path) -> types.ModuleType:
    """Imports the peer's module, with a stand-in for requests, which is only needed for downloads."""
    if importlib.util.find_spec("requests") is None:
        sys.modules.setdefault("requests", types.ModuleType("requests"))
    if str(checkout) not in sys.path:
        sys.path.append(str(checkout))
    return importlib.import_module("training.networks")
