"""The dose-response: a small chart for each curve, on the page and in a picture; and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from higan_fast.predictors.base import LEVELS
from higan_fast.probing.sweep import Sweep
from higan_fast.probing.sweep_words import (
    exceeding_in_words,
    sentences,
    shape_in_words,
    step_in_words,
    steps_in_words,
)
from higan_fast.report.charts import Scale
from higan_fast.report.numerals import UNITS, count, interval, number

Array = NDArray[np.float64]

# A chart in pixels: all of it, and the plot within; names stand at its right.
WIDTH, HEIGHT = 290.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 30.0, 190.0, 8.0, 168.0
PLOT = {"size": (WIDTH, HEIGHT), "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM}
APART = 12.0  # between names
NUM_OTHERS = 3  # scores off target in a chart: those that are surely large, and then those that change most
LEAST = 0.1  # of a standard deviation: what changes by less is not drawn
LONGEST = 13  # letters of a name
MOST_LABELS = 7  # of steps

# The picture of all charts, in pixels.
COLUMNS, MARGIN, HEAD, GAP = 4, 24.0, 76.0, 46.0


@dataclass(frozen=True)
class Place:
    """A text, or what a mark says, at a place of the chart in pixels."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Line:
    """A score off target, with a mark from where on it is surely large."""

    path: str
    title: str
    marks: tuple[Place, ...]


@dataclass(frozen=True)
class Chart:
    """One curve; there is no path where the target's score is the same for all samples, and has no unit."""

    name: str
    level: str
    layers: str
    facts: str
    zero: float = BOTTOM
    across: tuple[Place, ...] = ()
    down: tuple[Place, ...] = ()
    suggested: tuple[float, ...] = ()
    ribbon: str = ""
    path: str = ""
    points: tuple[Place, ...] = ()
    marks: tuple[Place, ...] = ()
    others: tuple[Line, ...] = ()
    names: tuple[Place, ...] = ()  # the target's, and then those of the others


@dataclass(frozen=True)
class Dosed:
    """Charts on all layers, those on the layers that act alone, and sentences."""

    charts: tuple[Chart, ...]
    acting: tuple[Chart, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Placed:
    """A chart of the picture, and where its top left corner stands."""

    x: float
    y: float
    chart: Chart


def dosed(found: Sweep) -> Dosed:
    """Returns the charts, in the order of the levels."""
    charts, acting = (
        tuple(
            _chart(found, curve)
            for level in LEVELS
            for curve in found.curves(only)
            if found.semantics[found.columns[curve]].level == level
        )
        for only in (False, True)
    )
    return Dosed(charts, acting, sentences(found))


def heads(found: Sweep) -> dict[str, str]:
    """Returns the ``title`` and ``subtitle`` of a picture of all charts."""
    subtitle = (
        "Mean change in standard deviations of each score (SD), with intervals of the target at "
        f"{100 * found.settings['confidence']:g} %, against the step in "
        f"{UNITS[found.settings['step_unit']]}; {count(found.samples, 'sample')}"
    )
    return {
        "title": f"Dose-response of {count(len(found.curves()), 'boundary', 'boundaries')}",
        "subtitle": subtitle,
    }


def placed(charts: Sequence[Chart]) -> tuple[list[Placed], tuple[float, float]]:
    """Returns the charts in rows of a picture, and its width and height."""
    each = WIDTH + MARGIN, HEIGHT + GAP
    result = [
        Placed(MARGIN + index % COLUMNS * each[0], HEAD + index // COLUMNS * each[1], chart)
        for index, chart in enumerate(charts)
    ]
    rows = -(-len(charts) // COLUMNS)
    return result, (MARGIN + min(len(charts), COLUMNS) * each[0], HEAD + rows * each[1])


def _chart(found: Sweep, curve: int) -> Chart:
    name, column = found.boundary_names[curve], found.columns[curve]
    some = found.layers_in_words(curve).replace("-", "–")
    several = "layer" if found.moved[curve].sum() == 1 else "layers"
    layers = "all layers" if found.on_all(curve) else f"{several} {some}"
    plot = _Plot(found, curve)
    level = found.semantics[column].level
    if not np.isfinite(plot.change[:, column]).all():
        return Chart(name, level, layers, "always the same")
    facts = {
        "": shape_in_words(found, curve),
        "saturates from ": steps_in_words(found.saturates[curve]),
        "large off target from ": exceeding_in_words(found, curve),
    }
    suggested = found.suggested_step(curve)
    return Chart(
        name,
        level,
        layers,
        facts="; ".join(label + text for label, text in facts.items() if text != "–"),
        zero=plot.y(0.0),
        across=plot.across(),
        down=tuple(
            Place(LEFT - 5, round(BOTTOM - (BOTTOM - TOP) * tick.at / 100, 1), tick.label)
            for tick in plot.scale.ticks(6)
        ),
        suggested=tuple(x for x, step in zip(plot.x, found.steps, strict=True) if abs(step) == suggested),
        ribbon=plot.ribbon(),
        path=plot.path(column),
        points=plot.points(),
        marks=plot.marks(column, found.saturates[curve], "saturates from"),
        others=tuple(
            Line(plot.path(k), plot.said(k), plot.marks(k, found.exceeds[curve, k], "surely large from"))
            for k in plot.others
        ),
        names=plot.names(),
    )


class _Plot:
    """The figures of one curve in standard deviations, and where they stand."""

    def __init__(self, found: Sweep, curve: int) -> None:
        self.found, self.curve, self.column = found, curve, found.columns[curve]
        self.change, self.low, self.high = (
            found.in_deviations(figure)[curve] for figure in ("change", "low", "high")
        )  # [T, S]
        self.others = self._most_changed()
        ends = np.stack([self.low[:, self.column], self.high[:, self.column]])
        self.bounded = bool(np.isfinite(ends).all())
        drawn = [self.change[:, [self.column, *self.others]].ravel()]
        if self.bounded:
            drawn.append(ends.ravel())
        self.scale = Scale.over(np.concatenate(drawn).tolist(), margin=0.02)
        first, last = found.steps[[0, -1]].tolist()
        self.x = [
            round(LEFT + (RIGHT - LEFT) * (s - first) / (last - first), 1) for s in found.steps.tolist()
        ]

    def y(self, value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * self.scale(float(value)) / 100, 1)

    def path(self, column: int) -> str:
        return self._line(self.change[:, column])

    def ribbon(self) -> str:
        """The intervals of the target; empty where an end is not known."""
        if not self.bounded:
            return ""
        low, high = (self._points_of(ends[:, self.column]) for ends in (self.low, self.high))
        return "M" + "L".join([*low, *reversed(high)]) + "Z"

    def across(self) -> tuple[Place, ...]:
        """The steps: all of them, or the ends, 0, and some between."""
        steps = self.found.steps
        every = -(-(len(steps) - 1) // (MOST_LABELS - 1))
        zero = int(np.flatnonzero(steps == 0)[0])
        return tuple(
            Place(x, BOTTOM + 16, step_in_words(step))
            for place, (x, step) in enumerate(zip(self.x, steps.tolist(), strict=True))
            if (place - zero) % every == 0
        )

    def points(self) -> tuple[Place, ...]:
        """What the target does at each step, in words."""
        asymptotic, column = bool(self.found.asymptotic[self.column]), self.column
        result = []
        for place, step in enumerate(self.found.steps.tolist()):
            value, low, high = (float(part[place, column]) for part in (self.change, self.low, self.high))
            text = f"{number(value, 2, signed=True)} SD"
            if step:
                text += f", interval {interval(low, high, 2, asymptotic)}"
            result.append(Place(self.x[place], self.y(value), f"step {step_in_words(step)}: {text}"))
        return tuple(result)

    def marks(self, column: int, steps: Array, what: str) -> tuple[Place, ...]:
        """Where a score stands at the steps from which on something is so."""
        name = self.found.semantics[column].name
        return tuple(
            Place(self.x[place], self.y(self.change[place, column]), f"{name}: {what} {step_in_words(step)}")
            for place, step in enumerate(self.found.steps.tolist())
            if step in steps[np.isfinite(steps)]
        )

    def said(self, column: int) -> str:
        """What a score off target does at the farthest steps."""
        parts = [
            f"{number(float(self.change[place, column]), 2, signed=True)} SD at "
            f"{step_in_words(float(self.found.steps[place]))}"
            for place in (0, -1)
            if self.found.steps[place]
        ]
        return f"{self.found.semantics[column].name}: {', '.join(parts)}"

    def names(self) -> tuple[Place, ...]:
        """The names at the ends of the lines, so far apart that they can be read."""
        columns = [self.column, *self.others]
        wanted = np.array([self.y(self.change[-1, k]) + 4 for k in columns])
        order = np.argsort(wanted, kind="stable")
        y = wanted[order]
        for place in range(1, len(y)):
            y[place] = max(y[place], y[place - 1] + APART)
        y -= max(0.0, y[-1] - BOTTOM)
        for place in reversed(range(len(y) - 1)):
            y[place] = min(y[place], y[place + 1] - APART)
        at = dict(zip(order.tolist(), y.tolist(), strict=True))
        names = [self.found.semantics[k].name for k in columns]
        return tuple(Place(RIGHT + 7, round(at[i], 1), _short(name)) for i, name in enumerate(names))

    def _most_changed(self) -> list[int]:
        largest = np.nan_to_num(np.abs(self.change)).max(axis=0)
        sure = np.isfinite(self.found.exceeds[self.curve]).any(axis=1)
        order = sorted(range(len(largest)), key=lambda k: (not sure[k], -largest[k]))
        return [k for k in order if k != self.column and (sure[k] or largest[k] >= LEAST)][:NUM_OTHERS]

    def _points_of(self, values: Array) -> list[str]:
        return [f"{x} {self.y(value)}" for x, value in zip(self.x, values, strict=True)]

    def _line(self, values: Array) -> str:
        return "M" + "L".join(self._points_of(values))


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
