"""What a boundary does beside what it is named for: which other semantics it moves, and what it wrecks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from higan_fast.probing.intervals import Intervals
from higan_fast.statistics.effects import LARGE_EVEN, in_deviations

if TYPE_CHECKING:
    from higan_fast.probing.results import Verification

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Side effects are measured on so many samples at most ...
SIDE_SAMPLES = 256

# ... or until each on another semantic is surely not 0, or surely smaller than so many standard deviations.
SMALL = 0.25


class SideEffect(NamedTuple):
    """An effect on another semantic that is surely not 0, in standard deviations of its score."""

    boundary: str
    semantic: str
    size: float


class EvenPart(NamedTuple):
    """What a step along a boundary changes whichever way it goes, in standard deviations of the score."""

    boundary: str
    semantic: str
    size: float


class Change(NamedTuple):
    """An effect before and after, in standard deviations of the score, with the interval of the latter."""

    before: float
    after: float
    low: float
    high: float


class Price(NamedTuple):
    """What it costs that a boundary leaves another semantic alone.

    Attributes:
        boundary: its name.
        without: the semantic that it was freed of.
        own: its effect on its own semantic.
        other: its effect on the other one.
    """

    boundary: str
    without: str
    own: Change
    other: Change

    def to_json(self) -> dict[str, Any]:
        """Plain values; None for an end that an interval does not have."""
        changes = {
            name: {key: value if math.isfinite(value) else None for key, value in change._asdict().items()}
            for name, change in (("own", self.own), ("other", self.other))
        }
        return {"boundary": self.boundary, "without": self.without, **changes}


def open_rows(found: Intervals, deviation: Array, shown: BoolArray) -> BoolArray:
    """Boundaries of which more samples may tell more side effects, ``[B]``.

    An even part is open where it is large and not sure. What a boundary moves is asked only where its own
    effect is ``shown``: an effect on another semantic is open while it may be 0 and may be ``SMALL``.
    """
    even = np.abs(in_deviations(found.own.even[:, 0], deviation))
    is_open = (even >= LARGE_EVEN) & ~found.even_sure()  # NaN is not
    low, high = (in_deviations(ends, deviation) for ends in found.off_target())
    is_open |= shown[:, None] & (low <= 0) & (high >= 0) & ((low < -SMALL) | (high > SMALL))
    return np.asarray(is_open.any(axis=1))


def side_effects(verification: Verification, at_least: float = SMALL) -> list[SideEffect]:
    """What the boundaries whose own effect was shown surely move beside, largest first.

    Args:
        at_least: so many standard deviations of the score.
    """
    relative = verification.in_deviations()[:, 0]
    found = verification.moves & verification.beats_null[:, None] & (np.abs(relative) >= at_least)
    return [SideEffect(*sized) for sized in _largest_first(verification, relative, found)]


def large_even_parts(verification: Verification) -> list[EvenPart]:
    """The even parts that are surely not 0 and of at least ``LARGE_EVEN`` standard deviations, largest first.

    They are those of all layers together, and of other semantics as well as the boundary's own.
    """
    relative = verification.in_deviations("even")[:, 0]
    found = verification.even_sure & (np.abs(relative) >= LARGE_EVEN)  # NaN is not
    return [EvenPart(*sized) for sized in _largest_first(verification, relative, found)]


def _largest_first(
    verification: Verification, relative: Array, found: BoolArray
) -> list[tuple[str, str, float]]:
    """Boundary, semantic and size of the entries that were found, of sizes ``[B, S]``."""
    names, semantics = verification.boundary_names, verification.semantics
    sized = [
        (names[row], semantics[column].name, float(relative[row, column]))
        for row, column in np.argwhere(found)
    ]
    return sorted(sized, key=lambda entry: -abs(entry[2]))


def prices(verification: Verification) -> list[Price]:
    """What each freed boundary keeps of its own effect and of the side effect; the largest of these first."""
    names = [semantic.name for semantic in verification.semantics]
    before = verification.in_deviations()[:, 0]
    after, low, high = (
        in_deviations(part, verification.deviation)
        for part in (verification.freed_effect, verification.freed_low, verification.freed_high)
    )
    found = []
    for pair, (row, other) in enumerate(verification.freed.tolist()):
        boundary, without = verification.boundary_names[row], verification.boundary_names[other]
        own, moved = (
            Change(*(float(part) for part in (before[row, c], after[pair, c], low[pair, c], high[pair, c])))
            for c in (names.index(boundary), names.index(without))
        )
        found.append(Price(boundary, without, own, moved))
    return found
