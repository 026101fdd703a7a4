"""Where the samples of the page come from: those of a run, or codes that somebody has."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from higan_fast.engine.inputs import as_codes
from higan_fast.generators.base import Generator
from higan_fast.sampling.samples import Samples

Array = NDArray[np.float32]

MOST_KEPT = 256  # codes of samples of a run, which are read one by one


class Source(Protocol):
    """Samples, by their index.

    Attributes:
        kind: what they are.
        names: of each; None: they have none.
        drawn_by: a network that was tuned around them and draws them; None: that of the run does.
        notes: what the page says of them.
    """

    kind: Literal["samples", "codes"]
    names: Sequence[str] | None
    drawn_by: Generator | None
    notes: Sequence[str]

    def __len__(self) -> int: ...

    def codes(self, index: int) -> Array:
        """Returns the layer codes of a sample, ``[L, D]``."""

    def scores(self) -> Array | None:
        """Returns the scores of all samples, ``[N, S]``; None: they were not scored."""


class OfRun:
    """The samples of a run; codes are read from its store when they are asked for."""

    kind: Literal["samples", "codes"] = "samples"
    names: Sequence[str] | None = None
    drawn_by: Generator | None = None
    notes: Sequence[str] = ()

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._kept = lru_cache(MOST_KEPT)(self._read)

    def __len__(self) -> int:
        return len(self._samples)

    def codes(self, index: int) -> Array:
        return self._kept(index)

    def scores(self) -> Array:
        return self._samples.scores

    def _read(self, index: int) -> Array:
        return self._samples.part(index, index + 1).codes[0]


class Given:
    """Codes that somebody has, ``[N, L, D]``, as torch, NumPy or CuPy array, of a generator; see ``Source``.

    Raises:
        ValueError: when they are not of the generator's shape, none, not finite, or have not as many names.
    """

    kind: Literal["samples", "codes"] = "codes"

    def __init__(
        self,
        codes: Any,
        names: Sequence[str] | None,
        generator: Generator,
        drawn_by: Generator | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.drawn_by, self.notes = drawn_by, notes
        self._codes: Array = as_codes(codes, generator).cpu().float().numpy()
        self.names = names
        if not len(self._codes):
            raise ValueError("codes (--codes): got none, expected at least one")
        if names is not None and len(names) != len(self._codes):
            raise ValueError(f"names: got {len(names)} for {len(self._codes)} codes, expected one for each")

    def __len__(self) -> int:
        return len(self._codes)

    def codes(self, index: int) -> Array:
        return self._codes[index]

    def scores(self) -> None:
        return None
