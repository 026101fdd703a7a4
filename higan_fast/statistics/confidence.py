"""Always-valid confidence sequences: bounds on many means that hold at every number of samples at once."""

from __future__ import annotations

import abc
import math

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
IndexArray = NDArray[np.intp]

# Student's sequence is about tightest at this number of samples. From 64 to 2,000 it is wider by 7 % at
# most than one made for the number at hand, and at 32 by 10 %.
TIGHTEST_AT = 128

# What a bettor puts at stake, as parts of what the reach allows. For an effect of mean μ, standard
# deviation σ and reach r the best bet is about μ r / σ². Smaller ones would pay only for effects too small
# to be told within some thousands of samples, and more of them save nothing.
BETS = np.geomspace(0.1, 0.98, 4)


class ConfidenceSequence(abc.ABC):
    """Running statistics of E means, and bounds that hold at every number of samples at once.

    Each entry is a mean of its own, of values that are independent and alike from sample to sample; the
    entries may depend on each other. One may look at any time, stop at any time, and leave entries out from
    any time on. Samples are added one by one in their order: the sizes of the updates change no bit.

    Attributes:
        count: how many samples each entry has, ``[E]``.
        mean: ``[E]``.
    """

    def __init__(self, num: int) -> None:
        self.count = np.zeros(num, np.int64)
        self.mean = np.zeros(num)
        self._squares = np.zeros(num)

    @abc.abstractmethod
    def update(self, values: ArrayLike, entries: IndexArray | None = None) -> None:
        """Adds samples: ``[n, E]``, or ``[n, len(entries)]`` for some entries only."""

    @abc.abstractmethod
    def bounds(self, level: float) -> tuple[Array, Array]:
        """(low, high), ``[E]`` each. The true mean ever lies below low with probability ``level`` at most.

        The same holds for high, so that an interval of confidence 1 − α takes the level α / 2.
        """

    @abc.abstractmethod
    def signs(self, level: float) -> NDArray[np.int8]:
        """``[E]``: 1 where the true mean is surely above 0, −1 where it is surely below, 0 where unknown.

        The probability that an entry ever gets 1 although its mean is at most 0 is ``level`` at most; the
        same holds for −1.
        """


def confidence_sequence(num: int, reach: ArrayLike | None = None) -> ConfidenceSequence:
    """The sequence for what is known of the values.

    Args:
        num: how many entries.
        reach: the largest size that a value can have, a number or ``[num]``: (high − low) / 2 for paired
            effects of a score in [low, high]. None: not known.
    """
    return StudentSequence(num) if reach is None else BettingSequence(num, reach)


class StudentSequence(ConfidenceSequence):
    """For values without a known range: exact for Gaussian ones, and asymptotic for others.

    The bounds are those of a sequential t-test (Wang and Ramdas, arXiv 2310.03722): the likelihood of the
    data, free of their scale, under effect sizes δ ~ N(0, τ²), divided by that under δ = 0, is a test
    martingale for Gaussian values of any variance. With t Student's statistic at n samples, ν = n − 1 and
    g = 1 + n τ², it is::

        g^(−1/2) · ((1 + t²/ν) / (1 + t²/(ν g)))^(n/2)

    By Ville's inequality it ever reaches 1/α with probability α at most. Solved for the mean it gives a
    closed form, and as n grows that becomes the asymptotic confidence sequence of Waudby-Smith, Arbour,
    Sinha, Kennedy and Ramdas (arXiv 2103.06476): for values of any distribution with a little more than two
    moments, the probability of an error at or after sample m tends to at most its level as m grows. Nothing
    is promised for few samples of a distribution with heavy tails; the tests say what was seen.
    """

    def update(self, values: ArrayLike, entries: IndexArray | None = None) -> None:
        where = slice(None) if entries is None else entries
        values = _checked(values, self.mean[where].size)
        count, mean, squares = self.count[where], self.mean[where], self._squares[where]
        for value in values:  # Welford's recursion
            count = count + 1
            residual = value - mean
            mean = mean + residual / count
            squares = squares + residual * (value - mean)
        self.count[where], self.mean[where], self._squares[where] = count, mean, squares

    def bounds(self, level: float) -> tuple[Array, Array]:
        count = self.count.astype(np.float64)
        # One side: reaching T = (1/α + 1)/2 from above 0 takes the half of the mixture with δ > 0 to 1/α.
        log_threshold = math.log((1 / level + 1) / 2)
        growth = 1 + count * _effect_size_variance(level)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = np.exp((2 * log_threshold + np.log(growth)) / count)
            solved = (ratio - 1) / (1 - ratio / growth)  # t²/ν at which the martingale is at T
            radius = np.sqrt(solved * self._squares / count)
        # With few samples no t, however large, is enough.
        radius = np.where((count >= 2) & (ratio < growth), radius, np.inf)
        return self.mean - radius, self.mean + radius

    def signs(self, level: float) -> NDArray[np.int8]:
        low, high = self.bounds(level)
        return (low > 0).astype(np.int8) - (high < 0).astype(np.int8)


class BettingSequence(ConfidenceSequence):
    """For values x of a known reach, \\|x\\| ≤ r: holds at every number of samples, for every distribution.

    The signs are told by betting (Waudby-Smith and Ramdas, arXiv 2010.09686): were the mean at most 0, a
    bettor who puts a part b of its capital on x > 0, again and again, would hold ``Π (1 + b x_i / r)``, a
    supermartingale. So is the mean over several bets, and by Ville's inequality it ever reaches 1/α with
    probability α at most.

    The bounds are empirical Bernstein's (Howard, Ramdas, McAuliffe and Sekhon, arXiv 1810.08240, theorem 4).
    With c = 2 r, x̂_i the mean of the values before x_i (0 at first), V = Σ ((x_i − x̂_i) / c)² and
    ψ(b) = −log(1 − b) − b, each ``exp(b Σ (x_i − μ) / c − ψ(b) V)`` is below a supermartingale; with K bets
    of equal weights that gives the radius::

        min over b of  c (log(K / α) + ψ(b) V) / (b n)

    They are wider than what the signs go by, so that a sign may be known while 0 is still within the bounds.
    """

    def __init__(self, num: int, reach: ArrayLike) -> None:
        super().__init__(num)
        self.reach = np.broadcast_to(np.asarray(reach, np.float64), (num,))
        if not ((self.reach > 0) & np.isfinite(self.reach)).all():
            raise ValueError(f"reach: got {reach!r}, expected positive numbers")
        self._log_capital = np.zeros((2, len(BETS), num))  # of those who bet on > 0, and on < 0

    def update(self, values: ArrayLike, entries: IndexArray | None = None) -> None:
        where = slice(None) if entries is None else entries
        reach = self.reach[where]
        values = _checked(values, reach.size)
        if (np.abs(values) > reach * (1 + 1e-9)).any():
            worst = np.abs(values).max(axis=0) / reach
            raise ValueError(
                f"values: got one of size {float((worst * reach)[worst.argmax()]):g} where the reach is "
                f"{float(reach[worst.argmax()]):g}; give the range that the scores really have, or none"
            )
        count, mean, squares = self.count[where], self.mean[where], self._squares[where]
        log_capital = self._log_capital[..., where]
        stakes = BETS[:, None] / reach  # [K, E]
        for value in values:
            gain = stakes * value
            log_capital = log_capital + np.log1p(np.stack([gain, -gain]))
            count = count + 1
            residual = value - mean
            squares = squares + residual**2
            mean = mean + residual / count
        self.count[where], self.mean[where], self._squares[where] = count, mean, squares
        self._log_capital[..., where] = log_capital

    def bounds(self, level: float) -> tuple[Array, Array]:
        width = 2 * self.reach
        psi = (-np.log1p(-BETS) - BETS)[:, None]  # [K, 1]
        with np.errstate(divide="ignore"):
            radius = width * (
                (math.log(len(BETS) / level) + psi * self._squares / width**2) / (BETS[:, None] * self.count)
            ).min(axis=0)
        return self.mean - radius, self.mean + radius

    def signs(self, level: float) -> NDArray[np.int8]:
        capital = scipy.special.logsumexp(self._log_capital, axis=1) - math.log(len(BETS))  # [2, E]
        above, below = capital >= -math.log(level)
        return above.astype(np.int8) - below.astype(np.int8)


def _effect_size_variance(level: float) -> float:
    """τ² for which the interval is about tightest at ``TIGHTEST_AT`` (arXiv 2103.06476, appendix B)."""
    log = -2 * math.log(min(2 * level, 0.5))
    return (log + math.log(log + 1)) / TIGHTEST_AT


def _checked(values: ArrayLike, num: int) -> Array:
    """Values as float64 ``[n, num]``."""
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or array.shape[1] != num:
        raise ValueError(f"values: got shape {list(array.shape)}, expected [n, {num}]")
    if not np.isfinite(array).all():
        raise ValueError("values: got NaN or infinity; leave out the entries that were not measured")
    return array
