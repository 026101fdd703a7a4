"""Numbers as a reader sees them: real minus signs, as many decimals as a column needs, no false precision."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

NONE = "–"
SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

# Of steps.
UNITS = {"norm": "length", "sd": "standard deviations of the codes along the boundary"}


def decimals(values: ArrayLike, significant: int) -> int:
    """How many decimals give the largest of some values so many significant digits; 0 to 8."""
    sizes = np.abs(np.asarray(values, np.float64))
    largest = float(np.nanmax(sizes, initial=0.0))
    if not 0 < largest < math.inf:
        return significant - 1
    return min(max(significant - 1 - math.floor(math.log10(largest)), 0), 8)


def number(value: float | None, places: int, *, signed: bool = False) -> str:
    """``-0.1234`` → ``−0.123``; with ``signed`` also ``+0.123``. What rounds to zero has no sign."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{abs(value):,.{places}f}"
    if not text.strip("0.,"):
        return text
    return ("−" if value < 0 else "+" if signed else "") + text


def interval(low: float | None, high: float | None, places: int, asymptotic: bool = False) -> str:
    """``−0.01 to 0.32``: with a word, because a dash beside minus signs is hard to read.

    An asymptotic one is marked: ``−0.01 to 0.32 ≈``. Without ends it is ``–``.
    """
    ends = number(low, places), number(high, places)
    if ends == (NONE, NONE):
        return NONE
    return f"{ends[0]} to {ends[1]}{' ≈' if asymptotic else ''}"


def p_value(p: float, significant: int = 2) -> str:
    """Two significant digits: ``0.0012``, ``7.8 × 10⁻⁵``; what is below 10⁻⁹ is said to be."""
    if p < 1e-9:
        return "< 10⁻⁹"
    if p < 0.0001:
        digits, power = f"{p:.{significant - 1}e}".split("e-")
        return f"{digits} × 10⁻{power.lstrip('0').translate(SUPERSCRIPT)}"
    return number(p, decimals([p], significant))


def percent(part: float | None) -> str:
    """``0.9731`` → ``97.3 %``."""
    return NONE if part is None or not math.isfinite(part) else f"{100 * part:.1f} %"


def count(num: int, one: str, many: str | None = None) -> str:
    """``1,200 images``, ``1 image``."""
    return f"{num:,} {one if num == 1 else many or one + 's'}"
