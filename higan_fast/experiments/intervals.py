"""Intervals of means over samples, and where these can say nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from higan_fast.statistics.dose import Means

Array = NDArray[np.float64]


def interval(values: Array, reach: Array | float, confidence: float) -> tuple[Array, Array, Array]:
    """Returns means over samples and the ends of their intervals: three arrays ``[...]``.

    By betting where the reach of a value is known, which holds for every distribution; else Student's.

    Args:
        values: ``[N, ...]``, samples that were not chosen by their values.
        reach: their largest possible magnitude, ``[...]`` or one for all; inf where it is not known.
        confidence: of each interval.
    """
    shape = values.shape[1:]
    flat = values.reshape(len(values), -1)
    means = Means(flat, np.broadcast_to(np.asarray(reach, np.float64), shape).ravel(), keep=True)
    low, high = means.bounds((1 - confidence) / 2)
    return means.mean.reshape(shape), low.reshape(shape), high.reshape(shape)
