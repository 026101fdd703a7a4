"""Files of what has been measured so far, each under a key that says what it is of."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from higan_fast.files import DamagedError, read_arrays, write_arrays
from higan_fast.probing.tally import Effects
from higan_fast.progress import say

Array = NDArray[np.float64]


class Measured(NamedTuple):
    """Effects of directions on some samples, and those of single samples that ``Tally`` keeps."""

    effects: Effects
    own: Array  # [n, B, sets]
    null: Array  # [n, M − B, B]

    @property
    def num(self) -> int:
        """How many samples there are so far."""
        return len(self.own)

    def merge(self, other: Measured) -> Measured:
        """Returns the measurement of the samples of both."""
        own, null = np.concatenate([self.own, other.own]), np.concatenate([self.null, other.null])
        return Measured(self.effects.merge(other.effects), own, null)

    def save(self, path: Path, key: str) -> None:
        """Writes a file, whole or not at all."""
        save_arrays(path, key, **self.effects._asdict(), own=self.own, null=self.null)

    @classmethod
    def load(cls, path: Path, key: str) -> Measured | None:
        """Reads what was saved under the same key; returns None where there is no such file.

        A file of an older version, which lacks something, counts as none.
        """
        arrays = load_arrays(path, key)
        if arrays is None or not arrays.keys() >= {*Effects._fields, "own", "null"}:
            return None
        return cls(Effects._make(arrays[name] for name in Effects._fields), arrays["own"], arrays["null"])


def save_arrays(path: Path, key: str, **arrays: NDArray[Any]) -> None:
    """Writes arrays under a key."""
    write_arrays(path, {"key": np.array(key), **arrays})


def load_arrays(path: Path, key: str) -> dict[str, NDArray[Any]] | None:
    """Reads arrays; returns None where there is no file, or a damaged one, or one with another key."""
    arrays = undamaged(path)
    return arrays if arrays is not None and str(arrays.pop("key")) == key else None


def stored_keys(folder: Path) -> dict[Path, dict[str, Any]]:
    """Returns the keys of all files in a folder, parsed; leaves out damaged files."""
    read = {path: undamaged(path) for path in sorted(folder.glob("*.npz"))}
    return {path: json.loads(str(arrays["key"])) for path, arrays in read.items() if arrays is not None}


def undamaged(path: Path) -> dict[str, NDArray[Any]] | None:
    """Reads a file; returns None where there is none. A damaged one is named, and removed."""
    try:
        return read_arrays(path)
    except FileNotFoundError:
        return None
    except DamagedError as error:
        say(f"{error}; what it held is measured again")
        path.unlink()
        return None


def key_of(**settings: Any) -> str:
    """Returns the key of some settings: JSON text."""
    return json.dumps(settings, sort_keys=True)


def name_of(key: str) -> str:
    """Returns a short name for whatever has a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def hash_of(*arrays: NDArray[Any]) -> str:
    """Returns a hash of what is in arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]
