"""The null of random directions, of one kind or several: their scale, band, and p-values against them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray

from higan_fast.statistics.effects import student_quantile

Array = NDArray[np.float64]


def null_scale(null_effects: ArrayLike, kinds: int = 1) -> Array:
    """Estimates the standard deviation of a random direction's effect: ``[K R, ...]`` → ``[...]``.

    An effect is odd in its direction (−n has the opposite effect), and n and −n are equally likely. So its
    mean under the null is 0, and the root mean square over R directions is the estimate. Of K kinds of random
    directions, R of each one after the other, it is the largest: whatever is beyond that is beyond each.
    """
    squares = np.square(np.asarray(null_effects, np.float64))
    of_kinds = squares.reshape(kinds, -1, *squares.shape[1:]).mean(axis=1)
    return np.asarray(np.sqrt(of_kinds.max(axis=0)))


class NullGeometry(NamedTuple):
    """How random directions lie to boundaries and to each other, which turns effects into p-values.

    To first order the effect of a direction n is g·n, where g is the mean gradient of the score; boundaries
    and random directions see the same samples, hence the same g. A random direction moves a score the more,
    the more it points along a boundary that moves it. What R isotropic directions, with cosines c to a
    boundary of effect e, do beside that is (e_r − c e) / √(1 − c²). If the boundary is one of them, e over
    the root mean square of this follows Student's t, with d − 1 degrees from the boundary's own angle in d
    dimensions and R from the mean square.

    Directions that follow the codes' covariance have fewer dimensions, about 1 / (mean squared cosine of two
    of them), and are not alike in all. What is left beside the boundary is then too small where g lies along
    wide ones, and the effects as they are too large. So e is divided by the geometric mean of both, less the
    share that one dimension can have of all variance, which is at most 1/√d; and the degrees ν are given by
    1/ν = 1/R + 1/(d − 1). ``python -m benchmarks.nulls`` counts how often a random direction passes, wherever
    g lies.

    Attributes:
        cosines: of the random directions with each boundary, ``[K, R, ...]``, of K kinds.
        degrees: of freedom of each kind, ``[K, ...]``.
        widening: by which the scale of each kind is multiplied, ``[K, ...]``.
    """

    cosines: Array
    degrees: Array
    widening: Array

    @classmethod
    def unknown(cls, kinds: int, num: int, shape: tuple[int, ...]) -> NullGeometry:
        """That of directions in very many dimensions: all at right angles; p-values are Student's, of R."""
        return cls(
            np.zeros((kinds, num, *shape)), np.full((kinds, *shape), float(num)), np.ones((kinds, *shape))
        )

    @classmethod
    def of(cls, moves: Array, num: int, kinds: int) -> NullGeometry:
        """
        Args:
            moves: ``num`` boundaries and K · R random directions, ``[num + K R, D]``, of any length; one that
                has the length 0 is at right angles to all.
            num: B.
            kinds: K.
        """
        length = np.linalg.norm(moves, axis=1, keepdims=True)
        units = moves / np.where(length > 0, length, 1)
        of_kinds = units[num:].reshape(kinds, -1, units.shape[1])  # [K, R, D]
        count = of_kinds.shape[1]
        squares = np.square(of_kinds @ of_kinds.swapaxes(1, 2)).sum(axis=(1, 2)) - count
        dimensions = np.maximum(count * (count - 1) / np.maximum(squares, 1e-9), 2)
        degrees = 1 / (1 / count + 1 / (dimensions - 1))
        widening = 1 / np.sqrt(1 - 1 / np.sqrt(dimensions))
        each = (np.repeat(values[:, None], num, axis=1) for values in (degrees, widening))
        return cls(of_kinds @ units[:num].T, *each)

    def on(self, layer_sets: int | slice) -> NullGeometry:
        """That of some sets of layers, which are the last axis."""
        return NullGeometry._make(values[..., layer_sets] for values in self)

    def p_values(self, effects: ArrayLike, random: ArrayLike, *, one_sided: bool = False) -> Array:
        """Returns p-values of effects against random directions; of several kinds, the largest.

        Args:
            effects: of the boundaries, ``[...]``.
            random: effects of the random directions on the same scores, ``[K R, ...]``.
            one_sided: whether only a large effect speaks against a random direction, and none below 0 does.
        """
        effects = np.asarray(effects, np.float64)
        each = np.asarray(random, np.float64).reshape(*self.cosines.shape[:2], *effects.shape)
        # A direction that lies along the boundary leaves nothing beside it, and counts as it is.
        share = np.where(1 - np.square(self.cosines) > 1e-6, self.cosines, 0.0)
        left = (each - share * effects) / np.sqrt(1 - np.square(share))
        scale = (np.square(each).mean(axis=1) * np.square(left).mean(axis=1)) ** 0.25  # [K, ...]
        found = student_p_values(effects, self.widening * scale, self.degrees, one_sided=one_sided)
        return np.asarray(found.max(axis=0))


def student_p_values(
    effects: ArrayLike, scale: ArrayLike, degrees: ArrayLike, *, one_sided: bool = False
) -> Array:
    """Returns p-values of effects over an estimated scale by Student's t.

    If no random direction moves the score, any effect is beyond the null, and an effect of 0 is not.
    """
    effects, scale = np.broadcast_arrays(effects if one_sided else np.abs(effects), scale)
    still = np.where(effects > 0, np.inf, np.where(effects < 0, -np.inf, 0.0))
    ratio = np.divide(effects, scale, out=still, where=scale > 0)
    return np.asarray((1 if one_sided else 2) * scipy.special.stdtr(degrees, -ratio))


def null_band(scale: ArrayLike, num_null: int, confidence: float) -> tuple[Array, Array]:
    """Returns (low, high), which contain a random direction's effect with probability ``confidence``."""
    half = student_quantile(confidence, num_null) * np.asarray(scale)
    return -half, half


def random_directions(normals: Array, noise: Array, codes: Array | None = None) -> Array:
    """Turns noise from N(0, I) into random directions that match the boundaries except in where they point.

    Args:
        normals: the boundaries, ``[B, D]`` or ``[B, L, D]``; a normal ``[D]`` may have any length but 0.
        noise: ``[R, E]`` or ``[R, L, E]``.
        codes: N of them less their mean, ``[N, D]`` or ``[N, L, D]``, whose covariance the directions get;
            then E is N, and otherwise D.

    Returns:
        Directions ``[R, D]`` or ``[R, L, D]``, every ``[D]`` of length 1, or 0 where no code varies. The
        noise of two layers has the boundaries' mean cosine: if every layer receives the same code, the
        normals of a boundary pull together, and those of the null must do so as well.
    """
    if normals.ndim == 3:
        normals = normals / np.linalg.norm(normals, axis=-1, keepdims=True)
        cosines = np.einsum("bld,bmd->lm", normals, normals) / len(normals)  # [L, L]
        values, vectors = np.linalg.eigh(cosines)
        noise = np.einsum("lm,rmd->rld", vectors * np.sqrt(values.clip(min=0)), noise)
    if codes is not None:
        noise = np.einsum("r...n,n...d->r...d", noise, codes, optimize=True)
    length = np.linalg.norm(noise, axis=-1, keepdims=True)
    return noise / np.where(length > 0, length, 1)
