"""Paired effects with intervals, the null of random directions, and the correction for many tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations: all that an interval needs, in memory that does not grow."""

    count: int
    mean: Tensor  # [...]
    m2: Tensor  # [...]

    @classmethod
    def of(cls, values: Tensor, dim: int) -> Moments:
        """The moments along one dimension; float64, on the device of ``values``."""
        values = values.double()
        mean = values.mean(dim, keepdim=True)
        return cls(values.shape[dim], mean.squeeze(dim), (values - mean).square().sum(dim))

    def merge(self, other: Moments) -> Moments:
        """The moments of both groups together (Chan, Golub and LeVeque 1979): stable for any mean."""
        mean, m2 = merge_moments(self.count, self.mean, self.m2, other.count, other.mean, other.m2)
        return Moments(self.count + other.count, mean, m2)


def merge_moments(num: Any, mean: Any, m2: Any, more: Any, other_mean: Any, other_m2: Any) -> tuple[Any, Any]:
    """Mean and sum of squared deviations of two groups, of which either may be empty (Chan et al. 1979)."""
    total = num + more
    share = more / (total + (total == 0))
    difference = other_mean - mean
    return mean + difference * share, m2 + other_m2 + difference * difference * (num * share)


def paired_effect(plus: Tensor, minus: Tensor) -> Tensor:
    """``e_k = (s(+λ)_k − s(−λ)_k) / 2`` in float64: what one step along the boundary changes, both ways."""
    return (plus.double() - minus.double()) / 2


def higan_rise(plus: Tensor, base: Tensor) -> Tensor:
    """``max(s(+λ)_k − s(0)_k, 0)`` in float64; its mean is HiGAN's own measure, ``higan_delta``.

    One-sided and clipped, it is above 0 for any direction that moves a score at random.
    """
    return (plus.double() - base.double()).clamp(min=0)


def standard_error(count: int, m2: ArrayLike) -> Array:
    """Standard error of a mean from the count and the sum of squared deviations."""
    return np.sqrt(np.asarray(m2) / max(count - 1, 1) / count)


def student_interval(mean: ArrayLike, error: ArrayLike, count: int, confidence: float) -> tuple[Array, Array]:
    """Student's t interval of a mean of ``count`` values: (low, high)."""
    half = _quantile(confidence, count - 1) * np.asarray(error)
    return np.asarray(mean) - half, np.asarray(mean) + half


def null_scale(null_effects: ArrayLike) -> Array:
    """Standard deviation of the effect of a random direction: ``[R, ...]`` → ``[...]``.

    An effect is odd in its direction (−n gives the opposite effect), and n and −n are equally likely:
    its mean under the null is 0, so the root mean square over the R directions is the estimate.
    """
    return np.sqrt(np.mean(np.square(np.asarray(null_effects, np.float64)), axis=0))


def null_p_values(effects: ArrayLike, scale: ArrayLike, num_null: int) -> Array:
    """Two-sided p-values of effects against random directions of the same norm.

    To first order the effect of a direction n is g·n, with g the mean gradient of the score. For an
    isotropic unit n in D dimensions that is Gaussian with variance |g|²/D, and ``scale`` estimates its
    square root from R = ``num_null`` such directions: effect / scale follows Student's t with R degrees
    of freedom. The boundary and the null directions see the same base samples, hence the same g.
    """
    effects, scale = np.broadcast_arrays(np.abs(effects), scale)
    # Where no random direction moves the score, any effect at all is beyond the null, and none is not.
    ratio = np.divide(effects, scale, out=np.where(effects > 0, np.inf, 0.0), where=scale > 0)
    return np.asarray(2 * scipy.special.stdtr(num_null, -ratio))


def null_band(scale: ArrayLike, num_null: int, confidence: float) -> tuple[Array, Array]:
    """(low, high) between which the effect of a random direction lies with probability ``confidence``."""
    half = _quantile(confidence, num_null) * np.asarray(scale)
    return -half, half


def holm(p_values: ArrayLike) -> Array:
    """p-values adjusted for their number (Holm 1979), in the same shape.

    Rejecting where the adjusted value is at most α keeps the probability of even one false
    rejection at or below α, however the tests depend on each other.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, axis=None)
    factors = np.arange(p.size, 0, -1)
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(np.maximum.accumulate(p.ravel()[order] * factors), 1.0)
    return adjusted.reshape(p.shape)


def random_directions(normals: Array, noise: Array) -> Array:
    """Noise from N(0, I) → random directions that are alike to the boundaries but for where they point.

    Args:
        normals: the boundaries, ``[B, D]``, or ``[B, L, D]`` with one normal per layer.
        noise: ``[R, D]`` or ``[R, L, D]``.

    Returns:
        Directions in the shape of ``noise``, every ``[D]`` of length 1. Where a boundary has one normal
        per layer, the directions of two layers have the boundaries' mean cosine: when every layer is fed
        the same code, the layers of a boundary pull together, and so must those of the null.
    """
    if normals.ndim == 3:
        cosines = np.einsum("bld,bmd->lm", normals, normals) / len(normals)  # [L, L]
        values, vectors = np.linalg.eigh(cosines)
        noise = np.einsum("lm,rmd->rld", vectors * np.sqrt(values.clip(min=0)), noise)
    return noise / np.linalg.norm(noise, axis=-1, keepdims=True)


def _quantile(confidence: float, degrees: int) -> float:
    """Student's t that a variable exceeds in size with probability 1 − ``confidence``."""
    return float(scipy.special.stdtrit(degrees, (1 + confidence) / 2))
