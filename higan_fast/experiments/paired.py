"""What boundaries move, and what else they change, in several ways on the same samples: paired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from higan_fast.experiments.finding import plain
from higan_fast.experiments.subject import Walk
from higan_fast.probing.comparison_figures import own_and_others
from higan_fast.statistics.comparison import (
    Differences,
    Means,
    differences_from_first,
    is_clear,
    means,
    relative_squares,
    root,
    roots_from_first,
)
from higan_fast.tables import shown
from higan_fast.wording import listing

Array = NDArray[np.float64]

# What is compared: the target effect, the change off target, and the latter for each unit of the former.
QUESTIONS = 3


class Changes(NamedTuple):
    """What B boundaries change on N samples in K ways, each ``[N, K, B]``, in standard deviations of scores.

    Attributes:
        target: half the difference of the own score between a step forth and a step back.
        odd: its mean estimates the mean square, over all other scores, of the same of those
            (``squared_means``); NaN without other scores.
        even: as ``odd``, of the part of the change that a step forth and a step back have in common, which
            half their difference does not see.
    """

    target: Array
    odd: Array
    even: Array

    @property
    def off(self) -> Array:
        """Its mean estimates the mean square of the true mean change of the other scores, by either step.

        The change by a step forth is even + odd, and by a step back even − odd; the mean of their squares
        is even² + odd².
        """
        return self.odd + self.even

    @classmethod
    def of(cls, walks: Sequence[Walk], names: Sequence[str], ways: int = 1) -> Changes:
        """Of walks on the same samples, one step forth and one back.

        Args:
            walks: the curves of each are the ``ways`` of the first boundary, then those of the next.
            names: of the boundaries.
            ways: in how many ways each walk moves each boundary.
        """
        first = walks[0]
        columns = [first.column(name) for name in names]
        parts: list[list[Array]] = [[], []]
        for walk in walks:
            forth, back = np.moveaxis(walk.moved, 2, 0)  # [N, C, S] each
            both = ((forth - back) / 2, (forth + back) / 2 - walk.base[:, None])
            for kept, part in zip(parts, both, strict=True):
                kept.extend(part[:, way::ways] for way in range(ways))
        (target, odd), (_, even) = (
            own_and_others(np.stack(part), first.deviation, columns) for part in parts
        )
        return cls(target, odd, even)

    def joined(self) -> Changes:
        """Of all boundaries together: each the mean over them, ``[N, K, 1]``."""
        return Changes(*(part.mean(axis=2, keepdims=True) for part in self))


class Paired(NamedTuple):
    """What each of K ways does, and how it differs from the first one, each ``[K, B]``.

    The three questions are asked of each way and boundary: target, off target, and off target for each unit
    of the target effect, which has no value where that effect is not clear (``is_clear``).
    """

    target: Means
    off: Means
    odd: Means
    even: Means
    target_less: Differences
    off_less: Differences
    relative: Array
    relative_less: Differences

    @classmethod
    def of(cls, changes: Changes, reach: Array, level: float) -> Paired:
        """
        Args:
            reach: the largest possible difference of two effects on each target, ``[B]``; inf where it is not
                known (``Walk.reach``, for an effect is half a difference of scores).
            level: of all intervals of differences together.
        """
        ways, num = changes.target.shape[1:]
        each = level / (QUESTIONS * (ways - 1) * num) / 2
        target, off = means(changes.target), root(means(changes.off))
        clear = is_clear(target)
        relative = np.divide(off.mean, target.mean, out=np.full(clear.shape, np.nan), where=clear)
        return cls(
            target,
            off,
            root(means(changes.odd)),
            root(means(changes.even)),
            differences_from_first(changes.target, each, reach),
            roots_from_first(differences_from_first(changes.off, each), off.mean),
            relative,
            roots_from_first(relative_squares(changes.target, changes.off, each), relative),
        )

    def values(self, way: int, boundary: int) -> dict[str, Any]:
        """The figures of one way and boundary, as values of a row."""
        place = way, boundary
        figures = {
            "target_effect": self.target.mean[place],
            "target_error": self.target.error[place],
            "off_target": self.off.mean[place],
            "off_target_error": self.off.error[place],
            "off_target_odd": self.odd.mean[place],
            "off_target_even": self.even.mean[place],
            "off_target_per_target": self.relative[place],
        }
        for name, found in (
            ("target", self.target_less),
            ("off_target", self.off_less),
            ("per_target", self.relative_less),
        ):
            figures[f"{name}_difference"] = found.mean[place]
            figures[f"{name}_low"], figures[f"{name}_high"] = found.low[place], found.high[place]
        return {name: plain(value) for name, value in figures.items()}


def signs_of(found: Differences, way: int, names: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Which boundaries a way surely does less with than the first one, more, and where nobody knows."""
    signs = found.signs[way]
    less, more, unknown = (
        [name for name, its in zip(names, signs, strict=True) if its == sign] for sign in (-1, 1, 0)
    )
    return less, more, unknown


def difference_in_words(found: Differences, way: int) -> str:
    """``"difference −0.12 [−0.20, −0.04]; surely less"``, of a way from the first one, over all together."""
    mean, low, high = (shown(float(part[way, 0]), "+.3f") for part in (found.mean, found.low, found.high))
    verdict = {1: "surely more", -1: "surely less", 0: "undecided"}[int(found.signs[way, 0])]
    return f"difference {mean} [{low}, {high}]; {verdict}"


def told_apart(found: Differences, way: int, names: Sequence[str], what: str) -> str:
    """``"{what}: surely less for view; undecided for bed and table."``."""
    less, more, unknown = signs_of(found, way, names)
    parts = [
        f"{verdict} for {listing(those)}"
        for verdict, those in (("surely less", less), ("surely more", more), ("undecided", unknown))
        if those
    ]
    return f"{what}: {'; '.join(parts)}."
