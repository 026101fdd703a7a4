"""A sweep in words: what is claimed of the curves as sentences, and one line for each curve."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from higan_fast.probing.sweep_results import Array, Sweep
from higan_fast.probing.wide import too_wide_in_words
from higan_fast.tables import Table, shown
from higan_fast.wording import listing

UNITS = {"norm": "in norm", "sd": "in standard deviations of the codes"}


def sentences(found: Sweep) -> tuple[str, ...]:
    """Returns what is claimed, and what is only estimated, in whole sentences."""
    percent = f"{100 * found.settings['confidence']:g} %"
    result = []
    for acting in (False, True):
        if curves := found.curves(acting):
            result += _of_curves(found, curves, "On the layers that act alone" if acting else "On all layers")
    unknown = " (where the range of a score is not known: as samples grow many)"
    how = unknown if found.asymptotic.any() else ""
    result.append(
        f"This is what {found.samples:,} samples establish, with {percent} confidence for all of it "
        f"together{how}; what is not said may be so too."
    )
    confidence = found.settings["confidence"]
    return (*result, *too_wide_in_words(_reach(found), found.samples, confidence), _suggestion(found))


def _reach(found: Sweep) -> dict[str, float]:
    """The largest possible change of each target, in standard deviations; those without any are left out."""
    widths = found.ranges[:, 1] - found.ranges[:, 0]
    targets = {name: column for name, column in zip(found.boundary_names, found.columns, strict=True)}
    return {
        name: float(widths[k] / found.deviation[k]) for name, k in targets.items() if found.deviation[k] > 0
    }


def sweep_table(found: Sweep) -> Table:
    """One row for each curve: its ends, in standard deviations of the score, and what is claimed of it."""
    rows = []
    for curve, name in enumerate(found.boundary_names):
        step = found.suggested_step(curve)
        rows.append(
            (
                name,
                found.layers_in_words(curve),
                *(_end(found, curve, place) for place in (0, -1)),
                shape_in_words(found, curve),
                steps_in_words(found.saturates[curve]),
                exceeding_in_words(found, curve),
                "–" if step is None else f"{step:g}",
            )
        )
    first, last = (step_in_words(float(found.steps[place])) for place in (0, -1))
    head = ("semantic", "layers", f"SD at {first}", f"SD at {last}", "shape", "saturates from")
    num = len(found.curves())
    caption = (
        f"Dose-response of {num} boundar{'y' if num == 1 else 'ies'} at {found.settings['confidence']:.4g} "
        f"({found.samples:,} samples, {found.images:,} images; steps {UNITS[found.settings['step_unit']]})"
    )
    return Table(caption, (*head, "large off target from", "suggested step"), rows, sentences(found))


def shape_in_words(found: Sweep, curve: int) -> str:
    """``"rises throughout"``, ``"turns back, +3 to +6"`` or ``"undecided"``."""
    if found.rises[curve]:
        return "rises throughout"
    first, second = map(float, found.turns[curve])
    if math.isfinite(first):
        return f"turns back, {step_in_words(first)} to {step_in_words(second)}"
    return "undecided"


def exceeding_in_words(found: Sweep, curve: int) -> str:
    """Which scores surely change by more than half of the target: ``"+4 (table), −6 (bed)"``; else a dash."""
    parts = []
    for side in (0, 1):
        from_steps = found.exceeds[curve, :, side]
        for step in sorted(set(from_steps[np.isfinite(from_steps)].tolist()), key=abs):
            parts.append(f"{step_in_words(step)} ({', '.join(_named(found, from_steps == step))})")
    return ", ".join(parts) or "–"


def steps_in_words(steps: Array) -> str:
    """The steps that there are, nearest to 0 first on each side: ``"−4, +3"``; a dash where there is none."""
    return ", ".join(step_in_words(float(step)) for step in steps if math.isfinite(step)) or "–"


def step_in_words(step: float) -> str:
    """With its sign: ``"+3"``, ``"−1.5"``."""
    return f"{step:+g}".replace("-", "−") if step else "0"


def _of_curves(found: Sweep, curves: Sequence[int], where: str) -> list[str]:
    part, names = f"{100 * found.settings['part']:g} %", {c: found.boundary_names[c] for c in curves}
    rising = [names[c] for c in curves if found.rises[c]]
    turning = [c for c in curves if np.isfinite(found.turns[c]).all()]
    turned = [f"{names[c]} ({' to '.join(map(step_in_words, found.turns[c]))})" for c in turning]
    open_ones = [names[c] for c in curves if not found.rises[c] and c not in turning]
    several = "the only curve surely rises" if len(curves) == 1 else f"all {len(curves)} curves surely rise"
    some = f"{len(rising) or 'none'} of {len(curves)} curves surely rise{'s' * (len(rising) < 2)}"
    shape = f"{where}, {several if not open_ones + turned else some} throughout the {len(found.steps)} steps"
    shape += " that were measured"
    shape += f": {listing(rising)}" if open_ones + turned and rising else ""
    shape += f". (No step back between two of them takes more than {part} of the rise.)" if rising else "."
    shape += f" More than {part} is surely lost by {listing(turned)}." if turned else ""
    shape += f" Undecided: {listing(open_ones)}." if open_ones else ""
    result = [shape]
    flat = [c for c in curves if np.isfinite(found.saturates[c]).any()]
    if flat:
        steps = listing([f"{names[c]} ({steps_in_words(found.saturates[c])})" for c in flat])
        result.append(
            f"{where}, further steps surely add less than {part} of what was reached, where a straight line "
            f"would add twice that or more, from: {steps}."
        )
    large = [c for c in curves if np.isfinite(found.exceeds[c]).any()]
    if large:
        steps = "; ".join(f"{names[c]} {exceeding_in_words(found, c)}" for c in large)
        result.append(
            f"{where}, another score surely changes by more than half of what the target does, in standard "
            f"deviations, from: {steps}."
        )
    both = [text for c in curves for text in _reversals(found, c)]
    if both:
        result.append(f"{where}, the direction of a change off target surely changes: {'; '.join(both)}.")
    return result


def _reversals(found: Sweep, curve: int) -> list[str]:
    result = []
    for semantic, pair in zip(found.semantics, found.reverses[curve], strict=True):
        if np.isfinite(pair).all():
            along, against = map(step_in_words, pair)
            name = found.boundary_names[curve]
            result.append(
                f"{name} moves {semantic.name} along with it at {along} and against it at {against}"
            )
    return result


def _suggestion(found: Sweep) -> str:
    what = (
        "the largest before a curve saturates, either way, or another score changes by more than half of "
        "what the target does"
    )
    step, num = found.suggested(), sum(found.suggested_step(c) is not None for c in found.curves())
    if step is None:
        return f"The estimates suggest no step ({what}: for no boundary there is one)."
    whose = "the only boundary that has one" if num == 1 else f"half or more of the {num} that have one"
    most = ", the largest that was tried" if step >= np.abs(found.steps).max() else ""
    return f"The estimates suggest, and do not claim, a step of {step:g}{most}: {what}, for {whose}."


def _end(found: Sweep, curve: int, place: int) -> str:
    where = curve, place, found.columns[curve]
    value, low, high = (float(found.in_deviations(figure)[where]) for figure in ("change", "low", "high"))
    return f"{shown(value, '+.2f')} [{shown(low, '.2f')}, {shown(high, '.2f')}]"


def _named(found: Sweep, chosen: Sequence[bool] | np.ndarray) -> list[str]:
    return [semantic.name for semantic, one in zip(found.semantics, chosen, strict=True) if one]
