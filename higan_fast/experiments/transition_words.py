"""What walks from one category to another show: in sentences, a table and rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.experiments.intervals import interval
from higan_fast.experiments.transition_walk import ANSWERS, Change, Rule, Seen
from higan_fast.probing.results import Verification
from higan_fast.statistics.proportions import proportion_interval
from higan_fast.tables import Table

Array = NDArray[np.float64]
Pair = tuple[str, str]


def pair_told(
    seen: Mapping[Pair, Seen],
    pairs: Sequence[Pair],
    verification: Verification,
    rule: Rule,
    confidence: float,
) -> list[str]:
    """Returns what one walk shows."""
    (((first, second), found),) = seen.items()
    last = f"{found.steps[-1]:g}"
    sure = {1: "surely more", -1: "surely fewer", 0: "not surely more"}[found.more]
    result = [
        f"After {last} steps {_last(found.flipped, confidence)} of {len(found.samples)} samples have "
        f"{second} and no longer {first}, {sure} than along random directions as long: "
        f"{_last(found.random_flipped, confidence)}.",
        f"{_last(~found.first, confidence)} have lost {first}, and {_last(found.second, confidence)} have "
        f"{second}{_most(found, confidence)}.",
        _change_told(found.change, first, second),
        _passing_told(found, confidence),
        f"The samples are the first that have {first} and not {second}: {found.available:,} of "
        f"{found.drawn:,} that were drawn. One has a class where {rule.in_words()}.",
        _off_target(found, (first, second), confidence),
    ]
    for name in (first, second):
        status = verification.status(name) if name in verification.boundary_names else "not measured"
        if status != "shown":
            result.append(f"By the verification the effect of {name} itself is {status}.")
    return list(filter(None, result))


def pairs_told(
    seen: Mapping[Pair, Seen],
    pairs: Sequence[Pair],
    verification: Verification,
    rule: Rule,
    confidence: float,
) -> list[str]:
    """Returns what the walks of all pairs show together."""
    steps = next(iter(seen.values())).steps
    changes = [found.change for found in seen.values()]
    led = sum(change.after is not None for change in changes)
    surely = sum(change.surely_by is not None for change in changes)
    more = sum(found.more > 0 for found in seen.values())
    result = [
        f"For {more} of {len(seen)} ordered pairs surely more samples flip, in {steps[-1]:g} steps, than "
        "along random directions as long.",
        *_extremes(seen, confidence),
        f"In {led} pairs more samples end with the second class alone than with the first alone, surely in "
        f"{surely}.",
        "The samples are the first that have the first class and not the second. One has a class where "
        f"{rule.in_words()}.",
    ]
    if left := [f"{first} to {second}" for first, second in pairs if (first, second) not in seen]:
        result.append(f"Left out, since too few samples fit or no layer is known: {', '.join(left)}.")
    names = {name for pair in pairs for name in pair}
    objects = [semantic.name for semantic in verification.semantics if semantic.level == "object"]
    if absent := [
        f"{name} ({verification.status(name)})"
        for name in objects
        if name in verification.boundary_names and name not in names
    ]:
        result.append(f"Objects that are not among the classes, with their effect: {', '.join(absent)}.")
    return result


def _extremes(seen: Mapping[Pair, Seen], confidence: float) -> list[str]:
    """Where most samples flip and where fewest, as far as that is sure, over all pairs together.

    Pairs have samples of their own: of two of them more flip surely where intervals lie apart that hold
    for all pairs together.
    """
    if len(seen) < 2:
        return []
    together = 1 - (1 - confidence) / len(seen)
    flipped = {pair: shares(found.flipped[:, -1:], together)[:, 0] for pair, found in seen.items()}
    order = sorted(flipped, key=lambda pair: -flipped[pair][0])
    told = {pair: f"from {pair[0]} to {pair[1]} ({in_percent(flipped[pair])})" for pair in order}
    fewer = sum(flipped[pair][2] < flipped[order[0]][1] for pair in order[1:])
    more = sum(flipped[pair][1] > flipped[order[-1]][2] for pair in order[:-1])
    others = len(order) - 1
    if not fewer:
        return [
            "Along which pairs most samples flip is undecided: intervals that hold for all pairs together "
            f"overlap, {told[order[-1]]} as well as {told[order[0]]}."
        ]
    return [
        f"Surely more flip {told[order[0]]} than along {fewer} of the other {others} pairs, and surely fewer "
        f"{told[order[-1]]} than along {more}; the rest of the order is undecided."
    ]


def table_of(seen: Mapping[Pair, Seen], on: str, confidence: float) -> Table:
    """One line for each pair: what its samples have at the last step, and where the majority changes."""
    rows = []
    for (first, second), found in seen.items():
        parts = (~found.first, found.second, found.flipped, found.random_flipped)
        change = found.change
        flips = "–" if change.after is None else f"{change.before:g} to {change.after:g}"
        by = "–" if change.surely_by is None else f"{change.surely_by:g}"
        shares = [_last(values, confidence) for values in parts]
        rows.append(
            (
                f"{first} to {second}",
                str(len(found.samples)),
                *shares,
                flips,
                f"{change.surely_after:g}, {by}",
            )
        )
    last = f"{next(iter(seen.values())).steps[-1]:g}"
    head = ("samples", "lost the first", "have the second", "flipped: both", "flipped at random")
    return Table(
        f"What samples have after {last} steps on {on}, with intervals at {confidence:g}",
        ("", *head, "the second overtakes, steps", "surely after, by"),
        rows,
    )


def rows_of(pair: Pair, seen: Seen, confidence: float) -> list[dict[str, Any]]:
    """A row for each step, along the boundaries and along random directions."""
    rows = []
    along: dict[str, tuple[NDArray[Any], ...]] = {
        "boundaries": (seen.first, seen.second, seen.flipped),
        "random directions": (seen.random_first, seen.random_second, seen.random_flipped),
    }
    for name, parts in along.items():
        ends = [shares(np.asarray(part), confidence) for part in parts]  # [3][3, T]
        for place, step in enumerate(seen.steps.tolist()):
            row: dict[str, Any] = {"from": pair[0], "to": pair[1], "along": name, "step": step}
            for label, values in zip(("from", "to", "flipped"), ends, strict=True):
                figures = zip(("share", "low", "high"), values[:, place].tolist(), strict=True)
                row |= {f"{label}_{figure}": value for figure, value in figures}
            rows.append(row | {"samples": len(seen.samples)})
    return rows


def shares(values: NDArray[Any], confidence: float) -> Array:
    """Shares of samples ``[N, T]`` with their intervals, ``[3, T]``: exact where each is a yes or no."""
    if values.dtype != np.bool_:  # a mean over random directions: 0.5 beyond its middle at most
        return 0.5 + np.stack(interval(values - 0.5, 0.5, confidence))
    found = values.mean(axis=0)
    ends = [proportion_interval(float(share), len(values), confidence) for share in found]
    return np.stack([found, *np.array(ends).T])


def passing_of(seen: Seen, confidence: float) -> dict[str, Any] | None:
    """The class in between with its shares along the way, as JSON values."""
    if (passing := seen.passing) is None:
        return None
    share, low, high = shares(passing.has, confidence).tolist()
    return {"name": passing.name, "step": passing.step, "share": share, "low": low, "high": high}


def in_percent(values: Sequence[float] | Array) -> str:
    """``"64 % [52, 75]"``, of a share with the ends of its interval."""
    share, low, high = (round(100 * float(value)) for value in values)
    return f"{share} % [{low}, {high}]"


def _last(values: NDArray[Any], confidence: float) -> str:
    return in_percent(shares(values[:, -1:], confidence)[:, 0])


def _change_told(change: Change, first: str, second: str) -> str:
    if change.after is None:
        until = f", surely so up to step {change.surely_after:g}" if change.surely_after else ""
        return f"To the last step no more samples have {second} alone than {first} alone{until}."
    by = ", by which step is not sure" if change.surely_by is None else f" and by step {change.surely_by:g}"
    return (
        f"Between step {change.before:g} and step {change.after:g} {second} overtakes: from then on more "
        f"samples have it alone than {first} alone, surely after step {change.surely_after:g}{by}."
    )


def _most(seen: Seen, confidence: float) -> str:
    """At which step most have the second class, where that is not the last one."""
    found = shares(seen.second, confidence)
    place = int(found[0].argmax())
    if found[0, place] == found[0, -1]:
        return ""
    return f" (more at step {seen.steps[place]:g}, {in_percent(found[:, place])})"


def _passing_told(seen: Seen, confidence: float) -> str:
    if (passing := seen.passing) is None:
        return ""
    place = seen.steps.tolist().index(passing.step)
    start, most, end = (in_percent(values) for values in shares(passing.has, confidence)[:, [0, place, -1]].T)
    return (
        f"The way leads by {passing.name}, which surely more samples have on it than at its ends: {start} at "
        f"the start, {most} at step {passing.step:g}, {end} at the end."
    )


def _off_target(seen: Seen, pair: Pair, confidence: float) -> str:
    """Which other score the walk surely changes most on average; empty where there is no other."""
    walk, names, deviation = seen.walk, [semantic.name for semantic in seen.walk.semantics], seen.deviation
    others = [place for place, name in enumerate(names) if name not in pair and deviation[place] > 0]
    if not others:
        return ""
    changes = (walk.moved[:, 0, -1] - walk.base)[:, others] / deviation[others]
    reach = (walk.ranges[:, 1] - walk.ranges[:, 0])[others] / deviation[others]
    mean, low, high = interval(changes, reach, 1 - (1 - confidence) / ANSWERS / len(others))
    sure = np.where((low > 0) | (high < 0), np.abs(mean), 0)
    if not sure.any():
        return "No other score surely changes on average."
    most = int(sure.argmax())
    return (
        f"Other scores change too: {int((sure > 0).sum())} of {len(others)} surely do on average; the "
        f"largest estimate is that of {names[others[most]]}, {mean[most]:+.2f} "
        f"[{low[most]:.2f}, {high[most]:.2f}] SD at the last step."
    ).replace("-", "−")
