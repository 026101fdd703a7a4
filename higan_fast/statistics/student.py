"""Student's sequence: bounds on means of values whose range is not known."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from higan_fast.statistics.effects import standard_error, student_interval
from higan_fast.statistics.sequence import Array, ConfidenceSequence, IndexArray, checked

# Student's sequence is tightest at about this number of samples. Compared with a sequence tuned for the
# actual number, it is at most 7 % wider from 64 to 2,000 samples, and 10 % wider at 32.
TIGHTEST_AT = 128

# Nothing is said before so many different values that are not 0. A score that only now and then jumps shows
# no spread until it does, so that an interval after 32 samples of jumps of 2 % misses in half of all runs.
# With so many jumps of like sizes, be they 2 % or 10 % of the samples, errors are about within the level of a
# sign (0.020 % where 0.018 % is promised), and with half as many three times as frequent. A score that always
# changes waits for nothing, since the first round has more samples than that.
DISTINCT = 24


# Bounds of skewed values miss more often than they may while there are few samples: 2 to 4 times as often
# up to 64 samples where the skewness is 2 to 5. So they spend this part of their level, which makes them 5 %
# wider at 64 samples.
SPENT = 0.5

# What has not changed once in so many samples is compared with others as if it were 0, or no search could
# ever be done with layers that a score does not depend on. A jump of 2 % would have been seen in 99.4 % of
# all runs, and a rarer one may be missed. There is still no interval.
UNCHANGED = 256


class StudentSequence(ConfidenceSequence):
    """For values without a known range: exact for Gaussian values, asymptotic for others.

    The bounds are those of a sequential t-test (Wang and Ramdas, arXiv 2310.03722). Take the scale-invariant
    likelihood of the data under effect sizes δ ~ N(0, τ²), divided by that under δ = 0: it is a test
    martingale for Gaussian values of any variance. With Student's statistic t at n samples, ν = n − 1 and
    g = 1 + n τ², it is::

        g^(−1/2) · ((1 + t²/ν) / (1 + t²/(ν g)))^(n/2)

    By Ville's inequality the probability that it ever reaches 1/α is at most α. Solving for the mean yields a
    closed form. As n grows, it approaches the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha,
    Kennedy and Ramdas (arXiv 2103.06476): for any distribution with slightly more than two moments, the
    probability of an error at or after sample m tends to at most ``level`` as m grows. There is no guarantee
    for few samples of a heavy-tailed distribution; the tests document what was observed. As a margin, α is
    half of the level (``SPENT``). Until an entry has had ``DISTINCT`` different values other than 0, its
    bounds are infinite.
    """

    def __init__(self, num: int) -> None:
        super().__init__(num)
        self._squares = np.zeros(num)
        self._seen = np.zeros((DISTINCT, num))  # different values other than 0, of which there are ...
        self.distinct = np.zeros(num, np.int64)  # ... so many, up to ``DISTINCT``

    @property
    def ready(self) -> NDArray[np.bool_]:
        return (self.distinct >= DISTINCT) | ((self.distinct == 0) & (self.count >= UNCHANGED))

    def update(self, values: ArrayLike, entries: IndexArray | None = None) -> None:
        where = np.arange(len(self.count)) if entries is None else entries
        values = checked(values, where.size)
        self._see(values, where)
        count, mean, squares = self.count[where], self.mean[where], self._squares[where]
        for value in values:  # Welford's recursion
            count = count + 1
            residual = value - mean
            mean = mean + residual / count
            squares = squares + residual * (value - mean)
        self.count[where], self.mean[where], self._squares[where] = count, mean, squares

    def bounds(self, level: float) -> tuple[Array, Array]:
        return bounds_of_moments(self.count, self.mean, self._squares, self.distinct, level)

    def signs(self, level: float) -> NDArray[np.int8]:
        low, high = self.bounds(level)
        return (low > 0).astype(np.int8) - (high < 0).astype(np.int8)

    def _see(self, values: Array, where: IndexArray) -> None:
        few = self.distinct[where] < DISTINCT
        entries = where[few]
        for value in values[:, few]:
            if not entries.size:
                return
            new = (value != 0) & (self.distinct[entries] < DISTINCT)
            new &= ~(self._seen[:, entries] == value).any(axis=0)
            found = entries[new]
            self._seen[self.distinct[found], found] = value[new]
            self.distinct[found] += 1


def bounds_of_moments(
    count: ArrayLike, mean: Array, m2: Array, distinct: ArrayLike, level: float
) -> tuple[Array, Array]:
    """``StudentSequence.bounds`` of means of which only the moments are left, in any shape.

    Args:
        m2: sums of squared deviations from the mean.
        distinct: how many values other than 0 there were.
    """
    count, level = np.asarray(count, np.float64), SPENT * level
    # One-sided: if it reaches T = (1/α + 1)/2 with t > 0, the half of the mixture with δ > 0 reaches 1/α.
    log_threshold = math.log((1 / level + 1) / 2)
    growth = 1 + count * _effect_size_variance(level)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.exp((2 * log_threshold + np.log(growth)) / count)
        solved = (ratio - 1) / (1 - ratio / growth)  # t²/ν at which the martingale equals T
        radius = np.sqrt(solved * m2 / count)
    # With too few samples even an infinite t does not suffice.
    enough = (count >= 2) & (ratio < growth) & (np.asarray(distinct) >= DISTINCT)
    radius = np.where(enough, radius, np.inf)
    return mean - radius, mean + radius


def interval_of_moments(
    count: ArrayLike, mean: Array, m2: Array, distinct: ArrayLike, level: float
) -> tuple[Array, Array]:
    """As ``bounds_of_moments``, for numbers of samples that were fixed beforehand: Student's interval."""
    low, high = student_interval(mean, standard_error(count, m2), np.maximum(count, 2), 1 - 2 * level)
    enough = (np.asarray(count) >= 2) & (np.asarray(distinct) >= DISTINCT)
    return np.where(enough, low, -np.inf), np.where(enough, high, np.inf)


def _effect_size_variance(level: float) -> float:
    """Returns τ² for which the interval is about tightest at ``TIGHTEST_AT`` (2103.06476, appendix B)."""
    log = -2 * math.log(min(2 * level, 0.5))
    return (log + math.log(log + 1)) / TIGHTEST_AT
