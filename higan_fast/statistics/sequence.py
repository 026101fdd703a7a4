"""What every confidence sequence is: bounds on many means that hold at every number of samples at once."""

from __future__ import annotations

import abc

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
IndexArray = NDArray[np.intp]


class ConfidenceSequence(abc.ABC):
    """Running statistics of E means, with bounds that hold at every number of samples at once.

    Each entry is the mean of values that are i.i.d. over samples; different entries may depend on each other.
    You may look at the bounds at any time, stop at any time, and drop entries at any time. Samples are added
    one by one in their order, so how they are split into updates does not change a single bit.

    Attributes:
        count: number of samples of each entry, ``[E]``.
        mean: ``[E]``.
    """

    def __init__(self, num: int) -> None:
        self.count = np.zeros(num, np.int64)
        self.mean = np.zeros(num)

    @property
    def ready(self) -> NDArray[np.bool_]:
        """Of which entries enough was seen to compare them with others, ``[E]``."""
        return np.ones(len(self.count), np.bool_)

    @abc.abstractmethod
    def update(self, values: ArrayLike, entries: IndexArray | None = None) -> None:
        """Adds samples ``[n, E]``, or ``[n, len(entries)]`` for these entries only."""

    @abc.abstractmethod
    def bounds(self, level: float) -> tuple[Array, Array]:
        """Returns (low, high), ``[E]`` each.

        The probability that the true mean is ever below low is at most ``level``, and the same holds for
        high. So a confidence of 1 − α needs ``level`` = α / 2.
        """

    @abc.abstractmethod
    def signs(self, level: float) -> NDArray[np.int8]:
        """Returns the known signs ``[E]``: 1 for a mean above 0, −1 for a mean below 0, 0 for unknown.

        For an entry whose mean is at most 0, the probability of ever getting 1 is at most ``level``; the
        same holds for −1.
        """


def checked(values: ArrayLike, num: int) -> Array:
    """Returns the values as float64 ``[n, num]``, after checking shape and finiteness."""
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or array.shape[1] != num:
        raise ValueError(f"values: got shape {list(array.shape)}, expected [n, {num}]")
    if not np.isfinite(array).all():
        raise ValueError("values: got NaN or infinity; leave out the entries that were not measured")
    return array
