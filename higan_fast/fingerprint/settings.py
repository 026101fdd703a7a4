"""The comparison of the settings of two runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NETWORKS = ("generator", "predictor")


def check_same(where: object, stored: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Raises ValueError, naming the first setting in which two runs differ and both of its values."""
    differing = first_difference(stored, current)
    if differing is not None:
        name, old, new = differing
        advice = "use the settings that it was made with, or another folder"
        if name in NETWORKS:
            advice = (
                f"these are fingerprints of its code, attributes and weights; use the {name} that it was "
                "made with, or another folder, or name what may change in it by identity='…'"
            )
        raise ValueError(f"{where}: was made with {name} = {old!r}, and this run has {new!r}; {advice}")


def first_difference(
    stored: Mapping[str, Any], current: Mapping[str, Any], prefix: str = ""
) -> tuple[str, Any, Any] | None:
    """The first setting in which two runs differ: its name, the stored value and the current one."""
    for name in [*current, *(name for name in stored if name not in current)]:
        old, new = stored.get(name), current.get(name)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            return first_difference(old, new, f"{prefix}{name}.")
        return f"{prefix}{name}", old, new
    return None
