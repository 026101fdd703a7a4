"""Directions in closed form: class means, linear discriminants, ridge regression, patterns of filters.

Each function fits S directions to the same codes ``[N, D]``, in float64. Codes are taken less the mean of
all, so that a large mean costs no digits, and a block of rows at a time, so that few are copied.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Floats = NDArray[np.float32] | Array
Bools = NDArray[np.bool_]

ROWS_AT_ONCE = 8192


def class_means(codes: Floats, high: Bools, low: Bools) -> tuple[Array, Array]:
    """Returns the mean code of each upper side and of each lower side, ``[S, D]`` both.

    Their difference is the oldest direction in latent codes (Radford et al., arXiv 1511.06434, §6.3).

    Args:
        codes: ``[N, D]``.
        high: which samples are on the upper sides, ``[S, N]``.
        low: which are on the lower sides, ``[S, N]``.
    """
    centre = centre_of(codes)
    of_high, of_low = _means(codes, centre, high), _means(codes, centre, low)
    return of_high + centre, of_low + centre


def discriminants(codes: Floats, high: Bools, low: Bools, weight: float) -> Array:
    """Returns Fisher's linear discriminants, ``(Σ (x - m)(x - m)ᵀ + I / C)⁻¹ (m_high - m_low)``: ``[S, D]``.

    The sum is over both sides, each less its own mean (Fisher 1936; the ridge as in Friedman 1989). In
    scikit-learn's ``LinearDiscriminantAnalysis`` that is the pooled covariance of n samples, plus
    ``I / (C n)``.

    Args:
        codes: ``[N, D]``.
        high: which samples are on the upper sides, ``[S, N]``.
        low: which are on the lower sides, ``[S, N]``.
        weight: C, the weight of the data; where it is infinite, the discriminant is the plain one.
    """
    centre = centre_of(codes)
    means = [_means(codes, centre, side) for side in (high, low)]
    scatter = sum(
        _scatter(codes, centre, side, mean) for side, mean in zip((high, low), means, strict=True)
    )  # [S, D, D]
    return _solve(np.asarray(scatter), means[0] - means[1], weight)


def ridge(codes: Floats, targets: Array, used: Bools, weight: float) -> Array:
    """Minimises ½‖w‖² + C/2 Σ (w·x + b - target)² with a free b: the weights ``[S, D]``.

    scikit-learn's ``Ridge(alpha=1 / C)``. The direction does not depend on the unit of the targets.

    Args:
        codes: ``[N, D]``.
        targets: ``[S, N]``.
        used: which samples count, ``[S, N]``.
        weight: C, the weight of the data.
    """
    centre = centre_of(codes)
    means = _means(codes, centre, used)
    average = (targets * used).sum(axis=1, keepdims=True) / used.sum(axis=1, keepdims=True)
    deviations = np.where(used, targets - average, 0.0)  # [S, N], which sum to 0: the codes need no mean
    pull = sum(deviations[:, rows] @ x for rows, x in blocks(codes, centre))  # [S, D]
    return _solve(_scatter(codes, centre, used, means), np.asarray(pull), weight)


def covariance(codes: Floats) -> Array:
    """Returns the covariance of codes ``[N, D]``, divided by N: ``[D, D]``."""
    centre = centre_of(codes)
    return np.asarray(sum(x.T @ x for _, x in blocks(codes, centre)) / len(codes))


def patterns(codes: Floats, filters: Array) -> Array:
    """Returns the patterns of filters ``[S, D]``, the covariance of the codes times each: ``[S, D]``.

    A filter is a normal that separates best, and so also points away from what only disturbs. Its pattern
    says how the codes change with what the filter reads (Haufe et al. 2014, equation 6).
    """
    return np.asarray(filters @ covariance(codes))


def centre_of(codes: Floats) -> Array:
    """Returns the mean code, ``[D]``."""
    return np.asarray(np.mean(codes, axis=0, dtype=np.float64), np.float64)


def blocks(codes: Floats, centre: Array) -> Iterator[tuple[slice, Array]]:
    """Yields slices of the samples with their codes less ``centre``, ``[n, D]``."""
    for start in range(0, len(codes), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        yield rows, codes[rows] - centre


def _means(codes: Floats, centre: Array, used: Bools) -> Array:
    """Returns the mean codes of the samples that count, less ``centre``: ``[S, D]``."""
    total = sum(used[:, rows].astype(np.float64) @ x for rows, x in blocks(codes, centre))
    return np.asarray(total / used.sum(axis=1, keepdims=True))


def _scatter(codes: Floats, centre: Array, used: Bools, means: Array) -> Array:
    """Returns ``Σ (x - mean)(x - mean)ᵀ`` over the samples that count: ``[S, D, D]``."""
    found = np.zeros((*means.shape, means.shape[-1]))
    for rows, x in blocks(codes, centre):
        for row, mean in enumerate(means):
            own = x[used[row, rows]] - mean
            found[row] += own.T @ own
    return found


def _solve(scatter: Array, pull: Array, weight: float) -> Array:
    """Solves ``(scatter + I / C) w = pull``; along what no sample varies in, w is 0."""
    scatter = scatter + np.eye(scatter.shape[-1]) / weight
    return np.asarray(np.linalg.solve(scatter, pull[..., None])[..., 0], np.float64)
