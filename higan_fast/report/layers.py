"""Which layer controls what: the heat map of semantics and layers, and the mean layer of each level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from higan_fast.generators.base import Layer
from higan_fast.predictors.base import LEVELS
from higan_fast.probing.hierarchy import axes_by_level
from higan_fast.probing.verification import Verification
from higan_fast.report.charts import Cell, cell
from higan_fast.report.numerals import NONE, decimals, interval, number, p_value
from higan_fast.report.ranking import places_of
from higan_fast.statistics.hierarchy import Hierarchy
from higan_fast.wording import listing


@dataclass(frozen=True)
class Profile:
    """One semantic, layer by layer."""

    name: str
    beats_null: bool
    cells: tuple[Cell, ...]
    mean: str
    at: float | None  # the mean layer's place on the axis of layers, in per cent
    screening: str  # correlation with the profile by gradients
    to: str  # where on the page its pictures stand


@dataclass(frozen=True)
class LevelRows:
    """The semantics of one level, and their mean layer (none when none of them beats the null).

    The mean has an interval, whose ends are in per cent of the axis too, where several semantics count.
    """

    level: str
    profiles: tuple[Profile, ...]
    num_beating: int
    mean: str
    at: float | None
    interval: str
    ends: tuple[float, float] | None


@dataclass(frozen=True)
class PairRow:
    """Whether one level comes before another."""

    before: str
    after: str
    p: str
    p_adjusted: str
    claim: str
    why: str


@dataclass(frozen=True)
class HeatMap:
    """Semantics × layers."""

    layers: tuple[Layer, ...]
    groups: tuple[tuple[str, int], ...]  # name, and how many layers it spans
    levels: tuple[LevelRows, ...]
    pairs: tuple[PairRow, ...]
    together: tuple[str, ...]  # semantics of one axis, which count as one


def heat_map(verification: Verification, anchors: Mapping[tuple[str, int | None], str]) -> HeatMap:
    """Returns the heat map, its rows in the order of the levels and within one by rank.

    Args:
        verification: the effects.
        anchors: where the pictures of a semantic stand, on a layer or (with None) as a whole.
    """
    num = len(verification.layers)
    found = {level.name: level for level in verification.hierarchy.levels}
    names = verification.rank()
    level_of = {semantic.name: semantic.level for semantic in verification.semantics}
    levels = []
    for level in LEVELS:
        profiles = tuple(_profile(verification, name, anchors) for name in names if level_of[name] == level)
        here = found.get(level)
        bounds = None if here is None or here.low is None or here.high is None else (here.low, here.high)
        levels.append(
            LevelRows(
                level=level,
                profiles=profiles,
                num_beating=sum(profile.beats_null for profile in profiles),
                mean=NONE if here is None else f"{here.mean:.1f}",
                at=None if here is None else _place(here.mean, num),
                interval=NONE if bounds is None else interval(*bounds, 1),
                ends=None if bounds is None else (_place(bounds[0], num), _place(bounds[1], num)),
            )
        )
    groups = [(name, len(list(run))) for name, run in groupby(layer.group for layer in verification.layers)]
    together = tuple(
        listing(axis) for axes in axes_by_level(verification).values() for axis in axes if len(axis) > 1
    )
    return HeatMap(
        verification.layers, tuple(groups), tuple(levels), _pairs(verification.hierarchy), together
    )


def _pairs(found: Hierarchy) -> tuple[PairRow, ...]:
    rows = []
    for pair in found.pairs:
        why = found.needs(pair)
        p, adjusted = (NONE if value is None else p_value(value) for value in (pair.p, pair.p_adjusted))
        rows.append(PairRow(pair.before, pair.after, p, adjusted, pair.claim, why))
    return tuple(rows)


def _profile(verification: Verification, name: str, anchors: Mapping[tuple[str, int | None], str]) -> Profile:
    row = verification.boundary_names.index(name)
    column = [semantic.name for semantic in verification.semantics].index(name)
    effects = verification.effect[row, 1:, column]
    null = verification.null_high[1:, column]
    marks = verification.layer_beats_null[row]
    full = float(np.nanmax(np.abs(effects), initial=0.0))  # NaN: not measured
    if not marks.any():  # noise would look like a finding if its largest value had the full colour
        full = max(3 * full, 2 * float(np.nanmax(null, initial=0.0)))
    places = max(places_of(verification, name), decimals(effects, 2))
    cells = []
    for index, (layer, effect) in enumerate(zip(verification.layers, effects, strict=True)):
        low, high = (float(ends[row, 1 + index, column]) for ends in (verification.low, verification.high))
        marked, asymptotic = bool(marks[index]), bool(verification.asymptotic[column])
        title = (
            f"{name} on layer {layer.index} ({layer.name}): {number(effect, places + 1, signed=True)}, "
            f"interval {interval(low, high, places + 1, asymptotic)}, "
            f"null ± {number(null[index], places + 1)}"
            f"{', beats the null' if marked else ''}"
        )
        mark, to = "marked" if marked else "", anchors.get((name, layer.index), "")
        cells.append(cell(number(effect, places), title, float(effect), full, mark, to))
    mean = verification.mean_layer(name)
    return Profile(
        name=name,
        beats_null=bool(verification.beats_null[row]),
        cells=tuple(cells),
        mean=NONE if mean is None else f"{mean:.1f}",
        at=None if mean is None else _place(mean, len(verification.layers)),
        screening=number(verification.screening_correlation(name), 2),
        to=anchors.get((name, None), ""),
    )


def _place(mean: float, num_layers: int) -> float:
    return round(100 * (mean + 0.5) / num_layers, 2)
