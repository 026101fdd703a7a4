"""Checks of arguments: what one may be stands here alone, for the library and the command line alike.

A message names the argument, and in parentheses the option of the command line that sets it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

MOST = 10**9  # of anything that is counted: more ends in no time and in no memory


def check_count(name: str, count: int, at_least: int = 1, at_most: int = MOST) -> None:
    """Raises ValueError when ``count`` is no whole number, too small, or more than anybody can mean."""
    if not _is_whole(count) or count < at_least:
        raise ValueError(f"{name}: got {count!r}, expected a whole number of at least {at_least}")
    if count > at_most:
        got = count if count < 10**30 else "more than 10^30"  # Python refuses to write very long numbers
        raise ValueError(f"{name}: got {got}, expected a whole number of at most {at_most:,}")


def check_number(
    name: str, number: float, expected: str, *, above: float = -math.inf, at_least: float = -math.inf
) -> None:
    """Raises ValueError when ``number`` is not finite, not above ``above`` or not at least ``at_least``.

    Args:
        expected: says these bounds in words.
    """
    if not (_is_finite(number) and number > above and number >= at_least):
        raise ValueError(f"{name}: got {number!r}, expected {expected}")


def check_choice(name: str, choice: Any, known: Sequence[str]) -> None:
    """Raises ValueError when ``choice`` is not one of the known ones."""
    if choice not in known:
        raise ValueError(f"{name}: got {choice!r}, expected one of {', '.join(known)}")


def check_seed(seed: int) -> None:
    """Raises ValueError when ``seed`` is no integer from 0 to 2^64 - 1."""
    if not _is_whole(seed) or not 0 <= seed < 2**64:
        raise ValueError(f"seed (--seed): got {seed!r}, expected an integer from 0 to 2^64 - 1")


def check_batch_size(batch_size: int | None) -> None:
    """Raises ValueError when ``batch_size`` is neither a count nor None."""
    if batch_size is not None:
        check_count("batch_size (--batch)", batch_size)


def check_confidence(confidence: float) -> None:
    """Raises ValueError when ``confidence`` is not between 0 and 1."""
    if _is_finite(confidence) and 0 < confidence < 1:
        return
    percent = _is_finite(confidence) and 1 < confidence < 100
    hint = f"; did you mean {confidence / 100:g}?" if percent else ", such as 0.99"
    raise ValueError(
        f"confidence (--confidence): got {confidence!r}, expected a number between 0 and 1{hint}"
    )


def check_names(names: Sequence[str], known: Sequence[str], where: str) -> None:
    """Raises ValueError when a name is not among the known ones, or is given twice."""
    for index, name in enumerate(names):
        if name not in known:
            raise ValueError(
                f"semantics (--semantic): {name!r} is not one that {where} knows: {', '.join(known)}"
            )
        if name in names[:index]:
            raise ValueError(f"semantics (--semantic): got {name!r} twice, expected each name once")


def check_truncation(
    truncation_psi: float, truncation_layers: int | None, num_layers: int | None = None
) -> None:
    """Raises ValueError when the truncation is not finite or spans layers that do not exist.

    Args:
        num_layers: None: not known yet.
    """
    check_number("truncation_psi (--trunc)", truncation_psi, "a finite number; 1 truncates nothing")
    layers = truncation_layers
    if layers is None:
        return
    most = math.inf if num_layers is None else num_layers
    if not _is_whole(layers) or not 0 <= layers <= most:
        expected = "a whole number of at least 0" if num_layers is None else f"0 to {num_layers}"
        raise ValueError(
            f"truncation_layers (--trunc-layers): got {layers!r}, expected {expected}, or none for all layers"
        )


def check_label(label: int | None, label_dim: int | None = None) -> None:
    """Raises ValueError when ``label`` is no class of a generator that has ``label_dim`` of them.

    Args:
        label_dim: 0: the generator is unconditional; None: not known yet.
    """
    if label is None:
        return
    if label_dim == 0:
        raise ValueError(f"label (--class): got {label!r}, but this generator is unconditional; leave it out")
    if not _is_whole(label) or not 0 <= label < (math.inf if label_dim is None else label_dim):
        expected = "a whole number of at least 0" if label_dim is None else f"0 to {label_dim - 1}"
        raise ValueError(
            f"label (--class): got {label!r}, expected {expected}; without it, each sample draws its own"
        )


def check_folder(path: str | Path) -> None:
    """Raises when no run folder can be made at ``path``.

    Raises:
        ValueError: when the path is empty.
        OSError: when a file stands in the way, or the folder cannot be written to.
    """
    if str(path) == "":
        raise ValueError("out (--out): got an empty path, expected a folder; '.' is the current one")
    existing = Path(path).absolute()
    while not (existing.exists() or existing.is_symlink()):
        existing = existing.parent
    if not existing.is_dir():
        raise NotADirectoryError(
            f"out (--out): cannot write {path}: {existing} is not a folder; choose another folder"
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(
            f"out (--out): cannot write {path}: {existing} is read-only; choose another folder"
        )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float | np.floating) and math.isfinite(value))
