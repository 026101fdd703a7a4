"""Corrections for many tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def holm(p_values: ArrayLike) -> Array:
    """Returns p-values adjusted for multiple tests (Holm 1979), in the same shape.

    Rejecting where the adjusted value is at most α keeps the probability of any false rejection at or below
    α, however the tests depend on each other.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, axis=None)
    factors = np.arange(p.size, 0, -1)
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(np.maximum.accumulate(p.ravel()[order] * factors), 1.0)
    return adjusted.reshape(p.shape)
