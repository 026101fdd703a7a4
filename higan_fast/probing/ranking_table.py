"""A verification as a small table: the ranking, with effects, intervals and what was shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from higan_fast.probing.claims import reason_lines
from higan_fast.probing.wide import too_wide_in_words
from higan_fast.tables import Table, shown

if TYPE_CHECKING:
    from higan_fast.probing.results import Verification


def ranking_table(found: Verification) -> Table:
    """One row for each boundary, in the order of ``rank``."""
    levels = {semantic.name: semantic.level for semantic in found.semantics}
    names = [semantic.name for semantic in found.semantics]
    rows = []
    for place, name in enumerate(found.rank(), start=1):
        row, column = found.row(name), names.index(name)
        effect, low, high = (float(part[row, 0, column]) for part in (found.effect, found.low, found.high))
        relative = float(found.in_deviations()[row, 0, column])
        layer, mark = found.best_layer(name), " ≈" if found.asymptotic[column] else ""
        rows.append(
            (
                str(place), name, levels[name], shown(relative, ".2f"), shown(effect),
                f"{shown(low)} to {shown(high)}{mark}",
                f"± {shown(float(found.null_high[0, column]))}",
                "–" if layer is None or not found.layers else f"{layer} ({found.layers[layer].name})",
                found.status(name),
            )
        )  # fmt: skip
    num, beating = len(found.boundary_names), int(found.beats_null.sum())
    caption = (
        f"Verification of {num} boundar{'y' if num == 1 else 'ies'}: "
        f"{beating} effect{'' if beating == 1 else 's'} shown at {found.settings['confidence']:.4g} "
        f"({found.images:,} images)"
    )
    head = ("", "semantic", "level", "effect in SD", "effect", "interval", "null", "top layer", "effect is")
    note = (
        "Ranked by effect in standard deviations (SD) of each semantic's score; the others are in its unit."
    )
    return Table(caption, head, rows, [note, *notes_of(found), *reason_lines(found)])


def notes_of(found: Verification) -> list[str]:
    """What stands below a ranking: who has no rank, and whose interval can say nothing."""
    return [*_others_last(found), *_too_wide(found)]


def _too_wide(found: Verification) -> list[str]:
    """A sentence on intervals that say nothing, for each number of samples that there is."""
    names, confidence = [semantic.name for semantic in found.semantics], found.settings["confidence"]
    widths = found.ranges[:, 1] - found.ranges[:, 0]
    of_num: dict[int, dict[str, float]] = {}
    for row, name in enumerate(found.boundary_names):
        if (unit := found.deviation[names.index(name)]) > 0:  # an effect is half a difference of scores
            reach = float(widths[names.index(name)] / unit / 2)
            of_num.setdefault(int(found.samples[row, 0]), {})[name] = reach
    return [
        text for num, reach in sorted(of_num.items()) for text in too_wide_in_words(reach, num, confidence)
    ]


def _others_last(found: Verification) -> list[str]:
    """One line where something stands below what was shown, whatever its size; HiGAN's rank does not ask."""
    below = len(found.boundary_names) - int(found.beats_null.sum())
    if not below or below == len(found.boundary_names) or found.settings.get("recipe") == "higan":
        return []
    return [f"Those whose effect was not shown, or is undecided, stand last ({below}), and have no rank."]
