"""The null of random directions: their scale, their band, and p-values of effects against them."""

from __future__ import annotations

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray

from higan_fast.statistics.effects import student_quantile

Array = NDArray[np.float64]


def null_scale(null_effects: ArrayLike) -> Array:
    """Estimates the standard deviation of a random direction's effect: ``[R, ...]`` → ``[...]``.

    An effect is odd in its direction (−n has the opposite effect), and n and −n are equally likely. So its
    mean under the null is 0, and the root mean square over the R directions is the estimate.
    """
    return np.sqrt(np.mean(np.square(np.asarray(null_effects, np.float64)), axis=0))


def null_p_values(effects: ArrayLike, scale: ArrayLike, num_null: int) -> Array:
    """Returns two-sided p-values of effects against random directions of the same norm.

    To first order the effect of a direction n is g·n, where g is the mean gradient of the score. For an
    isotropic unit n in D dimensions this is Gaussian with variance |g|²/D. ``scale`` estimates its standard
    deviation from R = ``num_null`` such directions, so effect / scale follows Student's t with R degrees of
    freedom. The boundary and the null directions see the same base samples, hence the same g.
    """
    effects, scale = np.broadcast_arrays(np.abs(effects), scale)
    # If no random direction moves the score, any nonzero effect is beyond the null, and a zero effect is not.
    ratio = np.divide(effects, scale, out=np.where(effects > 0, np.inf, 0.0), where=scale > 0)
    return np.asarray(2 * scipy.special.stdtr(num_null, -ratio))


def null_band(scale: ArrayLike, num_null: int, confidence: float) -> tuple[Array, Array]:
    """Returns (low, high), which contain a random direction's effect with probability ``confidence``."""
    half = student_quantile(confidence, num_null) * np.asarray(scale)
    return -half, half


def random_directions(normals: Array, noise: Array) -> Array:
    """Turns noise from N(0, I) into random directions that match the boundaries except in where they point.

    Args:
        normals: the boundaries, ``[B, D]`` or ``[B, L, D]``; a normal ``[D]`` may have any length but 0.
        noise: ``[R, D]`` or ``[R, L, D]``.

    Returns:
        Directions in the shape of ``noise``, every ``[D]`` of length 1. The directions of two layers have
        the boundaries' mean cosine: if every layer receives the same code, the normals of a boundary pull
        together, and those of the null must do so as well.
    """
    if normals.ndim == 3:
        normals = normals / np.linalg.norm(normals, axis=-1, keepdims=True)
        cosines = np.einsum("bld,bmd->lm", normals, normals) / len(normals)  # [L, L]
        values, vectors = np.linalg.eigh(cosines)
        noise = np.einsum("lm,rmd->rld", vectors * np.sqrt(values.clip(min=0)), noise)
    return noise / np.linalg.norm(noise, axis=-1, keepdims=True)
