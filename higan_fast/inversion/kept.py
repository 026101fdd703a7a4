"""What a long optimisation is kept in every few seconds, so that one that is killed goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.files import DamagedError, read_arrays, write_arrays
from higan_fast.progress import say

SECONDS = 5.0  # between two writes, at least ...
TIMES = 20  # ... and as many times as long as a write takes

Arrays = dict[str, NDArray[Any]]


class Keeper:
    """One file with the last state of a job, under a key that says what decides how it goes on."""

    def __init__(self, file: Path | None, key: str) -> None:
        """``file``: None keeps nothing."""
        self.file, self.key = file, key
        self._last, self._wait = time.monotonic(), SECONDS

    def found(self) -> Arrays | None:
        """The state that an earlier run under the same key left; None where it left none."""
        if self.file is None:
            return None
        try:
            arrays = read_arrays(self.file)
        except FileNotFoundError:
            return None
        except DamagedError as error:
            say(f"{error}; begun anew")
            return None
        return arrays if str(arrays.pop("key", "")) == self.key else None

    @property
    def is_due(self) -> bool:
        """Whether it is time to write again."""
        return time.monotonic() - self._last >= self._wait

    def keep(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Writes a state, whole or not at all."""
        began = time.monotonic()
        if self.file is not None:
            write_arrays(self.file, {**arrays, "key": np.array(self.key)})
        self._last = time.monotonic()
        self._wait = max(SECONDS, TIMES * (self._last - began))

    def drop(self) -> None:
        """Removes the file: what came of the job is kept elsewhere."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)
