"""Checks of the arguments that several stages of a probe share."""

from __future__ import annotations

import math

import numpy as np


def check_count(name: str, count: int, at_least: int = 1) -> None:
    """Raises ValueError when ``count`` is no whole number, or too small."""
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < at_least:
        raise ValueError(f"{name}: got {count!r}, expected a whole number of at least {at_least}")


def check_seed(seed: int) -> None:
    """Raises ValueError when ``seed`` is no integer from 0 to 2^64 - 1."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
        raise ValueError(f"seed: got {seed!r}, expected an integer from 0 to 2^64 - 1")


def check_names(names: tuple[str, ...], known: tuple[str, ...], where: str) -> None:
    """Raises ValueError when a name is not among the known ones."""
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"semantics: {unknown[0]!r} is not one that {where} knows: {', '.join(known)}")


def check_truncation(psi: float, layers: int | None, num_layers: int) -> None:
    """Raises ValueError when the truncation is not finite or spans layers that do not exist."""
    if not math.isfinite(psi):
        raise ValueError(f"truncation_psi: got {psi!r}, expected a finite number; 1 truncates nothing")
    if layers is not None and not 0 <= layers <= num_layers:
        raise ValueError(f"truncation_layers: got {layers!r}, expected 0 to {num_layers}, or None for all")


def check_label(label: int | None, label_dim: int) -> None:
    """Raises ValueError when ``label`` is no class of a generator that has ``label_dim`` of them."""
    if label is None:
        return
    if label_dim == 0:
        raise ValueError(f"label (--class): got {label!r}, but this generator is unconditional; leave it out")
    if isinstance(label, bool) or not isinstance(label, int | np.integer) or not 0 <= label < label_dim:
        raise ValueError(
            f"label (--class): got {label!r}, expected 0 to {label_dim - 1}; without it, each sample draws "
            "its own"
        )
