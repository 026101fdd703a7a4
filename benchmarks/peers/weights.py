"""Hands our weights to a peer's network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def with_weights(network: Any, state: dict[str, Tensor], constant: str, device: torch.device) -> Any:
    """The network, ready to run with ``state``. What never changes has names that end with ``constant``."""
    network = network.eval().requires_grad_(False).to(device)
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith(constant) for name in missing), (missing, unexpected)
    return network
