"""Total Sobol indices of layers: the share of a score's variance that comes with one layer's code."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# A score whose standard deviation is this small beside its size does not vary: float32 rounds like that.
ROUNDING = 1e-6

# Newton's steps towards a saddlepoint at most, and halvings towards the end of an interval.
STEPS, HALVINGS = 100, 18

# So many numbers are worked on together: they fit into a cache.
NUMBERS_AT_ONCE = 2**17

# Up to here a saddlepoint's correction is lost in rounding, and as good as its limit.
NEAR_ZERO = 1e-3


class Indices(NamedTuple):
    """Total indices of L layers for S scores, each ``[S, L]``; NaN for a score that does not vary."""

    estimate: Array
    standard_error: Array
    low: Array
    high: Array


def total_indices(scores: ArrayLike, replaced: ArrayLike, confidence: float) -> Indices:
    """Returns Jansen's estimate of the total index of every layer for every score, with intervals.

    With s the score of a sample and s_l that of the same sample with the code of layer l taken from another
    one, the index is ``E[(s − s_l)²] / 2 / Var(s)`` (Jansen 1999; Saltelli et al. 2010, table 2). The
    standard error is that of the delta method. The interval inverts ``mean_at_most_zero``: an index is at
    most c where ``(s − s_l)² / 2 − c (s − E s)²`` has a mean of at most 0. The one more sample, which nobody
    has seen, changes the score not at all for the lower end; for the upper end it changes the score as much
    as any layer changed it on any sample, because a layer may matter on a few samples only.

    Args:
        scores: of N samples, ``[N, S]``.
        replaced: their scores with the code of one layer replaced, ``[N, L, S]``.
        confidence: of each interval.
    """
    scores, halves = _checked(scores, replaced)
    num, num_layers, num_scores = halves.shape
    found = np.full((4, num_scores, num_layers), np.nan)
    squares = (scores - scores.mean(axis=0)) ** 2 * num / (num - 1)  # [N, S], their mean is the variance
    columns = np.flatnonzero(varies(scores))
    at_once = max(1, NUMBERS_AT_ONCE // halves[..., 0].size)
    for start in range(0, len(columns), at_once):
        part = columns[start : start + at_once]
        changed = halves[..., part].transpose(0, 2, 1)  # [N, S, L]
        largest = np.broadcast_to(changed.max(axis=(0, 2))[:, None], changed.shape[1:])
        square = np.broadcast_to(squares[:, part, None], changed.shape)
        flat = [array.reshape(len(array), -1) for array in (changed, square, largest[None])]
        of_part = _indices(flat[0], flat[1], flat[2], (1 - confidence) / 2)
        found[:, part] = of_part.reshape(4, len(part), num_layers)
    return Indices(*found)


def possible_tops(scores: ArrayLike, replaced: ArrayLike, confidence: float) -> BoolArray:
    """Returns which layers may have the largest index, ``[S, L]``; none for a score that does not vary.

    With a probability of at least ``confidence`` the layer with the largest true index is among them, for
    all S scores together: a layer is left out where the one with the largest estimate surely has a larger
    index, at a level that is divided by the number of scores and of other layers (Bonferroni). Here the
    sample that nobody has seen changes the score on the other layer as much as any layer did, and on the
    leading one not at all.

    Args:
        scores: as for ``total_indices``.
        replaced: likewise.
        confidence: of all scores together.
    """
    scores, halves = _checked(scores, replaced)
    _, num_layers, num_scores = halves.shape
    possible = np.zeros((num_scores, num_layers), np.bool_)
    level = (1 - confidence) / max(1, num_scores * (num_layers - 1))
    for column in np.flatnonzero(varies(scores)):
        changed = halves[..., column]  # [N, L]
        leader = changed.mean(axis=0).argmax()
        ahead = changed[:, leader, None] - changed  # its mean has the sign of the difference of two indices
        unseen = np.full((1, num_layers), -changed.max())
        possible[column] = mean_at_most_zero(np.append(ahead, unseen, axis=0)) > level
        possible[column, leader] = True
    return possible


def mean_at_most_zero(values: ArrayLike) -> Array:
    """Returns the probability that a mean of values ``[N, E]`` with random weights is at most 0: ``[E]``.

    The weights are independent and exponential, as in the Bayesian bootstrap (Rubin 1981). When one of the
    values is the least that there can be, this is the p-value of Gaffke's test that the true mean is at most
    0 (Learned-Miller and Thomas, arXiv 1905.06208). For zeros and ones it is that of Clopper and Pearson.

    The cumulants of the weighted sum, ``K(t) = −Σ log(1 − t x_i)``, are known exactly, so that its far tail
    need not be drawn: it is Barndorff-Nielsen's form of the saddlepoint approximation (Lugannani and Rice
    1980).
    """
    values = np.asarray(values, np.float64)
    size = np.abs(values).max(axis=0)
    values = values / np.where(size > 0, size, 1)
    mixed = (values < 0).any(axis=0) & (values > 0).any(axis=0)
    result = np.where((values > 0).any(axis=0), 0.0, 1.0)  # where all have one sign, there is no doubt
    x = values[:, mixed]
    point = _saddlepoint(x)
    root = np.sign(point) * np.sqrt(np.maximum(2 * np.log1p(-point * x).sum(axis=0), 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        deviations = point * np.sqrt(((x / (1 - point * x)) ** 2).sum(axis=0))
        correction = np.log(deviations / root) / root
    at_zero = (x**3).sum(axis=0) / 3 / (x**2).sum(axis=0) ** 1.5  # its limit where the mean is 0
    result[mixed] = scipy.special.ndtr(root + np.where(np.abs(root) > NEAR_ZERO, correction, at_zero))
    return result


def varies(scores: ArrayLike) -> BoolArray:
    """Returns which scores ``[N, S]`` differ from sample to sample by more than rounding: ``[S]``."""
    scores = np.asarray(scores, np.float64)
    return np.asarray(scores.std(axis=0) > ROUNDING * np.abs(scores).max(axis=0))


def _checked(scores: ArrayLike, replaced: ArrayLike) -> tuple[Array, Array]:
    """Returns the scores, and half their squared changes ``[N, L, S]``."""
    scores, replaced = np.asarray(scores, np.float64), np.asarray(replaced, np.float64)
    shapes = scores.shape, replaced.shape
    if scores.ndim != 2 or replaced.ndim != 3 or shapes[1] != (shapes[0][0], shapes[1][1], shapes[0][1]):
        raise ValueError(f"scores: got shapes {shapes[0]} and {shapes[1]}, expected [N, S] and [N, L, S]")
    if len(scores) < 2:
        raise ValueError(f"scores: got {len(scores)} samples, expected at least 2")
    return scores, (scores[:, None] - replaced) ** 2 / 2


def _indices(changed: Array, squares: Array, largest: Array, tail: float) -> Array:
    """Returns estimates, standard errors and both ends of the intervals of E indices: ``[4, E]``.

    Args:
        changed: half the squared changes, ``[N, E]``.
        squares: squared deviations of the score, ``[N, E]``, whose mean is its variance.
        largest: half the largest squared change, ``[1, E]``.
        tail: the probability beyond each end.
    """
    variance = squares.mean(axis=0, keepdims=True)
    estimate = changed.mean(axis=0) / variance[0]
    influence = (changed - estimate * squares) / variance
    error = influence.std(axis=0, ddof=1) / math.sqrt(len(changed))
    squares = np.append(squares, variance, axis=0)  # of the sample that nobody has seen
    least, most = (np.append(changed, one, axis=0) for one in (np.zeros_like(largest), largest))

    def below(c: Array) -> BoolArray:
        return mean_at_most_zero(least - c * squares) < tail

    def above(c: Array) -> BoolArray:
        return mean_at_most_zero(c * squares - most) < tail

    beyond = estimate + (largest / variance)[0]
    while not (found := above(beyond)).all() and np.isfinite(beyond).all():
        beyond = np.where(found, beyond, 2 * beyond)
    low, high = _halved(np.zeros_like(estimate), estimate, below), _halved(beyond, estimate, above)
    return np.stack([estimate, error, low, high])


def _halved(outside: Array, inside: Array, is_outside: Callable[[Array], BoolArray]) -> Array:
    """Returns where the values that are outside end, by halving: the last one that is found to be outside."""
    for _ in range(HALVINGS):
        middle = (outside + inside) / 2
        found = is_outside(middle)
        outside, inside = np.where(found, middle, outside), np.where(found, inside, middle)
    return outside


def _saddlepoint(x: Array) -> Array:
    """Returns t with ``Σ x / (1 − t x) = 0`` for values of both signs ``[N, E]``, by Newton's method."""
    low, high = 1 / x.min(axis=0), 1 / x.max(axis=0)
    point = np.zeros(x.shape[1])
    for _ in range(STEPS):
        terms = x / (1 - point * x)
        slope = terms.sum(axis=0)
        low, high = np.where(slope < 0, point, low), np.where(slope > 0, point, high)
        step = slope / (terms * terms).sum(axis=0)
        new = np.where((point - step > low) & (point - step < high), point - step, (low + high) / 2)
        if (np.abs(new - point) <= 1e-9 * np.abs(point) + 1e-12).all():
            break
        point = new
    return point
