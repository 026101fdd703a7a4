"""Methods compared: what the boundaries of each move more or less than those of the run, and what else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from higan_fast.predictors.base import LEVELS, Semantic
from higan_fast.probing.comparison import Comparison
from higan_fast.probing.comparison_results import UNKNOWN, in_words
from higan_fast.report.charts import Cell, Scale, Tick, cell
from higan_fast.report.entanglement import NUMBERS_UP_TO
from higan_fast.report.numerals import count, interval, number, percent
from higan_fast.wording import listing

WORDS = {1: "more", -1: "less", 0: UNKNOWN}


@dataclass(frozen=True)
class Row:
    """One method; positions are in per cent of the chart's width. The first has nothing beside it."""

    name: str
    method: str
    weight: str  # C
    accuracy: str
    cosine: str
    step: str
    effect: str
    effect_error: str
    difference: str
    ends: str
    moves: str
    off_target: str
    off_target_error: str
    off_difference: str
    off_ends: str
    moves_else: str
    sure: bool  # whether it moves more or less than the first
    at: float | None
    low: float
    high: float
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Methods:
    """The chart, both tables, and what stands out in words."""

    first: str
    rows: tuple[Row, ...]
    columns: tuple[Semantic, ...]
    ticks: tuple[Tick, ...]
    zero: float
    full: str
    with_numbers: bool
    sentences: tuple[str, ...]


def methods(found: Comparison) -> Methods:
    """Returns the comparison; the semantics in the order of the levels."""
    level_of = found.level_of
    columns = sorted(
        range(len(found.boundary_names)), key=lambda row: LEVELS.index(level_of[found.boundary_names[row]])
    )
    ends = [found.mean_difference, found.mean_low, found.mean_high]
    scale = Scale.over(np.concatenate(ends).tolist())
    full = float(np.abs(found.difference[np.isfinite(found.difference)]).max(initial=0.0))
    with_numbers = len(columns) <= NUMBERS_UP_TO
    rows = [_row(found, place, scale, columns, full, with_numbers) for place in range(len(found.methods))]
    semantics = {semantic.name: semantic for semantic in found.semantics}
    return Methods(
        first=in_words(found.methods[0]),
        rows=tuple(rows),
        columns=tuple(semantics[found.boundary_names[column]] for column in columns),
        ticks=tuple(scale.ticks()),
        zero=scale(0.0),
        full=number(full, 2),
        with_numbers=with_numbers,
        sentences=tuple(filter(None, _sentences(found))),
    )


def _row(
    found: Comparison, place: int, scale: Scale, columns: list[int], full: float, with_numbers: bool
) -> Row:
    low, high = float(found.mean_low[place]), float(found.mean_high[place])
    off_low, off_high = float(found.off_target_low[place]), float(found.off_target_high[place])
    sign, off_sign = found.moves(place), found.moves_else(place)
    method, _, weight = found.methods[place].partition("=")
    return Row(
        name=in_words(found.methods[place]),
        method=method,
        weight=f"C = {weight}" if weight else "",
        accuracy=percent(found.mean_of("accuracy", place)),
        cosine=number(found.mean_of("cosine", place), 2),
        step=number(found.mean_of("step_in_sd", place), 1),
        effect=number(found.mean_effect[place], 3),
        effect_error=number(found.mean_effect_error[place], 3),
        difference=number(found.mean_difference[place], 3, signed=True),
        ends=interval(low, high, 3),
        moves=WORDS[sign] if place else "",
        off_target=number(found.mean_off_target[place], 3),
        off_target_error=number(found.mean_off_target_error[place], 3),
        off_difference=number(found.off_target_difference[place], 3, signed=True),
        off_ends=interval(off_low, off_high, 3),
        moves_else=WORDS[off_sign] if place else "",
        sure=sign != 0,
        at=scale(float(found.mean_difference[place])) if place else None,
        low=scale(low) if np.isfinite(low) else 0.0,
        high=scale(high) if np.isfinite(high) else 100.0,
        cells=tuple(_cell(found, place, column, full, with_numbers) for column in columns),
    )


def _cell(found: Comparison, place: int, row: int, full: float, with_numbers: bool) -> Cell:
    """The effect of a method on one semantic, coloured by how much it differs from the first method's."""
    effect, name = float(found.effect[place, row]), found.boundary_names[row]
    off_target = number(float(found.off_target[place, row]), 2)
    title = (
        f"{in_words(found.methods[place])}, {name}: {number(effect, 2, signed=True)} SD, standard error "
        f"{number(float(found.effect_error[place, row]), 2)}; off target {off_target} SD"
    )
    difference = float(found.difference[place, row])
    if place:
        ends = interval(float(found.low[place, row]), float(found.high[place, row]), 2)
        title += (
            f"; {number(difference, 2, signed=True)} beside {in_words(found.methods[0])}, interval {ends}"
        )
    shown = number(effect, 2) if with_numbers else ""
    mark = "marked" if found.moves(place, row) else ""
    return cell(shown, title, difference if place else 0.0, full, mark)


def _sentences(found: Comparison) -> list[str]:
    """Which methods surely move more, and whether what they gain comes with more off target; may be empty."""
    first, others = _named(found, [0]), range(1, len(found.methods))
    more = sorted((i for i in others if found.moves(i) > 0), key=lambda i: -found.mean_effect[i])
    less = [i for i in others if found.moves(i) < 0]
    total = count(len(others), "other method")
    parts = []
    if more:
        parts.append(f"{_named(found, more)} surely move{'s' * (len(more) == 1)} more")
    if less:
        parts.append(f"{_named(found, less)} surely move{'s' * (len(less) == 1)} less")
    if not parts:
        return [f"Of {total}, none surely moves semantics more than {first}, or less, on average."]
    sentences = [f"Beside {first}, on average over the semantics, {'; '.join(parts)} ({total} compared)."]
    clean = [i for i in more if found.moves_else(i) <= 0]
    dirty = [i for i in more if found.moves_else(i) > 0]
    if dirty:
        sentences.append(f"With {_named(found, dirty)}, surely more changes off target as well.")
    if clean:
        sentences.append(f"With {_named(found, clean)}, more change off target was not shown.")
    return sentences


def _named(found: Comparison, places: list[int]) -> str:
    return listing([in_words(found.methods[place]).replace(",", " at") for place in places])
