"""Loads our weights into a peer's network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def with_weights(network: Any, state: dict[str, Tensor], constant: str, device: torch.device) -> Any:
    """Loads ``state`` into the network; only entries whose names end with ``constant`` may be missing."""
    network = network.eval().requires_grad_(False).to(device)
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith(constant) for name in missing), (missing, unexpected)
    return network
