"""Stop rules of a verification: which effects need more samples, until its question is answered for sure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from higan_fast.checks import check_confidence, check_count
from higan_fast.statistics.confidence import confidence_sequence
from higan_fast.statistics.effect_test import EffectTest
from higan_fast.statistics.nulls import NullGeometry
from higan_fast.statistics.sequence import ConfidenceSequence

Goal = Literal["effect", "top-layer", "ranking"]
GOALS: tuple[Goal, ...] = get_args(Goal)

FIRST_ROUND = 32

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Verdict:
    """What is known of B boundaries, and what it took.

    Attributes:
        has_effect: boundaries that surely raise their semantic, and by more than the null does, ``[B]``.
        undecided: boundaries of which more samples might still show it: there were no more, or no more
            looks at the null, ``[B]``. Of the others no effect was shown, which does not prove that they
            have none.
        sign: 1 where the effect is surely above 0, −1 where it is surely below, 0 where unknown, ``[B]``.
        p_values: against the null, at the last look at which a boundary was tested, ``[B]`` ...
        p_adjusted: ... after Holm's correction, ``[B]`` ...
        p_required: ... what that must not exceed, ``[B]`` ...
        tested_on: ... and on how many samples that was, ``[B]``.
        candidates: the layer with the largest effect, of either sign, is among these, ``[B, L]``.
        top_layer: that layer, or one that falls short of it by the margin at most, ``[B]``; −1: not known,
            or no effect was shown.
        order: boundaries as ranked: first those with an effect, last those without; within them by effect
            in its unit, largest first.
        ordered: pairs of boundaries whose order is known, or that differ by the margin at most, ``[B, B]``.
        samples: how many each effect was measured on, ``[B, 1 + L]``.
        null_samples: how many each random direction was measured on.
        images: how many perturbed images that took: two for each sample of an effect.
        images_fixed: how many ``max_samples`` samples of all these effects would have taken.
    """

    has_effect: BoolArray
    undecided: BoolArray
    sign: NDArray[np.int8]
    p_values: Array
    p_adjusted: Array
    p_required: Array
    tested_on: NDArray[np.int64]
    candidates: BoolArray
    top_layer: IndexArray
    order: tuple[int, ...]
    ordered: BoolArray
    samples: NDArray[np.int64]
    null_samples: int
    images: int
    images_fixed: int


class Decisions:
    """Says after each round of samples what is decided, and which effects need more of them.

    The use::

        decisions = Decisions("top-layer", num_boundaries=B, num_layers=L, num_null=R)
        while samples := decisions.next_samples:
            ...  # measure decisions.active, and random directions if decisions.null_active
            decisions.update(own, null)
        decisions.verdict()

    The goals:
        effect: which boundaries raise their semantic, on all layers together, by more than the null does?
        top-layer: and on which layer alone is the effect of each of those the largest, of either sign?
            The layers are measured once the first question is answered, and from sample 0 on.
        ranking: and what is the order of those by effect, each in its ``unit``?

    What is guaranteed, with the probability ``confidence`` for all of it together, whenever one stops:

    - No boundary has_effect whose true effect is at most 0, or that is itself a random direction.
    - The layer of largest true effect is among the candidates, and the effect of top_layer is at least
      (1 − margin) times the largest.
    - Of each ordered pair, the boundary ranked first has the larger true effect in its unit, or the two
      differ by at most margin times the larger.

    True effects are means over all samples that the generator can make. The signs behind these claims are
    told by confidence sequences. Those of an entry whose reach is given hold for every distribution, and
    those of the others asymptotically (see ``confidence``). The null enters as in ``verify``: effects are
    compared with those of random directions on the same samples, by Holm's rule, and that is valid on any
    number of samples; the looks share the level (see ``effect_test.null_looks``).

    The level 1 − confidence is the effects' alone for the goal "effect"; otherwise half of it is theirs,
    and half that of the layers or the order. The effects' part goes half to the looks, and half to the signs.
    Of the layers' part, half goes to the search, and half is left for saying which layers act at all.
    """

    def __init__(
        self,
        goal: Goal,
        num_boundaries: int,
        num_layers: int,
        num_null: int,
        *,
        confidence: float = 0.99,
        max_samples: int = 2000,
        margin: float = 0.1,
        reach: ArrayLike | None = None,
        unit: ArrayLike = 1.0,
        geometry: NullGeometry | None = None,
    ) -> None:
        """Nothing is measured yet.

        Args:
            goal: "effect", "top-layer" or "ranking".
            num_layers: how many layers can be moved alone; 0 for boundaries in z.
            num_null: how many random directions.
            confidence: of all decisions together.
            max_samples: where to stop though not everything is decided.
            margin: differences of effects below this part of the larger one do not matter; 0: all do.
            reach: the largest size of a paired effect, a number or one per boundary: (high − low) / 2
                where the score lies in [low, high]; inf where that is not known. None: of none.
            unit: in which the boundaries' effects are compared with each other for their order, a positive
                number or one per boundary, such as the standard deviation of its score.
            geometry: of the random directions, which may be of several kinds: an effect must be beyond each.
                None: they are of one kind, in very many dimensions.

        Raises:
            ValueError: when an argument is out of range.
        """
        if goal not in GOALS:
            raise ValueError(f"goal: got {goal!r}, expected one of {', '.join(GOALS)}")
        if goal == "top-layer" and num_layers == 0:
            raise ValueError("goal: a boundary in z moves all layers, so that it has no top layer")
        check_count("num_boundaries", num_boundaries)
        check_count("num_null", num_null, 2)
        check_count("max_samples", max_samples, 2)
        check_confidence(confidence)
        if not 0 <= margin < 1:
            raise ValueError(f"margin: got {margin!r}, expected a number from 0 to below 1, such as 0.1")
        shape = (num_boundaries, 1 + num_layers)
        of_boundary = np.asarray(np.inf if reach is None else reach, np.float64)
        reaches = np.repeat(np.broadcast_to(of_boundary, shape[0]), shape[1])  # of each effect, [B (1 + L)]
        level = (1 - confidence) / (1 if goal == "effect" else 2)
        self.acting_level = level / 2 if goal == "top-layer" else 0.0
        self.effects = confidence_sequence(math.prod(shape), reaches)  # of everything that is measured
        self.active = np.zeros(shape, np.bool_)  # what the next round must measure
        self.active[:, 0] = True
        self._done = 0
        self._rounds = rounds(max_samples)
        geometry = geometry or NullGeometry.unknown(1, num_null, (num_boundaries,))
        self._test = EffectTest(*shape, geometry, max_samples, level, 1 - confidence)
        self._top = _TopLayer(*shape, margin, level / 2, reaches) if goal == "top-layer" else None
        self._unit = np.broadcast_to(np.asarray(unit, np.float64), shape[0])
        self._order = _Order(*shape, margin, level, reaches, self._unit) if goal == "ranking" else None
        self._searching = False  # the layers, with all effects decided

    @property
    def next_samples(self) -> range:
        """The samples of the next round; empty when all is decided, or there have been ``max_samples``."""
        stops = [stop for stop in self._rounds if stop > self._done]
        return range(self._done, stops[0] if stops and self.active.any() else self._done)

    @property
    def null_active(self) -> bool:
        """Whether the next round must measure the random directions, on all layers together."""
        return bool((self._test.open & ~self._test.beyond).any())

    def update(self, own: ArrayLike, null: ArrayLike | None = None) -> None:
        """Takes in the paired effects of the samples ``next_samples``.

        Args:
            own: of each boundary on its own semantic, ``[n, B, 1 + L]``: all layers together, then each
                alone. What is not ``active`` is not read.
            null: of the random directions on the semantic of each boundary, ``[n, R, B]``, one kind after
                the other; not read unless ``null_active``.

        Raises:
            ValueError: when a shape is another, or an effect is not finite or beyond the reach.
        """
        num, shape = len(self.next_samples), self.active.shape
        own = np.asarray(own, np.float64)
        if own.shape != (num, *shape):
            raise ValueError(f"own: got shape {list(own.shape)}, expected {[num, *shape]}")
        flat, active = own.reshape(num, -1), self.active.ravel()
        entries = np.flatnonzero(active)
        self.effects.update(flat[:, entries], entries)
        self._done += num
        if self._top and self._searching:
            self._top.update(flat, active, self.effects)
        else:
            of_null = np.asarray(null, np.float64) if self.null_active else None
            self._test.update(self.effects, self._done, of_null)
        if self._order:
            self._order.update(flat, active, self.effects.ready)
        self._choose_active()

    def _choose_active(self) -> None:
        """What is decided needs no more samples."""
        test = self._test
        if self._top and not self._searching and not (test.open.any() and self.next_samples):
            self._searching, self._done = True, 0
        self.active[:, 0] = test.open & (not self._searching)
        if self._top and self._searching:
            self.active[:, 1:] = self._top.candidates & (test.has_effect & (self._top.layer < 0))[:, None]
        if self._order:
            ranked = test.has_effect | test.undecided
            self.active[:, 0] |= ranked & (ranked & ~self._order.decided).any(axis=1)

    def verdict(self) -> Verdict:
        """What is known now."""
        test, (num, sets) = self._test, self.active.shape
        mean = self.effects.mean.reshape(num, sets)[:, 0]
        samples = self.effects.count.reshape(num, sets).copy()
        num_null = len(test.null_total)
        measured = num * (sets if self._top else 1) + num_null
        return Verdict(
            has_effect=test.has_effect.copy(),
            undecided=test.undecided.copy(),
            sign=test.rises.astype(np.int8) - test.falls.astype(np.int8),
            p_values=test.p_values.copy(),
            p_adjusted=test.p_adjusted.copy(),
            p_required=test.p_required.copy(),
            tested_on=test.tested_on.copy(),
            candidates=self._top.candidates.copy() if self._top else np.ones((num, sets - 1), np.bool_),
            top_layer=np.where(test.has_effect, self._top.layer if self._top else -1, -1),
            order=_sort(
                np.where(test.has_effect, 0, np.where(test.undecided, 1, 2)),
                mean / self._unit,
                self._order.separated if self._order else np.zeros((num, num), np.bool_),
            ),
            ordered=self._order.decided.copy() if self._order else np.eye(num, dtype=np.bool_),
            samples=samples,
            null_samples=test.null_samples,
            images=2 * int(samples.sum() + num_null * test.null_samples),
            images_fixed=2 * measured * self._rounds[-1],
        )


def rounds(max_samples: int) -> tuple[int, ...]:
    """How many samples there are after each round: steps of 16, later of a quarter of a power of two."""
    stops = [min(FIRST_ROUND, max_samples)]
    while stops[-1] < max_samples:
        step = max(16, 2 ** (stops[-1].bit_length() - 1) // 4)
        stops.append(min(stops[-1] + step, max_samples))
    return tuple(stops)


class _TopLayer:
    """Which layer has the largest effect, of either sign, by differences between layers on the same samples.

    \\|θ_l\\| > w \\|θ_k\\| if and only if θ_l − w θ_k and θ_l + w θ_k have the same sign. A layer k is
    eliminated when another is surely larger (w = 1); the search ends when one layer is left, or one is
    surely larger than 1 − margin times each of those left.

    The top layer k is lost, or missed by more than the margin, only if one of two one-sided errors happens
    for another layer l: if θ_k > 0, that θ_l − w θ_k is taken to be above 0 or θ_l + w θ_k below. So the
    level is shared by 2 (L − 1) errors for each w and boundary, though all pairs of layers are compared.
    """

    def __init__(self, num: int, sets: int, margin: float, level: float, reach: Array) -> None:
        num_layers = sets - 1
        self.candidates = np.ones((num, num_layers), np.bool_)
        self.layer = np.full(num, -1)
        weights = (1.0, 1 - margin) if margin else (1.0,)
        level /= len(weights) * 2 * max(num_layers - 1, 1) * num
        one, other = np.nonzero(~np.eye(num_layers, dtype=np.bool_))
        start = np.arange(num)[:, None] * sets + 1  # [B, 1]
        first, second = (start + one).ravel(), (start + other).ravel()  # [B L (L − 1)]
        self.comparisons = [
            (_Comparisons(first, second, -w, level, reach), _Comparisons(first, second, w, level, reach))
            for w in weights
        ]
        self.pairs = (slice(None), one, other)

    def update(self, effects: Array, active: BoolArray, so_far: ConfidenceSequence) -> None:
        """``effects``: ``[n, B (1 + L)]``; ``active``: which of them to read; ``so_far``: all of them."""
        num, num_layers = self.candidates.shape
        larger = np.zeros((len(self.comparisons), num, num_layers, num_layers), np.bool_)
        for index, (difference, total) in enumerate(self.comparisons):
            for comparison in (difference, total):
                comparison.update(effects, active, so_far.ready)
            larger[index][self.pairs] = (difference.known * total.known > 0).reshape(num, -1)
        left = self.candidates & ~larger[0].any(axis=1)
        self.candidates = np.where(left.any(axis=1, keepdims=True), left, self.candidates)
        itself = np.eye(num_layers, dtype=np.bool_)
        enough = (larger.any(axis=0) | itself | ~self.candidates[:, None]).all(axis=2) & self.candidates
        size = np.abs(so_far.mean.reshape(num, -1)[:, 1:])
        best = np.where(enough, size, -1).argmax(axis=1)
        self.layer = np.where((self.layer < 0) & enough.any(axis=1), best, self.layer)


class _Order:
    """Which of two boundaries has the larger effect in its unit, by differences on the same samples."""

    def __init__(
        self,
        num: int,
        sets: int,
        margin: float,
        level: float,
        reach: Array,
        unit: ArrayLike = 1.0,
    ) -> None:
        self.unit = np.repeat(np.broadcast_to(unit, num), sets)  # of each effect, [B (1 + L)]
        reach = reach / self.unit
        self.decided = np.eye(num, dtype=np.bool_)
        self.separated = np.zeros((num, num), np.bool_)  # (i, j): θ_i > θ_j
        weights = (1.0, 1 - margin) if margin else (1.0,)
        level /= len(weights) * max(num * (num - 1) // 2, 1)  # of each pair one order is wrong
        self.pairs = np.nonzero(~np.eye(num, dtype=np.bool_))
        first, second = (index * sets for index in self.pairs)
        self.comparisons = [_Comparisons(first, second, -w, level, reach) for w in weights]

    def update(self, effects: Array, active: BoolArray, ready: BoolArray) -> None:
        """``effects``: ``[n, B (1 + L)]``; ``active``: which to read; ``ready``: of which enough was seen."""
        larger = np.zeros((len(self.comparisons), *self.decided.shape), np.bool_)
        for index, comparison in enumerate(self.comparisons):
            comparison.update(effects / self.unit, active, ready)
            larger[index][self.pairs] = comparison.known > 0
        self.separated, reaches = larger[0], larger[-1]  # the second: θ_i > (1 − margin) θ_j
        self.decided |= self.separated | self.separated.T | (reaches & reaches.T)


class _Comparisons:
    """The signs of means of ``effect[first] + weight · effect[second]``, kept once they are known.

    None is before enough was seen of both effects: the spread of one hides that the other has shown none.
    """

    def __init__(
        self, first: IndexArray, second: IndexArray, weight: float, level: float, reach: Array
    ) -> None:
        self.first, self.second, self.weight, self.level = first, second, weight, level
        reaches = reach[first] + abs(weight) * reach[second]
        self.sequence = confidence_sequence(len(first), reaches, keep=False)
        self.known = np.zeros(len(first), np.int8)

    def update(self, effects: Array, active: BoolArray, ready: BoolArray) -> None:
        """``effects``: ``[n, V]``; ``active``: which to read; ``ready``: of which enough was seen."""
        entries = np.flatnonzero(active[self.first] & active[self.second] & (self.known == 0))
        values = effects[:, self.first[entries]] + self.weight * effects[:, self.second[entries]]
        self.sequence.update(values, entries)
        entries = entries[ready[self.first[entries]] & ready[self.second[entries]]]
        self.known[entries] = self.sequence.signs(self.level)[entries]


def _sort(group: IndexArray, mean: Array, separated: BoolArray) -> tuple[int, ...]:
    """Boundaries by group, and in a group by mean, largest first, but never against what is separated.

    Means alone could contradict it: two boundaries may have been measured on different numbers of samples.
    """
    order: list[int] = []
    left = np.ones(len(mean), np.bool_)
    while left.any():
        first = left & (group == group[left].min())
        free = first & ~separated[first].any(axis=0)
        order.append(int(np.where(free if free.any() else first, mean, -np.inf).argmax()))
        left[order[-1]] = False
    return tuple(order)
