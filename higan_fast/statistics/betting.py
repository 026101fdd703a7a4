"""Betting on means of values whose range is known: signs and bounds that hold for every distribution."""

from __future__ import annotations

import math

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray

from higan_fast.statistics.sequence import Array, ConfidenceSequence, IndexArray, checked

# The bets, as fractions of the most that can be staked. For an effect of mean μ, standard deviation σ and
# reach r the best bet is about μ r / σ². The smallest keeps bounds narrow up to a few thousand samples; a
# finer grid gains nothing.
BETS = np.geomspace(0.05, 0.9, 5)

# Newton's method doubles the digits in each step, and every step is on the safe side.
STEPS, CLOSE = 50, 1e-10

# Products of so many factors stay within float64: none is below 1 − 0.9.
FACTORS_AT_ONCE = 16


class BettingSequence(ConfidenceSequence):
    """For values x of a known reach, \\|x\\| ≤ r: valid at every number of samples, for every distribution.

    A bettor doubts that the mean is as small as m (Waudby-Smith and Ramdas, arXiv 2010.09686). From a capital
    of 1 it always stakes the share b of what it can lose, and after n samples it has::

        Π (1 + b (x_i − m) / (m + r))

    If the mean is at most m, this is a supermartingale, and so is its mean over several b. By Ville's
    inequality the probability that it ever reaches 1/α is at most α. What it has at m = 0 decides the sign.
    It falls as m rises, and the lower bound is the m at which it is 1/α. The upper bound is that of −x.

    So low is above 0 if and only if the sign is 1 at the same level.
    """

    def __init__(self, num: int, reach: ArrayLike, *, keep: bool = True) -> None:
        """``keep``: whether to keep the values, which only bounds need."""
        super().__init__(num)
        self.reach = np.broadcast_to(np.asarray(reach, np.float64), (num,))
        if not ((self.reach > 0) & np.isfinite(self.reach)).all():
            raise ValueError(f"reach: got {reach!r}, expected positive numbers")
        self._log_capital = np.zeros((2, len(BETS), num))  # at m = 0, of bettors on more, then on less
        self._values = np.zeros((0, num)) if keep else None  # of each entry the first ``count`` are its own

    def update(self, values: ArrayLike, entries: IndexArray | None = None) -> None:
        where = np.arange(len(self.reach)) if entries is None else entries
        reach = self.reach[where]
        values = checked(values, reach.size)
        if (np.abs(values) > reach * (1 + 1e-6)).any():
            worst = np.abs(values).max(axis=0) / reach
            raise ValueError(
                f"values: got a magnitude of {float((worst * reach)[worst.argmax()]):g} where the reach is "
                f"{float(reach[worst.argmax()]):g}; give the true range of the scores, or none"
            )
        self._keep(values, where)
        count, mean, log_capital = self.count[where], self.mean[where], self._log_capital[..., where]
        stakes = BETS[:, None] / reach  # [K, E]
        for value in values:
            gain = stakes * value
            log_capital = log_capital + np.log1p(np.stack([gain, -gain]))
            count = count + 1
            mean = mean + (value - mean) / count
        self.count[where], self.mean[where] = count, mean
        self._log_capital[..., where] = log_capital

    def bounds(self, level: float) -> tuple[Array, Array]:
        assert self._values is not None, "the values were not kept"
        low, high = -self.reach, self.reach.copy()
        for count in np.unique(self.count[self.count > 0]):
            entries = np.flatnonzero(self.count == count)
            values, reach = self._values[:count, entries], self.reach[entries]
            low[entries] = _lower_bounds(values, reach, level)
            high[entries] = -_lower_bounds(-values, reach, level)
        return low, high

    def signs(self, level: float) -> NDArray[np.int8]:
        capital = scipy.special.logsumexp(self._log_capital, axis=1) - math.log(len(BETS))  # [2, E]
        above, below = capital >= -math.log(level)
        return above.astype(np.int8) - below.astype(np.int8)

    def _keep(self, values: Array, where: IndexArray) -> None:
        if self._values is None or not values.size:
            return
        first = self.count[where]
        needed = int(first.max()) + len(values)
        if needed > len(self._values):
            more = np.zeros((max(needed, 2 * len(self._values)) - len(self._values), len(self.reach)))
            self._values = np.concatenate([self._values, more])
        self._values[first + np.arange(len(values))[:, None], where] = values


def _lower_bounds(values: Array, reach: Array, level: float) -> Array:
    """Where the capital of a bettor on more is 1 / ``level``, by Newton's method.

    With v = −log(m + r) the logarithm of the capital is convex and rises, so that from the first step on
    every v is too large, and every bound too small.

    Args:
        values: ``[n, E]``.
        reach: ``[E]``.
    """
    above = np.maximum(values + reach, 0.0)  # [n, E], in [0, 2 r]
    least = 1e-9 * reach  # of m + r
    target, bets = -math.log(level), BETS[:, None]
    gap = np.clip(above.mean(axis=0), least, 2 * reach)  # m + r, from the mean on
    for _ in range(STEPS):
        ratio = above / gap
        log_capital = np.zeros((len(BETS), len(reach)))
        rise = np.full_like(log_capital, float(len(values)))  # the derivative by v
        for start in range(0, len(values), FACTORS_AT_ONCE):
            factors = 1 - bets + bets * ratio[start : start + FACTORS_AT_ONCE, None]  # [n, K, E]
            log_capital += np.log(factors.prod(axis=0))
            rise -= ((1 - bets) / factors).sum(axis=0)
        mixture = scipy.special.logsumexp(log_capital, axis=0) - math.log(len(BETS))
        shares = np.exp(log_capital - scipy.special.logsumexp(log_capital, axis=0))
        slope = np.maximum((shares * rise).sum(axis=0), 1e-12)
        step = (target - mixture) / slope
        new = np.clip(gap * np.exp(-np.clip(step, -50, 50)), least, 2 * reach)
        done = np.abs(new - gap) <= CLOSE * reach
        gap = new
        if done.all():
            break
    return np.where(gap > least, gap - reach, -reach)


def bounds_of_bets(
    count: ArrayLike, mean: Array, m2: Array, reach: ArrayLike, level: float
) -> tuple[Array, Array]:
    """Bounds by the same bets of means of which only the moments are left, in any shape; wider, and as valid.

    Since log(1 + b y) ≥ b y + (log(1 − b) + b) y² for y ≥ −1 (Fan, Grama and Liu 2015), a capital is at least
    what the sums of y = (x − m) / (m + r) and of y² say. With d = mean − m, a = mean + r, n samples, K bets,
    ψ = −log(1 − b) − b and C = log(K / α), the capital of one bet has surely reached K / α where::

        b n d (a − d) − ψ (m2 + n d²) ≥ C (a − d)²

    The lower bound is at the smallest such d of any bet; the upper bound is that of −x.

    Args:
        count: numbers of samples; 0 gives the range.
        mean: of the values.
        m2: sums of squared deviations from it.
        reach: the largest possible magnitudes of a value.
        level: as for ``ConfidenceSequence.bounds``.
    """
    count, mean, m2, reach = np.broadcast_arrays(
        *(np.asarray(x, np.float64) for x in (count, mean, m2, reach))
    )
    return -reach + _gap(count, mean, m2, reach, level), reach - _gap(count, -mean, m2, reach, level)


def _gap(count: Array, mean: Array, m2: Array, reach: Array, level: float) -> Array:
    """The lower bound's distance from −reach."""
    log, above = math.log(len(BETS) / level), np.maximum(mean + reach, 0.0)
    gap = np.zeros_like(above)
    for bet in BETS:
        psi = -math.log1p(-bet) - bet
        squared = bet * count + psi * count + log  # squared·d² − linear·d + rest ≤ 0
        linear = above * (bet * count + 2 * log)
        rest = psi * m2 + log * above**2
        root = linear**2 - 4 * squared * rest
        least = (linear - np.sqrt(np.maximum(root, 0.0))) / (2 * squared)
        gap = np.maximum(gap, np.where(root >= 0, above - least, 0.0))
    return gap
