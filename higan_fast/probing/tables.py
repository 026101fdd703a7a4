"""Results as a table: one row for each boundary, set of layers and semantic."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from higan_fast.probing.results import FIGURES, Verification
from higan_fast.tables import csv_text

COLUMNS = (
    *("verification", "boundary", "step", "step_unit", "step_in_sd", "layers", "semantic", *FIGURES),
    *("asymptotic", "deviation", "effect_in_deviations", "samples", "beats_null"),
)


def to_csv(verifications: Sequence[Verification]) -> str:
    """Returns CSV text with a header: the rows of each verification, which the first column numbers from 0.

    ``deviation`` is the standard deviation of the semantic's score, and the unit of ``effect_in_deviations``;
    all other figures are in the score's own. An effect is that of one step: ``step`` in ``step_unit``, and
    ``step_in_sd`` in standard deviations of the codes along the boundary, where all layers agree on that.
    What was not measured is empty, and so are the ends of an interval that has none. ``asymptotic`` is true
    where the range of a score is not known, so that its intervals hold only as samples grow many.
    ``beats_null`` is true or false where a boundary's effect on its own semantic was tested, corrected for
    the boundaries of the same verification, and empty elsewhere.
    """
    return csv_text(
        COLUMNS,
        (
            {"verification": number, **row}
            for number, verification in enumerate(verifications)
            for row in table(verification)
        ),
    )


def table(verification: Verification) -> Iterator[dict[str, Any]]:
    """Yields rows: boundaries as ranked, for each all layers together and then each alone, every semantic.

    Values are numbers, or texts; those that were not measured or tested are empty texts.
    """
    layer_sets = ["all", *(layer.index for layer in verification.layers)]
    relative = verification.in_deviations()
    for name in verification.rank():
        row = verification.row(name)
        for layer_set, layers in enumerate(layer_sets):
            for column, semantic in enumerate(verification.semantics):
                where = (row, layer_set, column)
                yield {
                    "boundary": name,
                    "step": verification.settings["step"],
                    "step_unit": verification.settings.get("step_unit", "norm"),
                    "step_in_sd": _number(verification.step_in_sd(name, layer_set)),
                    "layers": layers,
                    "semantic": semantic.name,
                    **{figure: _number(getattr(verification, figure)[where]) for figure in FIGURES},
                    "deviation": float(verification.deviation[column]),
                    "effect_in_deviations": _number(relative[where]),
                    "asymptotic": "true" if verification.asymptotic[column] else "false",
                    "samples": int(verification.samples[row, layer_set]),
                    "beats_null": _tested(verification, row, layer_set) if semantic.name == name else "",
                }


def _number(value: float) -> float | str:
    return float(value) if math.isfinite(value) else ""


def _tested(verification: Verification, row: int, layer_set: int) -> str:
    if verification.samples[row, layer_set] == 0:
        return ""
    beats = (
        verification.beats_null[row] if layer_set == 0 else verification.layer_beats_null[row, layer_set - 1]
    )
    return "true" if beats else "false"
