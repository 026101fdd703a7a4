"""The exact interval of a proportion, such as an accuracy on few samples."""

from __future__ import annotations

import scipy.special


def proportion_interval(share: float, num: int, confidence: float = 0.95) -> tuple[float, float]:
    """Returns (low, high), which contain the true proportion with at least this probability.

    Clopper & Pearson 1934.

    Args:
        share: how many of ``num`` it was, as a part between 0 and 1.
        num: of how many, at least 1.
        confidence: of the interval.
    """
    count, tail = share * num, (1 - confidence) / 2
    low = 0.0 if count <= 0 else float(scipy.special.betaincinv(count, num - count + 1, tail))
    high = 1.0 if count >= num else float(scipy.special.betaincinv(count + 1, num - count, 1 - tail))
    return low, high
