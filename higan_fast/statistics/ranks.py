"""Whether two rankings of the same things agree: Kendall's τ, with an interval and a permutation test."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import NDArray

Array = NDArray[np.float64]

DRAWS = 9_999
LEAST = 5  # things to rank; Fieller's variance needs more than four
NUMBERS_AT_ONCE = 20_000_000


class RankCorrelation(NamedTuple):
    """How far two rankings of n things agree.

    Attributes:
        tau: Kendall's τ-b, from −1 to 1: 0 where they have nothing to do with each other. Ties count as
            neither agreeing nor disagreeing; NaN where all things tie.
        low: lower end of its interval, as if the things were drawn from many.
        high: upper end.
        p: two-sided permutation p-value of τ = 0.
        least: the smallest |τ| that so many things tell from 0; NaN where none does.
        rho: Spearman's rank correlation.
        num: n.
    """

    tau: float
    low: float
    high: float
    p: float
    least: float
    rho: float
    num: int


def rank_correlation(one: Array, other: Array, level: float) -> RankCorrelation:
    """Compares two rankings.

    The interval is Fisher's transform with the variance ``0.437 / (n − 4)`` of Fieller, Hartley and Pearson
    (1957), which was found for normal values; τ = ±1 is taken for the value that one pair fewer would give.

    Args:
        one: values ``[n]``, n at least 5.
        other: values ``[n]``.
        level: what the interval may miss, and which p-value tells τ from 0.

    Raises:
        ValueError: when there are fewer than five, or a value is not finite.
    """
    num = len(one)
    if num < LEAST:
        raise ValueError(f"rankings: got {num} things to rank, expected at least {LEAST}")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise ValueError("rankings: got NaN or infinity among the values, which have no rank")
    first, second = (np.sign(values[:, None] - values[None]) for values in (one, other))
    size = math.sqrt((first**2).sum() * (second**2).sum())
    if size == 0:
        return RankCorrelation(math.nan, -1.0, 1.0, 1.0, math.nan, math.nan, num)
    tau = float((first * second).sum() / size)
    drawn = np.abs(_permuted(first, second) / size)
    p = (1 + int((drawn >= abs(tau) - 1e-12).sum())) / (1 + DRAWS)
    values, counts = np.unique(np.round(drawn, 9), return_counts=True)
    enough = (1 + np.cumsum(counts[::-1])[::-1]) / (1 + DRAWS) <= level
    least = float(values[enough][0]) if enough.any() else math.nan
    pairs = num * (num - 1) / 2
    middle = math.atanh(min(max(tau, 1 / pairs - 1), 1 - 1 / pairs))
    reach = float(scipy.special.ndtri(1 - level / 2)) * math.sqrt(0.437 / (num - 4))
    low, high = math.tanh(middle - reach), math.tanh(middle + reach)
    rho = float(scipy.stats.spearmanr(one, other).statistic)
    return RankCorrelation(tau, min(low, tau), max(high, tau), p, least, rho, num)


def _permuted(first: Array, second: Array) -> Array:
    """The sum over pairs of agreements, less disagreements, for permutations of the second ranking."""
    num, random, sums = len(first), np.random.default_rng(0), []
    at_once = max(1, NUMBERS_AT_ONCE // num**2)
    for start in range(0, DRAWS, at_once):
        count = min(at_once, DRAWS - start)
        orders = random.permuted(np.tile(np.arange(num), (count, 1)), axis=1)
        moved = second[orders[:, :, None], orders[:, None, :]]
        sums.append(np.einsum("ij,kij->k", first, moved))
    return np.concatenate(sums)
