"""What a stored result was made with: hashes of networks, and the comparison of settings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch


def fingerprint(module: torch.nn.Module) -> str:
    """A hash of a network: its class, and the names, shapes and values of its parameters and buffers."""
    digest = hashlib.sha256(type(module).__qualname__.encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:32]


def check_same(where: object, stored: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Raises ValueError, naming the first setting in which two runs differ and both of its values."""
    differing = _first_difference(stored, current)
    if differing is not None:
        name, old, new = differing
        raise ValueError(
            f"{where}: was made with {name} = {old!r}, and this run has {new!r}; "
            "use the settings that it was made with, or another folder"
        )


def _first_difference(
    stored: Mapping[str, Any], current: Mapping[str, Any], prefix: str = ""
) -> tuple[str, Any, Any] | None:
    for name in [*current, *(name for name in stored if name not in current)]:
        old, new = stored.get(name), current.get(name)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            return _first_difference(old, new, f"{prefix}{name}.")
        return f"{prefix}{name}", old, new
    return None
