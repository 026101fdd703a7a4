"""What else moves: the effect of every boundary on every semantic, in standard deviations of its score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from higan_fast.predictors.base import LEVELS, Semantic
from higan_fast.probing.verification import Verification
from higan_fast.report.charts import Cell, cell
from higan_fast.report.numerals import NONE, number
from higan_fast.sampling.samples import Samples

# With more columns than this the numbers would not fit, and only the titles of the cells tell them.
NUMBERS_UP_TO = 24


@dataclass(frozen=True)
class Entanglement:
    """Boundaries (rows) × semantics (columns); a cell of a boundary's own semantic is marked."""

    columns: tuple[Semantic, ...]
    rows: tuple[tuple[Semantic, bool, tuple[Cell, ...]], ...]  # boundary, beats the null, cells
    full: str
    constant: tuple[str, ...]
    with_numbers: bool


def entanglement(verification: Verification, samples: Samples) -> Entanglement:
    """The matrix, rows and columns in the order of the levels."""
    names = [semantic.name for semantic in verification.semantics]
    spread = dict(
        zip((s.name for s in samples.semantics), samples.scores.std(axis=0, dtype=float), strict=True)
    )
    scale = np.array([spread[name] for name in names])
    relative = np.divide(
        verification.entanglement(),
        scale,
        out=np.full((len(verification.boundary_names), len(names)), np.nan),
        where=scale > 0,
    )  # [B, S]
    finite = np.abs(relative[np.isfinite(relative)])
    full = float(finite.max(initial=0.0))
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
            title = f"{names[column]} → {names[other]}: {number(value, 2, signed=True)} SD"
            cells.append(
                cell(
                    text if with_numbers or text == NONE else "",
                    title,
                    value,
                    full,
                    "own" if other == column else "",
                )
            )
        rows.append((verification.semantics[column], bool(verification.beats_null[row]), tuple(cells)))
    return Entanglement(
        columns=tuple(verification.semantics[column] for column in columns),
        rows=tuple(rows),
        full=number(full, 1),
        constant=tuple(names[column] for column in columns if not scale[column] > 0),
        with_numbers=with_numbers,
    )
