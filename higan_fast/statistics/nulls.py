"""The null of random directions: their scale, their band, and p-values of effects against them."""

from __future__ import annotations

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray

from higan_fast.statistics.effects import student_quantile

Array = NDArray[np.float64]


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
    half = student_quantile(confidence, num_null) * np.asarray(scale)
    return -half, half


def random_directions(normals: Array, noise: Array) -> Array:
    """Noise from N(0, I) → random directions that are alike to the boundaries but for where they point.

    Args:
        normals: the boundaries, ``[B, D]``, or ``[B, L, D]``, whose ``[D]`` may have any length but 0.
        noise: ``[R, D]`` or ``[R, L, D]``.

    Returns:
        Directions in the shape of ``noise``, every ``[D]`` of length 1. Those of two layers have the
        boundaries' mean cosine: when every layer is fed the same code, the layers of a boundary pull
        together, and so must those of the null.
    """
    if normals.ndim == 3:
        normals = normals / np.linalg.norm(normals, axis=-1, keepdims=True)
        cosines = np.einsum("bld,bmd->lm", normals, normals) / len(normals)  # [L, L]
        values, vectors = np.linalg.eigh(cosines)
        noise = np.einsum("lm,rmd->rld", vectors * np.sqrt(values.clip(min=0)), noise)
    return noise / np.linalg.norm(noise, axis=-1, keepdims=True)
