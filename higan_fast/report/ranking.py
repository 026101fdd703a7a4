"""The ranking: each semantic's effect on all layers, with its interval, beside the null's band.

The chart is in standard deviations of each semantic's score, by which semantics are ranked. The table has the
effects in the scores' own units beside them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from higan_fast.boundaries.boundary import Boundaries
from higan_fast.probing.claims import reasons_of
from higan_fast.probing.verification import Verification
from higan_fast.report.charts import Scale, Tick
from higan_fast.report.numerals import NONE, decimals, interval, number, p_value, percent
from higan_fast.statistics.effects import in_deviations
from higan_fast.wording import digits_apart, listing


@dataclass(frozen=True)
class Row:
    """One semantic; positions are in per cent of the chart's width.

    ``effect``, ``interval`` and ``null`` are in the score's own unit, ``relative`` and
    ``relative_interval`` in its standard deviations.
    """

    name: str
    level: str
    beats_null: bool
    relative: str
    relative_interval: str
    effect: str
    interval: str
    logit: str  # the effect on the score's logit
    logit_interval: str
    null: str
    p: str
    required: str
    status: str
    reason: str
    higan_delta: str
    best_layer: str
    step: str  # in standard deviations of the codes along the boundary
    accuracy: str
    at: float | None  # None: the score is the same for all samples, and has no such unit
    low: float
    high: float
    null_low: float
    null_high: float


@dataclass(frozen=True)
class Ranking:
    """The rows as ranked, and their common axis."""

    rows: tuple[Row, ...]
    reasons: tuple[tuple[str, str], ...]  # of what is not shown or open: the semantics, and what is said
    asymptotic: bool  # whether any interval is
    with_logits: bool  # whether any score has one
    ticks: tuple[Tick, ...]
    zero: float


def ranking(verification: Verification, boundaries: Boundaries) -> Ranking:
    """The chart and the table of the ranking."""
    result = verification.to_json()["semantics"]  # as ranked
    relative = [_in_deviations(entry) for entry in result]
    scale = Scale.over(value for values in relative for value in values.values())
    rows = []
    for entry, sizes in zip(result, relative, strict=True):
        boundary = boundaries.get(entry["name"])
        digits = digits_apart(entry["p_adjusted"], entry["p_required"])
        best, places = entry["best_layer"], places_of(verification, entry["name"])
        rows.append(
            Row(
                name=entry["name"],
                level=entry["level"],
                beats_null=entry["beats_null"],
                relative=number(sizes["effect"], 2, signed=True),
                relative_interval=interval(sizes["low"], sizes["high"], 2, entry["asymptotic"]),
                effect=number(entry["effect"], places, signed=True),
                interval=interval(entry["low"], entry["high"], places, entry["asymptotic"]),
                logit=number(entry["logit_effect"], 2, signed=True),
                logit_interval=interval(entry["logit_low"], entry["logit_high"], 2, asymptotic=True),
                null=f"± {number(entry['null_high'], places)}",
                p=p_value(entry["p_adjusted"], digits),
                required=p_value(entry["p_required"], digits),
                status=entry["status"],
                reason=entry["reason"],
                higan_delta=number(entry["higan_delta"], places),
                best_layer=NONE if best is None else layer_name(verification, best),
                step=number(entry["step_in_sd"], 1),
                accuracy=percent(boundary.accuracy if boundary else None),
                at=scale(sizes["effect"]) if math.isfinite(sizes["effect"]) else None,
                low=scale(sizes["low"]) if math.isfinite(sizes["low"]) else 0.0,  # else without an end
                high=scale(sizes["high"]) if math.isfinite(sizes["high"]) else 100.0,
                null_low=scale(sizes["null_low"]) if math.isfinite(sizes["null_low"]) else 0.0,
                null_high=scale(sizes["null_high"]) if math.isfinite(sizes["null_high"]) else 0.0,
            )
        )
    asymptotic = any(entry["asymptotic"] for entry in result)
    with_logits = any(entry["logit_effect"] is not None for entry in result)
    reasons = tuple(
        (listing(names), f"{'is' if len(names) == 1 else 'are'} {status}: {why}")
        for names, status, why in reasons_of(verification)
    )
    return Ranking(tuple(rows), reasons, asymptotic, with_logits, tuple(scale.ticks()), scale(0.0))


def places_of(verification: Verification, name: str) -> int:
    """Returns how many decimals a semantic's figures have: its score has a unit of its own."""
    row, column = verification.row(name), [semantic.name for semantic in verification.semantics].index(name)
    return decimals([verification.effect[row, 0, column], verification.null_high[0, column]], 3)


def _in_deviations(entry: Mapping[str, Any]) -> dict[str, float]:
    """What the chart shows of a semantic, in standard deviations of its score; NaN where there is none."""
    keys = ("effect", "low", "high", "null_low", "null_high")
    values = [math.nan if entry[key] is None else entry[key] for key in keys]
    return dict(zip(keys, in_deviations(values, entry["deviation"]).tolist(), strict=True))


def layer_name(verification: Verification, index: int) -> str:
    """``6 (16², upper)``."""
    layer = verification.layers[index]
    return f"{layer.index} ({layer.pixels}, {layer.group})"
