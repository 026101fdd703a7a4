"""Correlations of many columns, with intervals that hold whatever their distribution, as rows grow many."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]

BLOCK = 16_384  # rows at once


class Correlations(NamedTuple):
    """Pearson's correlations of S columns and the ends of their intervals, ``[S, S]`` each.

    NaN where a column does not vary; the ends are 1 on the diagonal.
    """

    value: Array
    low: Array
    high: Array

    @property
    def signs(self) -> NDArray[np.int8]:
        """1 where two columns surely rise together, −1 where one surely falls as the other rises, else 0."""
        return (self.low > 0).astype(np.int8) - (self.high < 0).astype(np.int8)


def correlations(values: NDArray[np.floating], level: float) -> Correlations:
    """Correlates columns of independent rows.

    Fisher's interval takes columns for jointly normal, which scores are not. Here the variance of a
    correlation is that of its influence function, ``xy − r (x² + y²) / 2`` of standardised columns (Hawkins
    1989, The American Statistician 43, 235), and the ends are taken on Fisher's scale.

    That variance is too small where rare classes happen never to meet. So an end keeps to its side of 0 only
    where independent columns with these extremes would hardly correlate as much, by Bernstein's inequality.

    Args:
        values: ``[n, S]``, n at least 4.
        level: the probability beyond each end.
    """
    mean = values.mean(axis=0, dtype=np.float64)
    varies = (values != values[:1]).any(axis=0)
    deviation = np.where(varies, values.std(axis=0, dtype=np.float64), np.nan)
    num = len(values)
    first, second, third = (np.zeros((len(mean), len(mean))) for _ in range(3))
    fourth = np.zeros(len(mean))
    for start in range(0, num, BLOCK):
        part = (values[start : start + BLOCK].astype(np.float64) - mean) / deviation
        first += part.T @ part / num
        second += (part**2).T @ part**2 / num
        third += (part**3).T @ part / num
        fourth += (part**4).sum(axis=0) / num
    found = first.clip(-1, 1)
    squares = fourth[:, None] + 2 * second + fourth
    variance = second - found * (third + third.T) + found**2 / 4 * squares
    lowest, highest = ((end(axis=0) - mean) / deviation for end in (values.min, values.max))
    with np.errstate(divide="ignore", invalid="ignore"):
        half = -ndtri(level) * np.sqrt(variance.clip(0) / num) / (1 - found**2)
        low, high = (np.tanh(np.arctanh(found) + sign * half) for sign in (-1, 1))
        along = np.maximum(np.multiply.outer(highest, highest), np.multiply.outer(lowest, lowest))
        against = -np.minimum(np.multiply.outer(highest, lowest), np.multiply.outer(lowest, highest))
        largest = np.where(found > 0, along, against)  # product of a row that could make such a correlation
        by_chance = np.exp(-num * found**2 / 2 / (1 + largest * np.abs(found) / 3)) > level
    np.fill_diagonal(by_chance, False)
    exact = np.abs(found) > 1 - 1e-12  # one column twice, which has no noise
    found, low, high = (np.where(exact, np.sign(found), part) for part in (found, low, high))
    low, high = np.where(by_chance, low.clip(max=0), low), np.where(by_chance, high.clip(min=0), high)
    return Correlations(found, low, high)
