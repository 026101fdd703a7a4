"""Walks from one category to another: the direction between two boundaries, and what is seen along it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import scipy.special
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundary, StepUnit, has_unit_layers
from higan_fast.boundaries.deviations import along
from higan_fast.experiments.intervals import interval
from higan_fast.experiments.subject import Subject, Walk
from higan_fast.predictors.base import Predictor
from higan_fast.probing.measurement import ranges_of
from higan_fast.probing.null import NUM_TO_SPREAD, in_space, kinds_of, null_directions
from higan_fast.probing.sweep_scores import Curve
from higan_fast.sampling.latents import BLOCK
from higan_fast.sampling.samples import deviation_of

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Fewer samples say next to nothing of a share: an interval of 99 % would be wider than a half.
LEAST = 16

# Questions that share the level of a pair: does it beat random directions, where does the majority change,
# what is seen in between, and what else changes.
ANSWERS = 4


@dataclass(frozen=True)
class Rule:
    """When a sample counts as having one of K classes.

    Attributes:
        names: of the classes.
        columns: where their scores stand.
        thresholds: from which score on a sample has each; None: it has the one with the largest score.
    """

    names: tuple[str, ...]
    columns: tuple[int, ...]
    thresholds: tuple[float, ...] | None

    @classmethod
    def of(cls, predictor: Predictor, names: Sequence[str], threshold: float | None, largest: bool) -> Rule:
        """The rule that is asked for; without a threshold, the middle of what each score can be.

        Raises:
            ValueError: when a class is not scored, or what its score can be is not known.
        """
        unknown = [name for name in names if name not in predictor.names]
        if unknown:
            raise ValueError(f"{unknown[0]!r}: the predictor has no such score, by which it would be seen")
        columns = tuple(predictor.names.index(name) for name in names)
        if largest:
            return cls(tuple(names), columns, None)
        if threshold is not None:
            return cls(tuple(names), columns, (float(threshold),) * len(names))
        ends = ranges_of(predictor)[list(columns)]
        open_ones = [name for name, pair in zip(names, ends, strict=True) if not np.isfinite(pair).all()]
        if open_ones:
            raise ValueError(
                f"threshold (--threshold): got none, and between what the score of {open_ones[0]!r} lies is "
                "not known; say from which score on a sample has it, or compare scores: --by largest"
            )
        return cls(tuple(names), columns, tuple(ends.mean(axis=1).tolist()))

    def has(self, scores: Array) -> BoolArray:
        """Scores ``[..., S]`` → which classes are there, ``[..., K]``."""
        own = scores[..., list(self.columns)]
        if self.thresholds is not None:
            return np.asarray(own >= np.array(self.thresholds))
        return np.asarray(own.argmax(axis=-1)[..., None] == np.arange(len(self.columns)))

    def in_words(self) -> str:
        """What counts, as a clause."""
        if self.thresholds is None:
            return f"its score is the largest of {' and '.join(self.names)}"
        if len(set(self.thresholds)) == 1:
            return f"its score is at least {self.thresholds[0]:g}"
        return "its score is in the upper half of its range"


class Change(NamedTuple):
    """Where along a walk the majority changes.

    Attributes:
        before: the last step before it; None: it never does.
        after: the first step from which on the second class leads throughout.
        surely_after: the last step up to which the first class surely leads.
        surely_by: the first step from which on the second class surely leads; None: that is not sure.
    """

    before: float | None
    after: float | None
    surely_after: float
    surely_by: float | None


class Passing(NamedTuple):
    """A third class that samples surely have more often on the way than at its ends.

    Attributes:
        name: of the class.
        step: at which most have it.
        has: whether each sample has it, ``[N, T]``.
    """

    name: str
    step: float
    has: BoolArray


class Seen(NamedTuple):
    """Which of two classes N samples have, along a walk of T steps: 0, and the steps.

    Attributes:
        steps: ``[T]``, ascending from 0.
        first: whether each has the class that it started with, ``[N, T]``.
        second: whether it has the other one, ``[N, T]``.
        random_first: the share of random directions along which it has the first, ``[N, T]``.
        random_second: likewise the second.
        random_flipped: likewise the second and not the first.
        walk: all scores; of its curves the first is that between the classes.
        curve: that one.
        samples: which samples.
        drawn: among how many they were found.
        available: how many of those that were drawn fit.
        deviation: of each score over all that were drawn, ``[S]``; moved ones have had theirs chosen.
        more: whether at the last step surely more samples flip than at random: 1; surely fewer: −1; else 0.
        change: where the majority changes.
        passing: what samples have in between; None: nothing surely.
    """

    steps: Array
    first: BoolArray
    second: BoolArray
    random_first: Array
    random_second: Array
    random_flipped: Array
    walk: Walk
    curve: Curve
    samples: tuple[int, ...]
    drawn: int
    available: int
    deviation: Array
    more: int
    change: Change
    passing: Passing | None

    @property
    def flipped(self) -> BoolArray:
        """Whether a sample has the second class and no longer the first, ``[N, T]``."""
        return np.asarray(self.second & ~self.first)


def between(first: Boundary, second: Boundary) -> Boundary:
    """The direction back along one boundary and forth along another: the difference of the normals.

    It is made as long as a boundary is, so that a step goes equally far for every pair.

    Raises:
        ValueError: when the boundaries are of different spaces, or the same.
    """
    if (first.space, first.normal.shape) != (second.space, second.normal.shape):
        raise ValueError(
            f"{first.name!r} is a boundary in {first.space} with a normal {list(first.normal.shape)}, and "
            f"{second.name!r} in {second.space} with {list(second.normal.shape)}; fit both alike"
        )
    difference = second.normal - first.normal
    each = has_unit_layers(first.normal) and has_unit_layers(second.normal)
    length = np.linalg.norm(difference, axis=-1, keepdims=True) if each else np.linalg.norm(difference)
    if np.max(length) < 1e-6:
        raise ValueError(
            f"the boundaries of {first.name!r} and {second.name!r} are the same: no way leads on"
        )
    return replace(
        second, name=f"{first.name} to {second.name}", normal=difference / np.where(length > 1e-6, length, 1),
        accuracy=None, remaining_accuracy=None, deviation=None, code_deviations=None, conditions=(),
        layers=None,
    )  # fmt: skip


def walk_between(
    subject: Subject,
    first: Boundary,
    second: Boundary,
    rule: Rule,
    steps: Sequence[float],
    *,
    layers: tuple[int, ...] | None,
    num: int,
    most: int,
    num_random: int,
    step_unit: StepUnit,
    confidence: float,
) -> Seen | None:
    """Moves samples that have the first class and not the second, and the same ones at random.

    Args:
        rule: of classes, these two among them.
        steps: ascending, above 0.
        layers: which move; None: all.
        num: how many samples.
        most: they are looked for among so many.
        num_random: of each kind of random directions, as long as the walk's.
        step_unit: as for ``verify``.
        confidence: of all that is surely so of this pair.

    Returns:
        What was seen; None where fewer than ``LEAST`` samples fit.
    """
    one, other = rule.names.index(first.name), rule.names.index(second.name)

    def wanted(scores: Array) -> BoolArray:
        has = rule.has(scores)
        return np.asarray(has[:, one] & ~has[:, other])

    way = between(first, second)
    chosen = subject.find(
        [way], wanted, num=num, most=most, doing=f"looking for {first.name} without {second.name}"
    )
    normals = [way, *_random(subject, way, num_random)]
    if step_unit == "sd":
        codes = in_space(way.space, subject.codes(way, range(NUM_TO_SPREAD))).cpu().numpy()
        normals = [replace(each, code_deviations=tuple(along(codes, each.normal))) for each in normals]
    curves = [Curve(normal, layers) for normal in normals]
    if len(chosen.samples) < LEAST:
        return None
    walk = subject.walk(
        curves, steps, num=len(chosen.samples), samples=chosen.samples, step_unit=step_unit, doing=way.name
    )
    base, moved = rule.has(walk.base)[:, None], rule.has(walk.moved)  # [N, 1, K], [N, C, T, K]
    has = np.stack(
        [np.concatenate([base, moved[:, curve]], axis=1) for curve in range(len(curves))]
    )  # [C, N, T + 1, K]
    first_has, second_has = has[..., one], has[..., other]  # [C, N, T + 1]
    flips = second_has & ~first_has
    level = (1 - confidence) / ANSWERS
    return Seen(
        steps=(walked := np.array([0.0, *steps])),
        first=first_has[0],
        second=second_has[0],
        random_first=first_has[1:].mean(axis=0),
        random_second=second_has[1:].mean(axis=0),
        random_flipped=(at_random := flips[1:].mean(axis=0)),
        walk=walk,
        curve=curves[0],
        samples=chosen.samples,
        drawn=chosen.drawn,
        available=int(wanted(chosen.scores).sum()),
        deviation=deviation_of(chosen.scores),
        more=_sign(flips[0, :, -1] - at_random[:, -1], level),
        change=majority(walked, first_has[0], second_has[0], level),
        passing=_passing(walk, (first.name, second.name), second.level, rule, level),
    )


def _random(subject: Subject, way: Boundary, num: int) -> list[Boundary]:
    """Random directions of every kind, each as long as the way."""
    result = []
    for kind in kinds_of("both", way.space):
        codes = subject.codes(way, range(BLOCK if kind == "isotropic" else NUM_TO_SPREAD))
        seed = 0 if subject.seed is None else subject.seed
        for index, normal in enumerate(null_directions([way], kind, num, seed, codes)):
            result.append(replace(way, name=f"random direction {index} ({kind})", normal=normal))
    return result


def majority(steps: Array, has_first: BoolArray, has_second: BoolArray, level: float) -> Change:
    """Says between which steps more samples come to have the second class alone than the first alone.

    Each step has a sign test over the samples that have one of the two alone. Those at which the first leads
    are tested from 0 on, and those at which the second does from the farthest back; the first that fails
    ends each, so that every test is at half the level.

    Args:
        steps: ``[T]``, ascending from 0.
        has_first: whether a sample has the first class, ``[N, T]``.
        has_second: likewise the second.
        level: of both ends together.
    """
    first = (has_first & ~has_second).sum(axis=0)
    second = (has_second & ~has_first).sum(axis=0)
    leads = np.logical_and.accumulate((second > first)[::-1])[::-1]
    after = int(leads.argmax()) if leads.any() else None
    sure_first = np.array([_sign_test(a, b) for a, b in zip(first, second, strict=True)]) <= level / 2
    sure_second = np.array([_sign_test(b, a) for a, b in zip(first, second, strict=True)]) <= level / 2
    up_to = int(np.logical_and.accumulate(sure_first).sum()) - 1
    from_on = int(np.logical_and.accumulate(sure_second[::-1]).sum())
    return Change(
        before=None if after is None else float(steps[after - 1]),
        after=None if after is None else float(steps[after]),
        surely_after=float(steps[max(up_to, 0)]),
        surely_by=float(steps[-from_on]) if from_on else None,
    )


def _passing(walk: Walk, pair: tuple[str, str], kind: str, rule: Rule, level: float) -> Passing | None:
    """What of the classes of one level samples surely have more often on the way than at both ends."""
    names = [
        semantic.name for semantic, ends in zip(walk.semantics, walk.ranges, strict=True)
        if semantic.level == kind and semantic.name not in pair and np.isfinite(ends).all()
    ]  # fmt: skip
    if rule.thresholds is None or not names or len(walk.steps) < 2:
        return None
    columns = [walk.column(name) for name in names]
    scores = np.concatenate([walk.base[:, None], walk.moved[:, 0]], axis=1)[..., columns]  # [N, T, K]
    same = rule.thresholds[0] if len(set(rule.thresholds)) == 1 else None
    has = scores >= (walk.ranges[columns].mean(axis=1) if same is None else same)
    shares = has.mean(axis=0)  # [T, K]
    rise = shares[1:-1] - np.maximum(shares[0], shares[-1])
    place, which = np.unravel_index(int(rise.argmax()), rise.shape)
    beyond = has[:, [place + 1], which].astype(np.float64) - has[:, [0, -1], which]  # [N, 2]
    _, low, _ = interval(beyond, 1.0, 1 - 2 * level / rise.size)
    if not (low > 0).all():
        return None
    return Passing(names[which], float(walk.steps[place]), np.asarray(has[..., which]))


def _sign(difference: Array, level: float) -> int:
    """The sign of a mean of differences between −1 and 1, ``[N]``; 0 where it is not sure."""
    _, low, high = interval(difference[:, None], 1.0, 1 - level)
    return int(low[0] > 0) - int(high[0] < 0)


def _sign_test(more: Any, less: Any) -> float:
    """The probability of so many heads or more among all throws of a fair coin."""
    if more == 0:
        return 1.0
    return float(scipy.special.betainc(more, less + 1, 0.5))
