"""What scores do along a dose of steps: whether one rises throughout, where it saturates, what else moves.

A claim is a set of inequalities between mean scores at several steps. Each is the sign of the mean of one
contrast of the scores of a sample, so that all steps are paired.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from higan_fast.statistics.betting import BettingSequence
from higan_fast.statistics.student import interval_of_moments

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

# An off-target change counts as large beside this part of the target's, both in standard deviations.
LARGE_OFF_TARGET = 0.5

# The questions that share the level of a curve: its shape, where it saturates, what changes its direction
# off target, and what is large there.
QUESTIONS = 4

SIDES = (-1, 1)  # steps back, and steps forth


class DoseClaims(NamedTuple):
    """What is claimed of C curves. Steps are given where something is claimed, and NaN stands for no claim.

    Attributes:
        rises: whether a curve surely rises throughout, ``[C]``: no step back along it is larger than a part
            of its whole rise.
        turns: two steps, the first before the second, between which it surely falls by more than that,
            ``[C, 2]``.
        saturates: from which step back, and from which step forth, further ones surely add less than a part
            of what was reached there, where a straight line would add at least twice as much, ``[C, 2]``.
        reverses: at which step another score surely goes along with the steps, and at which it goes against
            them, ``[C, S, 2]``.
        exceeds: from which step back, and from which step forth, another score surely changes by more than
            ``LARGE_OFF_TARGET`` of what the target does, both in standard deviations, ``[C, S, 2]``.
    """

    rises: BoolArray
    turns: Array
    saturates: Array
    reverses: Array
    exceeds: Array


class Means:
    """Means of E paired contrasts on samples whose number was fixed, with signs and bounds.

    Bets where the reach of the values is known, which hold for every distribution, and Student's interval
    elsewhere.
    """

    def __init__(self, values: Array, reach: Array, *, keep: bool = False) -> None:
        """
        Args:
            values: ``[N, E]``.
            reach: their largest possible magnitudes, ``[E]``; inf: unknown.
            keep: whether there will be bounds of bets.
        """
        self.mean = values.mean(axis=0)
        self._known = np.isfinite(reach) & (reach > 0)
        self._bets = BettingSequence(int(self._known.sum()), reach[self._known], keep=keep)
        self._bets.update(values[:, self._known])
        others = values[:, ~self._known]
        self._moments = len(values), others.mean(axis=0), others.var(axis=0) * len(others), _distinct(others)

    def signs(self, level: float) -> NDArray[np.int8]:
        """Returns the known signs ``[E]``, as ``ConfidenceSequence.signs``."""
        signs = np.zeros(len(self.mean), np.int8)
        signs[self._known] = self._bets.signs(level)
        low, high = interval_of_moments(*self._moments, level)
        signs[~self._known] = (low > 0).astype(np.int8) - (high < 0).astype(np.int8)
        return signs

    def bounds(self, level: float) -> tuple[Array, Array]:
        """Returns (low, high), ``[E]`` each, as ``ConfidenceSequence.bounds``."""
        ends = np.zeros((2, len(self.mean)))
        ends[:, self._known] = self._bets.bounds(level)
        ends[:, ~self._known] = interval_of_moments(*self._moments, level)
        return ends[0], ends[1]


def dose_claims(
    scores: Array, steps: Array, own: IntArray, widths: Array, deviation: Array, level: float, part: float
) -> DoseClaims:
    """Returns what is surely so of each of C curves.

    That anything wrong is said of one has at most the probability ``level``.

    The level is shared by the four questions. Within one, what needs several inequalities at once needs
    each at the whole level, for a wrong claim must get the one that does not hold past its test (an
    intersection-union test, Berger 1982). What needs any one of several gets them at a level divided by
    their number (Bonferroni). Where a claim is about all steps from one on, the steps are tested from the
    farthest inwards, and the first that fails ends it, so that each is at the whole level too.

    Args:
        scores: of N samples at every step, ``[N, C, T, S]``, all finite and within their ranges.
        steps: sorted, 0 among them, ``[T]``.
        own: the target of each curve, ``[C]``.
        widths: of the ranges of the scores, ``[S]``; inf: unknown.
        deviation: the unit in which scores compare, ``[S]``; 0: a score has none, and is in no comparison.
        level: of all that is said of one curve.
        part: how much of its rise a curve that rises throughout may fall, and how much of what was reached
            counts as nothing.
    """
    level /= QUESTIONS
    curves, zero = np.arange(len(own)), int(np.flatnonzero(steps == 0)[0])
    target = scores[:, curves, :, own].transpose(1, 0, 2)  # [N, C, T]
    rises, turns = _shape(target, steps, widths[own], level / 2, part)
    saturates = np.full((len(own), 2), np.nan)
    exceeds = np.full((len(own), scores.shape[-1], 2), np.nan)
    change = scores - scores[:, :, zero : zero + 1]  # [N, C, T, S]
    for index, side in enumerate(SIDES):
        outward = _outward(steps, side)
        saturates[:, index] = _saturation(target, steps, outward, zero, widths[own], level / 2, part)
        if len(outward):
            exceeds[:, :, index] = _exceeding(change, steps, outward, own, widths, deviation, level / 2)
    return DoseClaims(rises, turns, saturates, _reversals(change, steps, own, widths, level), exceeds)


def estimated_saturation(change: Array, steps: Array, part: float) -> Array:
    """Returns the same by the mean changes ``[C, T]`` of curves alone, as if they were known: ``[C, 2]``."""
    found = np.full((len(change), 2), np.nan)
    for index, side in enumerate(SIDES):
        outward = _outward(steps, side)
        reached = side * change[:, outward]  # [C, K]
        passes = [
            (reached[:, k] > 0) & (reached[:, k + 1 :] < (1 + part) * reached[:, k : k + 1]).all(axis=1)
            for k in range(_num_that_may_saturate(steps[outward], part))
        ]
        if passes:
            found[:, index] = _first_of_all(np.stack(passes, axis=1), steps[outward])
    return found


def _num_that_may_saturate(outward: Array, part: float) -> int:
    """Of how many steps, the nearest first, a curve may be said to saturate.

    Beyond them a straight line adds less than twice the part of what was reached, since the steps end.
    """
    return int((np.abs(outward) * (1 + 2 * part) <= np.abs(outward).max(initial=0.0) + 1e-9).sum())


def _shape(target: Array, steps: Array, widths: Array, level: float, part: float) -> tuple[BoolArray, Array]:
    """Whether curves rise throughout, ``[C]``, and between which steps they turn back, ``[C, 2]``.

    A curve that is flat does not rise: the contrast of the farthest steps is among those that must be above
    0.
    """
    first, second = np.triu_indices(len(steps), 1)
    pairs = np.zeros((len(first), len(steps)))
    rows = np.arange(len(first))
    pairs[rows, second] += 1
    pairs[rows, first] -= 1
    pairs[:, -1] += part
    pairs[:, 0] -= part
    found = _contrasts(target, pairs, widths)
    mean, shape = found.mean.reshape(-1, len(rows)), (-1, len(rows))
    rises = (found.signs(level) > 0).reshape(shape).all(axis=1)
    falls = (found.signs(level / len(rows)) < 0).reshape(shape)
    most = np.where(falls, mean, np.inf).argmin(axis=1)
    turns = np.stack([steps[first[most]], steps[second[most]]], axis=1)
    return np.asarray(rises), np.where(np.asarray(falls.any(axis=1))[:, None], turns, np.nan)


def _saturation(
    target: Array, steps: Array, outward: IntArray, zero: int, widths: Array, level: float, part: float
) -> Array:
    """From which of the steps on one side further ones add next to nothing, ``[C]``."""
    passes = []
    for k in range(_num_that_may_saturate(steps[outward], part)):
        here, further = outward[k], outward[k + 1 :]
        rows = np.zeros((1 + len(further), len(steps)))
        rows[0, [here, zero]] = 1, -1  # something was reached
        rows[1:, here] = 1 + part
        rows[1:, zero] = -part
        rows[np.arange(1, len(rows)), further] -= 1
        found = _contrasts(target, rows * np.sign(steps[here]), widths)
        passes.append((found.signs(level) > 0).reshape(-1, len(rows)).all(axis=1))
    if not passes:
        return np.full(target.shape[1], np.nan)
    return _first_of_all(np.stack(passes, axis=1), steps[outward])


def _exceeding(
    change: Array,
    steps: Array,
    outward: IntArray,
    own: IntArray,
    widths: Array,
    deviation: Array,
    level: float,
) -> Array:
    """From which of the steps on one side another score changes by more than a part of the target, ``[C,
    S]``.

    With g the other change and f the part of the target's, \\|g\\| > \\|f\\| where g − f and g + f have the
    same sign.
    """
    unit = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    num, num_curves, _, num_scores = change.shape
    curves = np.arange(num_curves)
    others = change[:, :, outward] * unit  # [N, C, K, S]
    scale = LARGE_OFF_TARGET * unit[own]  # [C]
    target = change[:, curves, :, own].transpose(1, 0, 2)[:, :, outward, None] * scale[:, None, None]
    with np.errstate(invalid="ignore"):
        reach = np.where(unit > 0, widths * unit, 0.0) + (widths[own] * scale)[:, None]  # [C, S]
    reach = np.broadcast_to(np.where(np.isnan(reach), np.inf, reach)[:, None], others.shape[1:])
    level /= 2 * max(1, num_scores - 1)
    less, more = (
        Means(values.reshape(num, -1), reach.ravel()).signs(level).reshape(others.shape[1:])
        for values in (others - target, others + target)
    )
    passes = (less == more) & (less != 0)
    passes[curves, :, own] = False
    passes[(unit[own] == 0)] = False
    return np.stack(
        [_first_of_all(passes[:, :, score], steps[outward]) for score in range(num_scores)], axis=1
    )


def _reversals(change: Array, steps: Array, own: IntArray, widths: Array, level: float) -> Array:
    """At which step another score goes along with the steps, and at which against them: ``[C, S, 2]``."""
    moved = np.flatnonzero(steps)
    along = change[:, :, moved] * np.sign(steps[moved])[:, None]  # [N, C, K, S]
    shape = along.shape[1:]
    found = Means(along.reshape(len(along), -1), np.broadcast_to(widths, shape).ravel())
    level /= 2 * len(moved) * max(1, shape[2] - 1)
    mean, signs = found.mean.reshape(shape), found.signs(level).reshape(shape)
    both = np.asarray((signs > 0).any(axis=1) & (signs < 0).any(axis=1))
    both[np.arange(len(own)), own] = False
    most = np.where(signs > 0, mean, -np.inf).argmax(axis=1), np.where(signs < 0, mean, np.inf).argmin(axis=1)
    return np.where(both[..., None], np.stack([steps[moved][place] for place in most], axis=-1), np.nan)


def _contrasts(target: Array, rows: Array, widths: Array) -> Means:
    """Of curves ``[N, C, T]``, P contrasts ``[P, T]`` of each, C · P in all; a row adds up to 0."""
    values = target @ rows.T  # [N, C, P]
    reach = widths[:, None] * np.abs(rows).sum(axis=1) / 2
    return Means(values.reshape(len(values), -1), reach.ravel())


def _outward(steps: Array, side: int) -> IntArray:
    """The places of the steps on one side, the nearest first."""
    places = np.flatnonzero(np.sign(steps) == side)
    return places[np.argsort(np.abs(steps[places]))]


def _first_of_all(passes: BoolArray, steps: Array) -> Array:
    """The step from which on all pass, ``[C]``; NaN where the last fails.

    Args:
        passes: of at most K steps, the nearest first, ``[C, K]``.
        steps: ``[K]``.
    """
    num = np.logical_and.accumulate(passes[:, ::-1], axis=1).sum(axis=1)
    return np.where(num > 0, steps[np.minimum(passes.shape[1] - num, len(steps) - 1)], np.nan)


def _distinct(values: Array) -> IntArray:
    """How many different values other than 0 each column has."""
    ordered = np.sort(values, axis=0)
    new = np.ones(ordered.shape, np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    return np.asarray((new & (ordered != 0)).sum(axis=0))
