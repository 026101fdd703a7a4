"""What the charts share: a scale in per cent of the width, and the shade of a cell."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from higan_fast.report.numerals import number

# From here on a cell is so dark (in the dark theme: so light) that its number changes colour.
DEEP = 0.68  # where black and white stand out alike from the tones of page.css: a test computes it
FLAT = 0.05  # up to here the number is as pale as its cell


@dataclass(frozen=True)
class Scale:
    """Values → per cent of a chart's width. Charts are drawn in per cent, so that they fit any screen."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Iterable[float], margin: float = 0.03) -> Scale:
        """A scale that holds all values and zero, with a margin on both sides."""
        finite = [0.0, *(float(value) for value in values if math.isfinite(value))]
        low, high = min(finite), max(finite)
        if low == high:
            low, high = -1.0, 1.0
        space = margin * (high - low)
        return cls(low - space, high + space)

    def __call__(self, value: float) -> float:
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    def ticks(self, at_most: int = 11) -> list[Tick]:
        """Ticks at round values (1, 2 or 5 times a power of ten apart), zero among them."""
        least = (self.high - self.low) / (at_most - 1)
        power = 10.0 ** math.floor(math.log10(least))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        places = max(-math.floor(math.log10(step) + 1e-9), 0)
        return [
            Tick(self(index * step), number(index * step, places), minor=index % 2 == 1)
            for index in range(first, last + 1)
        ]


@dataclass(frozen=True)
class Tick:
    """A tick of an axis; the labels of the minor ones give way on small screens."""

    at: float  # per cent
    label: str
    minor: bool


@dataclass(frozen=True)
class Cell:
    """A number in a coloured cell of a table."""

    text: str
    title: str
    shade: float  # 0 to 1
    classes: str  # of the style sheet
    to: str = ""  # where on the page its pictures stand


def cell(text: str, title: str, value: float, full: float, mark: str = "", to: str = "") -> Cell:
    """A cell whose colour says the sign of ``value``, and how large it is beside ``full``."""
    shade = min(abs(value) / full, 1.0) if full > 0 and math.isfinite(value) else 0.0
    strength = "deep" if shade > DEEP else "flat" if shade < FLAT else ""
    classes = ("up" if value > 0 else "down", strength, mark)
    return Cell(text, title, round(shade, 2), " ".join(filter(None, classes)), to)
