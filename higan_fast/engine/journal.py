"""Scores of a walk, kept on disk every few seconds, so that one that is killed goes on where it was."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from higan_fast.files import DamagedError, read_arrays, write_arrays
from higan_fast.progress import say

# So much work can be lost. The second bound is for devices that are far behind what the host has asked for.
SECONDS, SCORES = 5.0, 16_384


class Journal:
    """Keeps the scores of a walk in the order in which they come, in files of a few seconds each.

    Attributes:
        kept: those that an earlier walk under the same key left, ``[K, S]``; None where it left none.
        num_files: in how many files they lie, and what has been added.
    """

    def __init__(self, path: Path, key: str) -> None:
        """Reads what is there.

        Args:
            path: without an ending; the files are ``PATH.0.npz``, ``PATH.1.npz`` and so on.
            key: says what decides the scores and their order. Files under another key are not read, and are
                written over.
        """
        self.path, self.key = path, key
        self._pending: list[Tensor] = []
        self._last, self.num_files = time.monotonic(), 0
        found: list[Tensor] = []
        while (scores := self._read(sum(map(len, found)))) is not None:
            found.append(scores)
            self.num_files += 1
        self.kept = torch.cat(found) if found else None
        self._num = self._unseen = self.num_kept

    @property
    def num_kept(self) -> int:
        """How many scores were there."""
        return 0 if self.kept is None else len(self.kept)

    def fresh(self, num: int) -> int:
        """How many of the next ``num`` scores of the walk were not there."""
        known = min(num, self._unseen)
        self._unseen -= known
        return num - known

    def add(self, scores: Tensor) -> None:
        """Takes the next scores ``[n, S]``, and writes those so far when a few seconds have gone by."""
        self._pending.append(scores)
        late = time.monotonic() - self._last >= SECONDS
        if late or sum(map(len, self._pending)) >= SCORES:
            self.flush()

    def flush(self) -> None:
        """Writes what has come and was not written yet."""
        if self._pending:
            scores = torch.cat(self._pending)
            keep_scores(self.path, self.key, self.num_files, self._num, scores)
            self._num, self.num_files, self._pending = self._num + len(scores), self.num_files + 1, []
        self._last = time.monotonic()

    def drop(self) -> None:
        """Removes the files: what came of the walk is kept elsewhere."""
        for file in self.path.parent.glob(f"{self.path.name}.*.npz"):
            file.unlink()

    def _read(self, start: int) -> Tensor | None:
        """The scores of the next file, if it goes on from ``start``."""
        return kept_scores(self.path, self.key, self.num_files, start)


def keep_scores(path: Path, key: str, number: int, start: int, scores: Tensor) -> None:
    """Writes one file of a journal.

    Args:
        path, key: of the journal.
        number: of the file.
        start: which score of the walk is the first in it.
        scores: ``[n, S]``.
    """
    write_arrays(_file(path, number), {"key": np.array(f"{start} {key}"), "scores": scores.cpu().numpy()})


def kept_scores(path: Path, key: str, number: int, start: int) -> Tensor | None:
    """Returns the scores ``[n, S]`` in one file of a journal; None: it is not there, or of something else.

    Args:
        path, key, number, start: as of ``keep_scores``.
    """
    try:
        arrays = read_arrays(_file(path, number))
    except FileNotFoundError:
        return None
    except DamagedError as error:
        say(f"{error}; what it held is measured again")
        return None
    of_this = str(arrays["key"]) == f"{start} {key}" and len(arrays["scores"])
    return torch.from_numpy(arrays["scores"]) if of_this else None


def _file(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}.npz")
