"""Which confidence sequence fits: betting for values of a known range, and Student's for others."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from higan_fast.statistics.betting import BettingSequence, bounds_of_bets
from higan_fast.statistics.sequence import Array, ConfidenceSequence, IndexArray, checked
from higan_fast.statistics.student import StudentSequence, bounds_of_moments, interval_of_moments


def confidence_sequence(num: int, reach: ArrayLike | None = None, *, keep: bool = True) -> ConfidenceSequence:
    """Returns a sequence that bets on every entry whose reach is known, and is Student's for the others.

    Args:
        num: number of entries.
        reach: the largest possible magnitude of a value, a number or ``[num]``; inf: unknown. For paired
            effects of a score in [low, high] it is (high − low) / 2. None: all are unknown.
        keep: whether to keep what bounds need; False: for signs alone.
    """
    reaches = np.broadcast_to(np.asarray(np.inf if reach is None else reach, np.float64), (num,))
    if np.isposinf(reaches).all():
        return StudentSequence(num)
    if not np.isposinf(reaches).any():
        return BettingSequence(num, reaches, keep=keep)
    return _EachByItsReach(reaches, keep)


class _EachByItsReach(ConfidenceSequence):
    """Betting for entries of a known reach, and Student's sequence for the others."""

    def __init__(self, reach: Array, keep: bool) -> None:
        super().__init__(len(reach))
        self.known = ~np.isposinf(reach)
        bets = BettingSequence(int(self.known.sum()), reach[self.known], keep=keep)
        self.parts: tuple[tuple[NDArray[np.bool_], ConfidenceSequence], ...] = (
            (self.known, bets),
            (~self.known, StudentSequence(int((~self.known).sum()))),
        )
        self.place = np.where(self.known, self.known.cumsum(), (~self.known).cumsum()) - 1  # in its part

    @property
    def ready(self) -> NDArray[np.bool_]:
        ready = np.zeros(len(self.known), np.bool_)
        for mine, part in self.parts:
            ready[mine] = part.ready
        return ready

    def update(self, values: ArrayLike, entries: IndexArray | None = None) -> None:
        where = np.arange(len(self.known)) if entries is None else entries
        values = checked(values, where.size)
        for mine, part in self.parts:
            chosen = mine[where]
            part.update(values[:, chosen], self.place[where[chosen]])
            self.count[mine], self.mean[mine] = part.count, part.mean

    def bounds(self, level: float) -> tuple[Array, Array]:
        low, high = np.zeros((2, len(self.known)))
        for mine, part in self.parts:
            low[mine], high[mine] = part.bounds(level)
        return low, high

    def signs(self, level: float) -> NDArray[np.int8]:
        signs = np.zeros(len(self.known), np.int8)
        for mine, part in self.parts:
            signs[mine] = part.signs(level)
        return signs


def bounds_by_moments(
    count: ArrayLike,
    mean: Array,
    m2: Array,
    changed: ArrayLike,
    reach: ArrayLike,
    level: float,
    *,
    fixed: bool = False,
) -> tuple[Array, Array]:
    """Bounds of means of which only the moments are left, in any shape; as ``ConfidenceSequence.bounds``.

    Args:
        count: numbers of samples.
        m2: sums of squared deviations from the mean.
        changed: how many values were other than 0.
        reach: the largest possible magnitudes of a value; inf: unknown.
        fixed: whether the numbers of samples were fixed beforehand. Then Student's interval, which is
            narrower than his sequence, serves for values of unknown reach.
    """
    reach = np.broadcast_to(np.asarray(reach, np.float64), mean.shape)
    known = ~np.isposinf(reach)
    bets = bounds_of_bets(count, mean, m2, np.where(known, reach, 1.0), level)
    students = (interval_of_moments if fixed else bounds_of_moments)(count, mean, m2, changed, level)
    low, high = (np.where(known, *ends) for ends in zip(bets, students, strict=True))
    return low, high
