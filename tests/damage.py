"""What happens to files: bytes flip, the end is lost, garbage is written, or all is gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np


def flip(path: Path, seed: int) -> None:
    """Flips one bit."""
    data = bytearray(path.read_bytes())
    random = np.random.default_rng(seed)
    data[random.integers(len(data))] ^= 1 << int(random.integers(8))
    path.write_bytes(bytes(data))


def truncate(path: Path, seed: int) -> None:
    """Loses the end."""
    data = path.read_bytes()
    path.write_bytes(data[: np.random.default_rng(seed).integers(len(data))])


DAMAGES: dict[str, Callable[[Path, int], None]] = {
    "flipped": flip,
    "truncated": truncate,
    "empty": lambda path, seed: path.write_bytes(b"") and None,
    "an empty object": lambda path, seed: path.write_text("{}") and None,
    "garbage": lambda path, seed: path.write_bytes(bytes(range(256)) * 4) and None,
    "deleted": lambda path, seed: path.unlink(),
}
