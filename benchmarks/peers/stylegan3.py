"""The generator of a stylegan3 checkout, with our generator's weights."""

from __future__ import annotations

import types
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.torch_version import TorchVersion

from benchmarks.parity.row import importing
from benchmarks.peers.weights import with_weights
from higan_fast.checkpoints.formats.stylegan3_names import sources_of
from higan_fast.generators.stylegan3 import StyleGAN3


def load_peer(checkout: Path, generator: StyleGAN3) -> Any:
    """Returns the peer's synthesis network, which computes the same as ``generator``; it has no classes.

    Args:
        checkout: folder of the peer's code.
        generator: source of the weights and the device; its channels are those of some ``channel_base``.
    """
    versions: Any = types.ModuleType("pkg_resources")
    versions.parse_version = TorchVersion
    config, stubs = generator.config, {"requests": types.ModuleType("requests"), "pkg_resources": versions}
    with importing(checkout, **stubs):
        network = import_module("training.networks_stylegan3").SynthesisNetwork(
            config.code_dim, config.resolution, 3,
            channel_base=config.channels[-1] * config.resolution, channel_max=max(config.channels),
            num_layers=len(config.channels), conv_kernel=config.kernel, use_radial_filters=config.radial,
        )  # fmt: skip
    return with_weights(network, peer_state(generator), "nothing", generator.device)


def peer_state(generator: StyleGAN3) -> dict[str, Tensor]:
    """Returns our synthesis weights under the peer's names."""
    ours = generator.state_dict()
    sources = sources_of(generator.config, [layer.name for layer in generator.layers[1:]], {})
    return {
        theirs.removeprefix("synthesis."): ours[name]
        for name, theirs in sources.items()
        if isinstance(theirs, str) and theirs.startswith("synthesis.")
    }
