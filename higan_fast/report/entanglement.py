"""What else moves: the effect of every boundary on every semantic, in standard deviations of its score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from higan_fast.predictors.base import LEVELS, Semantic
from higan_fast.probing.side_effects import large_even_parts, prices
from higan_fast.probing.verification import Verification
from higan_fast.report.charts import Cell, cell
from higan_fast.report.numerals import NONE, interval, number

# With more columns than this the numbers would not fit, and only the titles of the cells tell them.
NUMBERS_UP_TO = 24

PARTS = ("effect", "low", "high", "even", "even_low", "even_high")


@dataclass(frozen=True)
class Entanglement:
    """Boundaries (rows) × semantics (columns); a cell of a boundary's own semantic is marked."""

    columns: tuple[Semantic, ...]
    rows: tuple[
        tuple[Semantic, bool, tuple[tuple[Cell, str], ...]], ...
    ]  # boundary, shown, cells, even parts
    full: str
    constant: tuple[str, ...]
    with_numbers: bool


def entanglement(verification: Verification) -> Entanglement:
    """The matrix, rows and columns in the order of the levels. Beside an effect stands a large even part."""
    names = [semantic.name for semantic in verification.semantics]
    effects = {part: verification.in_deviations(part)[:, 0] for part in PARTS}  # [B, S]
    relative = effects["effect"]
    asymptotic = verification.asymptotic.tolist()
    large = {(part.boundary, part.semantic) for part in large_even_parts(verification)}
    full = float(np.abs(relative[np.isfinite(relative)]).max(initial=0.0))
    columns = sorted(range(len(names)), key=lambda c: LEVELS.index(verification.semantics[c].level))
    with_numbers = len(columns) <= NUMBERS_UP_TO
    rows = []
    for column in columns:
        if names[column] not in verification.boundary_names:
            continue
        row = verification.boundary_names.index(names[column])
        cells = []
        for other in columns:
            value = float(relative[row, other])
            text = number(value, 1 if full >= 0.1 else 2)
            value_of = {part: float(values[row, other]) for part, values in effects.items()}
            ends, even_ends = (
                interval(value_of[low], value_of[high], 2, asymptotic[other])
                for low, high in (("low", "high"), ("even_low", "even_high"))
            )
            moves = bool(verification.moves[row, other])
            sure = "" if other == column else ", surely not 0" if moves else ", may be 0"
            title = (
                f"{names[column]} → {names[other]}: {number(value, 2, signed=True)} SD, interval {ends}"
                f"{sure}; even part {number(value_of['even'], 2, signed=True)} SD, interval {even_ends}"
            )
            is_large = (names[column], names[other]) in large
            wanted = (("own", other == column), ("even", is_large), ("marked", moves))
            marks = [mark for mark, is_so in wanted if is_so]
            shown = text if with_numbers or text == NONE else ""
            beside = number(value_of["even"], 1, signed=True) if is_large and with_numbers else ""
            cells.append((cell(shown, title, value, full, " ".join(marks)), beside))
        rows.append((verification.semantics[column], bool(verification.beats_null[row]), tuple(cells)))
    return Entanglement(
        columns=tuple(verification.semantics[column] for column in columns),
        rows=tuple(rows),
        full=number(full, 1),
        constant=tuple(names[column] for column in columns if not verification.deviation[column] > 0),
        with_numbers=with_numbers,
    )


class LeftAlone(NamedTuple):
    """A boundary freed of another semantic: both effects before and after, and the interval, as texts."""

    boundary: str
    without: str
    figures: tuple[str, ...]  # of the own effect, and of that on the other


def left_alone(verification: Verification) -> list[LeftAlone]:
    """What it costs to leave alone what a boundary moves beside; the largest side effects first."""
    asymptotic = dict(zip([s.name for s in verification.semantics], verification.asymptotic, strict=True))
    found = []
    for price in prices(verification):
        figures: list[str] = []
        for name, change in ((price.boundary, price.own), (price.without, price.other)):
            figures += [number(size, 2, signed=True) for size in (change.before, change.after)]
            figures.append(interval(change.low, change.high, 2, bool(asymptotic[name])))
        found.append(LeftAlone(price.boundary, price.without, tuple(figures)))
    return found
