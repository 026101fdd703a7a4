"""Paired effects, their running moments, and Student's interval of their mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

Array = NDArray[np.float64]

# An even part of so many standard deviations of its score is large: the boundary wrecks something.
LARGE_EVEN = 0.5


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations: enough for an interval, in constant memory."""

    count: int
    mean: Tensor  # [...]
    m2: Tensor  # [...]

    @classmethod
    def of(cls, values: Tensor, dim: int) -> Moments:
        """Returns the moments along one dimension, in float64 on the device of ``values``."""
        values = values.double()
        mean = values.mean(dim, keepdim=True)
        return cls(values.shape[dim], mean.squeeze(dim), (values - mean).square().sum(dim))

    def merge(self, other: Moments) -> Moments:
        """Returns the moments of both groups together (Chan, Golub and LeVeque 1979), stable for any mean."""
        mean, m2 = merge_moments(self.count, self.mean, self.m2, other.count, other.mean, other.m2)
        return Moments(self.count + other.count, mean, m2)


def merge_moments(num: Any, mean: Any, m2: Any, more: Any, other_mean: Any, other_m2: Any) -> tuple[Any, Any]:
    """Returns the mean and sum of squared deviations of two groups; one may be empty (Chan et al. 1979)."""
    total = num + more
    share = more / (total + (total == 0))
    difference = other_mean - mean
    return mean + difference * share, m2 + other_m2 + difference * difference * (num * share)


def paired_effect(plus: Tensor, minus: Tensor) -> Tensor:
    """Returns ``e_k = (s(+λ)_k − s(−λ)_k) / 2`` in float64: the odd part of a step's change of the score."""
    return (plus.double() - minus.double()) / 2


def even_part(plus: Tensor, minus: Tensor, base: Tensor) -> Tensor:
    """Returns ``(s(+λ)_k + s(−λ)_k) / 2 − s(0)_k`` in float64: the even part of a step's change.

    The effect is the odd part. A boundary that destroys something in both directions has no odd part, and a
    large even one.
    """
    return (plus.double() + minus.double()) / 2 - base.double()


def higan_rise(plus: Tensor, base: Tensor) -> Tensor:
    """Returns ``max(s(+λ)_k − s(0)_k, 0)`` in float64; its mean is HiGAN's own measure, ``higan_delta``.

    Being one-sided and clipped, its mean is positive even for a direction that moves the score at random.
    """
    return (plus.double() - base.double()).clamp(min=0)


def in_deviations(values: ArrayLike, deviation: ArrayLike) -> Array:
    """Returns figures ``[..., S]`` in standard deviations of their scores ``[S]``, so that they compare.

    They do not change when a score is multiplied by a number. A score that is the same for all samples has no
    such unit: its figures are NaN.
    """
    values, deviation = np.broadcast_arrays(np.asarray(values, np.float64), deviation)
    return np.divide(values, deviation, out=np.full(values.shape, np.nan), where=deviation > 0)


def standard_error(count: ArrayLike, m2: ArrayLike) -> Array:
    """Returns the standard errors of means from the counts and the sums of squared deviations."""
    return np.asarray(np.sqrt(np.asarray(m2) / np.maximum(np.subtract(count, 1), 1) / np.maximum(count, 1)))


def student_interval(
    mean: ArrayLike, error: ArrayLike, count: ArrayLike, confidence: float
) -> tuple[Array, Array]:
    """Returns Student's t intervals (low, high) of means of ``count`` values; at least two."""
    half = student_quantile(confidence, np.subtract(count, 1)) * np.asarray(error)
    return np.asarray(mean) - half, np.asarray(mean) + half


def student_quantile(confidence: float, degrees: ArrayLike) -> Array:
    """Returns the value that Student's t exceeds in magnitude with probability 1 − ``confidence``."""
    return np.asarray(scipy.special.stdtrit(degrees, (1 + confidence) / 2))
