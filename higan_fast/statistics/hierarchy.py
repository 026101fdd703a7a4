"""Whether levels come in a declared order by the mean layers of their members: tests, and intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise
from typing import Literal, NamedTuple

import numpy as np
import scipy.special
from numpy.typing import NDArray

from higan_fast.statistics.corrections import holm
from higan_fast.statistics.effects import student_quantile

Array = NDArray[np.float64]
Claim = Literal["established", "suggested", "not established"]

# What the p-value of a pair of levels may be at most, after Holm's correction for all pairs. So where there
# is no order, any pair is established in at most 1 % of probes, and at least suggested in at most 10 %:
# ``python -m benchmarks.hierarchy`` counts.
ESTABLISHED, SUGGESTED = 0.01, 0.1
# Fewer members on either level establish nothing, whatever their p-value: three may lie at one end of a level
# that reaches from end to end.
LEAST_MEMBERS = 5

# All labelings are counted where there are so few, and the members are too; else so many are drawn.
EXACT_LABELINGS, EXACT_MEMBERS, DRAWS = 20_000, 64, 9_999
RESAMPLES = 10_000


class Member(NamedTuple):
    """The mean layer of a member of a level, and its standard error; 0 where that is not known."""

    mean_layer: float
    error: float = 0.0


@dataclass(frozen=True)
class Level:
    """A level with at least one member, and the mean of its members' mean layers.

    ``low`` and ``high`` bound that mean over all members that the level might have had; None: one member says
    nothing of others.
    """

    name: str
    members: tuple[str, ...]
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Trend:
    """A test that members of later levels lie on later layers: one-sided, of all these levels together.

    ``labelings`` is how many ways there are to deal the levels to the members, or how many were drawn.
    """

    levels: tuple[str, ...]
    p: float
    labelings: int
    exact: bool


@dataclass(frozen=True)
class Pair:
    """Whether one level comes before the next; without p-values where a level has one member."""

    before: str
    after: str
    p: float | None
    p_adjusted: float | None
    claim: Claim


@dataclass(frozen=True)
class Hierarchy:
    """What mean layers say of a declared order of levels.

    Attributes:
        levels: those that have members, in the declared order.
        trend: over all of them; None: there are fewer than two, or there is one layer.
        without_single: over those with two members or more; None: these are all of them, or fewer than two.
        pairs: neighbours among all of them, and among those with two members or more.
    """

    levels: tuple[Level, ...]
    trend: Trend | None
    without_single: Trend | None
    pairs: tuple[Pair, ...]

    @property
    def single(self) -> tuple[str, ...]:
        """The levels with one member, which establish nothing."""
        return tuple(level.name for level in self.levels if len(level.members) == 1)

    def needs(self, pair: Pair) -> str:
        """What must be there before any p-value can establish a pair, in words; empty: it is there."""
        counts = {level.name: len(level.members) for level in self.levels}
        few = [
            f"{name} has {counts[name]}" for name in (pair.before, pair.after) if counts[name] < LEAST_MEMBERS
        ]
        return f"needs five semantics of each; {' and '.join(few)}" if few else ""


def hierarchy(members: Mapping[str, Mapping[str, Member]], last_layer: int, confidence: float) -> Hierarchy:
    """Tests whether levels come in the order in which they are given.

    Members are taken as drawn from their level, independently of each other: what is claimed is claimed of
    levels, and not of these members alone.

    The trend is that of Jonckheere (1954) and Terpstra (1952): of all pairs of members of different levels,
    those that lie in the declared order less those that lie against it. Its p-value is the share of all ways
    to deal the levels to the members, their numbers kept, that do at least as well.

    The p-value of a pair of levels is the larger one of two: that of the difference of their means under such
    permutations, and that of Welch's t with as many degrees of freedom as the smaller level gives. The
    first holds where levels differ in nothing; the second where they differ in spread, which the first takes
    for an order. A level with one member has no spread, and establishes nothing.

    Args:
        members: the members of each level by name, in the declared order of levels; a level may have none.
        last_layer: mean layers lie between 0 and this; 0: there is one layer, and no order to test.
        confidence: of the levels' intervals.
    """
    present = {level: list(named.values()) for level, named in members.items() if named}
    values = {level: np.array([one.mean_layer for one in of_it]) for level, of_it in present.items()}
    several = {level: layers for level, layers in values.items() if len(layers) > 1}
    levels = []
    for level, layers in values.items():
        errors = np.array([one.error for one in present[level]])
        ends = _interval(layers, errors, last_layer, confidence)
        levels.append(Level(level, tuple(members[level]), float(layers.mean()), *ends))
    if last_layer == 0:  # there is no order of layers
        return Hierarchy(tuple(levels), None, None, ())
    return Hierarchy(
        tuple(levels),
        _trend(values),
        _trend(several) if len(several) < len(values) else None,
        judge_pairs(values),
    )


def _trend(values: Mapping[str, Array]) -> Trend | None:
    if len(values) < 2:
        return None
    layers = np.concatenate(list(values.values()))
    in_order = np.sign(layers - layers[:, None]).astype(np.float32)  # [K, K], 1: the second lies later

    def steps(dealt: NDArray[np.int8]) -> Array:
        """Pairs of members in the order of their levels, less those against it: ``[R, K]`` → ``[R]``."""
        total = np.zeros(len(dealt), np.float32)
        for level in range(1, len(values)):
            earlier, here = (dealt < level).astype(np.float32), dealt == level
            total += ((earlier @ in_order) * here).sum(axis=1)
        return total.astype(np.float64)

    p, labelings, exact = _permutation(steps, [len(part) for part in values.values()])
    return Trend(tuple(values), p, labelings, exact)


def judge_pairs(values: Mapping[str, Array]) -> tuple[Pair, ...]:
    """Judges neighbours among levels, and among those that have several members.

    Those of the latter have p-values, and are the family that Holm's correction is for.

    Args:
        values: mean layers of the members of each level, in the declared order; none is empty.
    """
    several = [name for name in values if len(values[name]) > 1]
    place = {name: index for index, name in enumerate(values)}
    neighbours = {*pairwise(values), *pairwise(several)}
    tested = {
        (before, after): max(_shift(values[before], values[after]), _welch(values[before], values[after]))
        for before, after in pairwise(several)
    }
    adjusted = dict(zip(tested, holm(list(tested.values())).tolist(), strict=True))
    found = []
    for pair in sorted(neighbours, key=lambda pair: (place[pair[0]], place[pair[1]])):
        p = tested.get(pair)
        claim: Claim = "not established"
        if p is not None:
            enough = min(len(values[name]) for name in pair) >= LEAST_MEMBERS
            claim = "suggested" if adjusted[pair] <= SUGGESTED else claim
            claim = "established" if adjusted[pair] <= ESTABLISHED and enough else claim
        found.append(Pair(*pair, p, adjusted.get(pair), claim))
    return tuple(found)


def _shift(before: Array, after: Array) -> float:
    """The permutation p-value of the difference of two means."""
    layers = np.concatenate([before, after])

    def difference(dealt: NDArray[np.int8]) -> Array:
        later = dealt @ layers / len(after)
        return np.asarray(later - (layers.sum() - later * len(after)) / len(before))

    return _permutation(difference, [len(before), len(after)])[0]


def _welch(before: Array, after: Array) -> float:
    """The one-sided p-value of Welch's t, with the degrees of freedom of the smaller level."""
    difference = float(after.mean() - before.mean())
    error = math.sqrt(sum(part.var(ddof=1) / len(part) for part in (before, after)))
    if error == 0:
        return 0.0 if difference > 0 else 1.0
    return float(scipy.special.stdtr(min(len(before), len(after)) - 1, -difference / error))


def _permutation(
    statistic: Callable[[NDArray[np.int8]], Array], sizes: Sequence[int]
) -> tuple[float, int, bool]:
    """Returns the p-value of how the members lie, the number of labelings, and whether these are all.

    Draws count the labeling as it is as one of them (Phipson and Smyth 2010), so that p is never 0; among all
    labelings it is anyhow.
    """
    dealt = np.repeat(np.arange(len(sizes), dtype=np.int8), sizes)[None]  # [1, K], as they lie
    num = math.factorial(sum(sizes)) // math.prod(map(math.factorial, sizes))
    exact = num <= EXACT_LABELINGS and sum(sizes) <= EXACT_MEMBERS
    others, found = (_labelings if exact else _drawn)(tuple(sizes)), statistic(dealt)[0]
    reached = int((statistic(others) >= found - 1e-9 * max(1.0, abs(found))).sum())
    return (reached / num, num, True) if exact else ((1 + reached) / (1 + DRAWS), DRAWS, False)


@lru_cache(maxsize=8)
def _drawn(sizes: tuple[int, ...]) -> NDArray[np.int8]:
    """Levels dealt to members at random, always alike: ``[R, K]``, the index of a level for each member."""
    dealt = np.repeat(np.arange(len(sizes), dtype=np.int8), sizes)
    return np.random.default_rng(0).permuted(np.tile(dealt, (DRAWS, 1)), axis=1)


@lru_cache(maxsize=8)
def _labelings(sizes: tuple[int, ...]) -> NDArray[np.int8]:
    """All ways to deal levels to members, likewise."""
    if len(sizes) == 1:
        return np.zeros((1, sizes[0]), np.int8)
    first, total = sizes[0], sum(sizes)
    rest = 1 + _labelings(sizes[1:])  # [R', K − first]
    chosen = np.array(list(combinations(range(total), first)))  # [C, first], those of the first level
    free = np.ones((len(chosen), total), np.bool_)
    np.put_along_axis(free, chosen, False, axis=1)
    places = np.nonzero(free)[1].reshape(len(chosen), 1, -1)  # [C, 1, K − first]
    dealt = np.zeros((len(chosen), len(rest), total), np.int8)
    np.put_along_axis(dealt, np.broadcast_to(places, (*dealt.shape[:2], total - first)), rest[None], axis=2)
    return dealt.reshape(-1, total)


def _interval(
    layers: Array, errors: Array, last_layer: int, confidence: float
) -> tuple[float, float] | tuple[None, None]:
    """The bootstrap's interval of a level's mean: members are drawn again, and measured again.

    A bootstrap of few members is too narrow: its spread lacks the factor n / (n − 1), and its quantiles are a
    Gaussian's and not Student's. So its deviations from the mean are widened by both (Hesterberg 2015,
    "What teachers should know about the bootstrap").
    """
    num = len(layers)
    if num < 2:
        return None, None
    random = np.random.default_rng(0)
    chosen = random.integers(num, size=(RESAMPLES, num))
    again = layers[chosen] + errors[chosen] * random.standard_normal(chosen.shape)
    mean = float(layers.mean())
    ends = np.quantile(again.mean(axis=1) - mean, [(1 - confidence) / 2, (1 + confidence) / 2])
    gaussian = float(scipy.special.ndtri((1 + confidence) / 2))
    wider = student_quantile(confidence, num - 1) / gaussian * math.sqrt(num / (num - 1))
    low, high = np.clip(mean + wider * ends, 0, last_layer)
    return float(low), float(high)
