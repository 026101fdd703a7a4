"""What a verification claims of each boundary's effect on its own semantic, and why."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from higan_fast.statistics.effect_test import next_look
from higan_fast.statistics.student import DISTINCT

if TYPE_CHECKING:
    from higan_fast.probing.results import Verification

Status = Literal["shown", "not shown", "undecided"]


def status_of(verification: Verification, row: int) -> Status:
    """Whether a boundary's effect was shown; undecided: more samples might still show it."""
    if verification.beats_null[row]:
        return "shown"
    return "undecided" if verification.undecided[row] else "not shown"


def reason_for(verification: Verification, row: int) -> str:
    """Why it has that status, and what is open of a shown one; the figures are those that were compared."""
    p, required = float(verification.p_adjusted[row]), float(verification.p_required[row])
    tested_on, sign = int(verification.tested_on[row]), int(verification.sign[row])
    figures = f"p = {p:.2g} after Holm, {required:.2g} required, on {tested_on:,} samples"
    status = status_of(verification, row)
    if status == "shown":
        return f"above 0, and beyond random directions ({figures}){_left_open(verification, row)}"
    if sign < 0:
        return "its effect is below 0: a step along the boundary lowers the score"
    if p > required:
        if status == "undecided":
            return f"ran out of looks: {figures}; the next look takes max_samples = {next_look(tested_on):,}"
        return f"not beyond random directions ({figures})"
    samples = int(verification.samples[row, 0])
    if status == "undecided":
        return (
            f"ran out of samples: beyond random directions ({figures}), but not surely above 0 on {samples:,}"
            f"{_why_no_interval(verification, row)}"
        )
    return (
        f"beyond random directions ({figures}), but not surely above 0{_why_no_interval(verification, row)}"
    )


def _why_no_interval(verification: Verification, row: int) -> str:
    """Says what would give an interval where there is none."""
    names = [semantic.name for semantic in verification.semantics]
    low = verification.low[row, 0, names.index(verification.boundary_names[row])]
    if not math.isinf(low):
        return ""
    differently = ", each differently" if verification.settings["decide"] else ""
    return (
        f": fewer than {DISTINCT} of them changed the score{differently}, and its range is not known; "
        "a predictor that states its score_ranges needs no more than that"
    )


def _left_open(verification: Verification, row: int) -> str:
    if not verification.undecided[row]:
        return ""
    what = "place in the ranking" if verification.settings["decide"] == "ranking" else "best layer"
    samples = int(verification.samples[row].max())
    return f"; its {what} is undecided: ran out of samples, on {samples:,}"
