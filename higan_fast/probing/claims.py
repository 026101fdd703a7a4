"""What a verification claims of each boundary's effect on its own semantic, and why."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from higan_fast.statistics.effect_test import next_look
from higan_fast.statistics.student import DISTINCT
from higan_fast.wording import digits_apart

if TYPE_CHECKING:
    from higan_fast.probing.results import Verification

Status = Literal["shown", "not shown", "undecided"]


def status_of(verification: Verification, row: int) -> Status:
    """Whether a boundary's effect was shown; undecided: more samples might still show it."""
    if verification.beats_null[row]:
        return "shown"
    return "undecided" if verification.undecided[row] else "not shown"


def reasons_of(verification: Verification) -> list[tuple[list[str], Status, str]]:
    """Whatever is not shown, or open: all that have the same status for the same reason, this, and why.

    Those that share a reason have p-values of their own, which it leaves out.
    """
    groups: dict[tuple[Status, str], list[str]] = {}
    for name in verification.rank():
        row = verification.row(name)
        if status_of(verification, row) != "shown" or verification.undecided[row]:
            same = status_of(verification, row), reason_for(verification, row, with_p=False)
            groups.setdefault(same, []).append(name)
    return [
        (names, status, reason if len(names) > 1 else reason_for(verification, verification.row(names[0])))
        for (status, reason), names in groups.items()
    ]


def reason_lines(verification: Verification) -> list[str]:
    """``reasons_of`` as lines of text."""
    return [f"{', '.join(names)}: {status}: {reason}" for names, status, reason in reasons_of(verification)]


def reason_for(verification: Verification, row: int, with_p: bool = True) -> str:
    """Why it has that status, and what is open of a shown one; the figures are those that were compared."""
    p, required = float(verification.p_adjusted[row]), float(verification.p_required[row])
    tested_on, sign = int(verification.tested_on[row]), int(verification.sign[row])
    digits = digits_apart(p, required)
    figures = f"on {tested_on:,} samples"
    if with_p:
        figures = f"p = {p:.{digits}g} after Holm, {required:.{digits}g} required, {figures}"
    status = status_of(verification, row)
    if status == "shown":
        return f"above 0, and beyond random directions ({figures}){_left_open(verification, row)}"
    if sign < 0:
        return "its effect is below 0: a step along the boundary lowers the score"
    if p > required:
        if status == "undecided":
            return (
                f"still open at the last comparison with random directions ({figures}); a larger max_samples "
                f"(--max-samples {next_look(tested_on)}) allows another"
            )
        return f"not beyond random directions ({figures})"
    samples = int(verification.samples[row, 0])
    if status == "undecided":
        return (
            f"ran out of samples: beyond random directions ({figures}), but not surely above 0 on {samples:,}"
            f"{_why_not_sure(verification, row)}"
        )
    return f"beyond random directions ({figures}), but not surely above 0{_why_not_sure(verification, row)}"


def check_profile(verification: Verification, name: str, profile: NDArray[np.float64]) -> None:
    """Raises ValueError, which says what to run, where a boundary's profile ``[L]`` was not measured."""
    if len(profile) == 0:
        raise ValueError(
            f"layer_profile: {name!r} has none: a boundary in z moves all layers; fit in w, or in layers"
        )
    if np.isfinite(profile).any():
        return
    if verification.settings["decide"] == "top-layer":
        raise ValueError(
            f"layer_profile: {name!r} was moved on no layer alone, for its effect was not shown; verify with "
            "num=… (--exhaustive), which measures everything"
        )
    raise ValueError(
        f"layer_profile: {name!r} was moved on no layer alone, for the question was "
        f"{verification.settings['decide']!r}; verify with decide='top-layer' (--decide top-layer)"
    )


def _why_not_sure(verification: Verification, row: int) -> str:
    """Says what is other than in the interval that is shown, or what would give one where there is none."""
    names = [semantic.name for semantic in verification.semantics]
    low = verification.low[row, 0, names.index(verification.boundary_names[row])]
    if low > 0:
        confidence = f"{100 * verification.settings['confidence']:g} %"
        return (
            f" with {confidence} confidence for all {len(verification.boundary_names)} boundaries together; "
            f"the interval, which lies above 0, has {confidence} for this one alone"
        )
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
