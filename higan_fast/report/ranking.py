"""The ranking: each semantic's effect on all layers, with its interval, beside the null's band."""

from __future__ import annotations

from dataclasses import dataclass

from higan_fast.boundaries.boundary import Boundaries
from higan_fast.probing.verification import Verification
from higan_fast.report.charts import Scale, Tick
from higan_fast.report.numerals import NONE, decimals, interval, number, p_value, percent


@dataclass(frozen=True)
class Row:
    """One semantic; positions are in per cent of the chart's width."""

    name: str
    level: str
    beats_null: bool
    effect: str
    interval: str
    null: str
    p: str
    required: str
    status: str
    reason: str
    explained: bool  # the reason is worth a line: something was not shown, or is undecided
    higan_delta: str
    best_layer: str
    accuracy: str
    at: float
    low: float
    high: float
    null_low: float
    null_high: float


@dataclass(frozen=True)
class Ranking:
    """The rows as ranked, and their common axis."""

    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    zero: float


def ranking(verification: Verification, boundaries: Boundaries) -> Ranking:
    """The chart and the table of the ranking."""
    result = verification.to_json()["semantics"]  # as ranked
    bounds = [entry[key] for entry in result for key in ("low", "high", "null_low", "null_high")]
    scale = Scale.over(bound for bound in bounds if bound is not None)
    places = decimals([entry["effect"] for entry in result], 3)
    rows = []
    for entry in result:
        boundary = boundaries.get(entry["name"])
        best = entry["best_layer"]
        rows.append(
            Row(
                name=entry["name"],
                level=entry["level"],
                beats_null=entry["beats_null"],
                effect=number(entry["effect"], places, signed=True),
                interval=interval(entry["low"], entry["high"], places),
                null=f"± {number(entry['null_high'], places)}",
                p=p_value(entry["p_adjusted"]),
                required=p_value(entry["p_required"]),
                status=entry["status"],
                reason=entry["reason"],
                explained=entry["undecided"] or not entry["beats_null"],
                higan_delta=number(entry["higan_delta"], places),
                best_layer=NONE if best is None else layer_name(verification, best),
                accuracy=percent(boundary.accuracy if boundary else None),
                at=scale(entry["effect"]),
                low=0.0 if entry["low"] is None else scale(entry["low"]),  # None: without an end
                high=100.0 if entry["high"] is None else scale(entry["high"]),
                null_low=scale(entry["null_low"]),
                null_high=scale(entry["null_high"]),
            )
        )
    return Ranking(tuple(rows), tuple(scale.ticks()), scale(0.0))


def layer_name(verification: Verification, index: int) -> str:
    """``6 (16², upper)``."""
    layer = verification.layers[index]
    return f"{layer.index} ({layer.resolution}², {layer.group})"
