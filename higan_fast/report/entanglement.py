"""What else moves: the effect of every boundary on every semantic, in standard deviations of its score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from higan_fast.predictors.base import LEVELS, Semantic
from higan_fast.probing.verification import Verification
from higan_fast.report.charts import Cell, cell
from higan_fast.report.numerals import NONE, interval, number
from higan_fast.statistics.effects import LARGE_EVEN

# With more columns than this the numbers would not fit, and only the titles of the cells tell them.
NUMBERS_UP_TO = 24


class EvenPart(NamedTuple):
    """What a step along a boundary changes whichever way it goes, in standard deviations of the score."""

    boundary: str
    semantic: str
    size: float


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
    parts = ("effect", "even", "even_low", "even_high")
    relative, even, low, high = (verification.in_deviations(part)[:, 0] for part in parts)  # [B, S]
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
            title = (
                f"{names[column]} → {names[other]}: {number(value, 2, signed=True)} SD; even part "
                f"{number(float(even[row, other]), 2, signed=True)} SD, interval "
                f"{interval(float(low[row, other]), float(high[row, other]), 2, asymptotic[other])}"
            )
            is_large = (names[column], names[other]) in large
            marks = [mark for mark, wanted in (("own", other == column), ("even", is_large)) if wanted]
            shown = text if with_numbers or text == NONE else ""
            beside = number(float(even[row, other]), 1, signed=True) if is_large and with_numbers else ""
            cells.append((cell(shown, title, value, full, " ".join(marks)), beside))
        rows.append((verification.semantics[column], bool(verification.beats_null[row]), tuple(cells)))
    return Entanglement(
        columns=tuple(verification.semantics[column] for column in columns),
        rows=tuple(rows),
        full=number(full, 1),
        constant=tuple(names[column] for column in columns if not verification.deviation[column] > 0),
        with_numbers=with_numbers,
    )


def large_even_parts(verification: Verification) -> list[EvenPart]:
    """The even parts that are surely not 0 and of at least ``LARGE_EVEN`` standard deviations, largest first.

    They are those of all layers together, and of other semantics as well as the boundary's own.
    """
    relative = verification.in_deviations("even")[:, 0]
    found = verification.even_sure & (np.abs(relative) >= LARGE_EVEN)  # NaN is not
    parts = [
        EvenPart(
            verification.boundary_names[row],
            verification.semantics[column].name,
            float(relative[row, column]),
        )
        for row, column in np.argwhere(found)
    ]
    return sorted(parts, key=lambda part: -abs(part.size))
