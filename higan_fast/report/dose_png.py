"""The picture of a sweep as PNG: the charts of its SVG, drawn by Matplotlib."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from higan_fast.experiments.drawing import INK, LEVEL_COLORS, LINE, PAPER, SOFT, canvas
from higan_fast.probing.sweep import Sweep
from higan_fast.report.dose import BOTTOM, LEFT, RIGHT, TOP, Chart, dosed, heads, placed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 0.72  # of a pixel: a hundred of them are an inch
DASHES = ("-", (0, (5, 2.5)), (0, (1.5, 1.5)))
DOTS_PER_INCH = 160


def dose_png(found: Sweep) -> bytes:
    """Returns the curves of a sweep as the content of a PNG file.

    Raises:
        ModuleNotFoundError: when Matplotlib is not installed.
    """
    charts, head = dosed(found), heads(found)
    places, (width, height) = placed([*charts.charts, *charts.acting])
    with canvas(width / 100, height / 100) as (figure, axes):
        figure.set_layout_engine("none")
        axes.set_position((0, 0, 1, 1))
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        axes.axis("off")
        axes.text(places[0].x, 30, head["title"], fontsize=17 * POINTS, fontweight="bold", color=INK)
        axes.text(places[0].x, 50, head["subtitle"], fontsize=12 * POINTS, color=SOFT)
        for each in places:
            head = axes.text(
                each.x, each.y, each.chart.name, fontsize=13 * POINTS, fontweight="bold",
                color=LEVEL_COLORS[each.chart.level],
            )  # fmt: skip
            axes.annotate(
                f" on {each.chart.layers}",
                (1, 0),
                xycoords=head,
                va="bottom",
                fontsize=13 * POINTS,
                color=SOFT,
            )
            if each.chart.path:
                _draw(axes, each.chart, each.x, each.y + 8)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=DOTS_PER_INCH, facecolor=PAPER)
    return content.getvalue()


def _draw(axes: Axes, chart: Chart, x: float, y: float) -> None:
    color = LEVEL_COLORS[chart.level]
    small: dict[str, Any] = {"fontsize": 11 * POINTS, "color": SOFT}

    def line(path: str) -> tuple[list[float], list[float]]:
        points = [point.split() for point in path.strip("MZ").split("L")]
        return [x + float(point[0]) for point in points], [y + float(point[1]) for point in points]

    for tick in chart.down:
        axes.plot([x + LEFT, x + RIGHT], [y + tick.y] * 2, color=LINE, linewidth=0.7, zorder=1)
        axes.text(x + tick.x, y + tick.y + 4, tick.text, ha="right", **small)
    for place in chart.suggested:
        axes.plot([x + place] * 2, [y + TOP, y + BOTTOM], ":", color=SOFT, linewidth=0.8, zorder=1)
    axes.plot([x + LEFT, x + RIGHT], [y + chart.zero] * 2, color=SOFT, alpha=0.6, linewidth=0.7, zorder=1)
    for step in chart.across:
        axes.text(x + step.x, y + step.y, step.text, ha="center", **small)
    if chart.ribbon:
        axes.fill(*line(chart.ribbon), color=color, alpha=0.2, linewidth=0, zorder=2)
    for other, dash in zip(chart.others, DASHES, strict=False):
        axes.plot(*line(other.path), linestyle=dash, color=SOFT, linewidth=1.1, zorder=3)
        for mark in other.marks:
            axes.plot([x + mark.x], [y + mark.y], "o", color=SOFT, markersize=5, zorder=5)
    axes.plot(*line(chart.path), color=color, linewidth=1.8, zorder=4)
    for mark in chart.marks:
        axes.plot(
            [x + mark.x],
            [y + mark.y],
            "o",
            markerfacecolor=PAPER,
            markeredgecolor=color,
            markersize=5,
            zorder=6,
        )
    for place, name in enumerate(chart.names):
        weight: dict[str, Any] = {"color": INK} if place else {"color": color, "fontweight": "bold"}
        axes.text(x + name.x, y + name.y, name.text, **{**small, **weight})
