"""Figures of experiments by Matplotlib, in the colours of the report, as PNG and SVG files."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from higan_fast.experiments.finding import Finding, Row
from higan_fast.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Those of the report in daylight; a page in the dark replaces them (``report/experiments.py``).
PAPER, INK, SOFT, LINE, BAND, UP, DOWN = (
    "#ffffff",
    "#1c1e21",
    "#5d636b",
    "#e3e5e8",
    "#e4e6e9",
    "#1b3f7a",
    "#722f05",
)
LEVEL_COLORS = {"layout": "#5653c9", "object": "#0b7f63", "attribute": "#a26000", "color": "#bb2f74"}

# On cells, whose colours are the same on every page.
BLACK, WHITE = "#010101", "#fefefe"

STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "svg.fonttype": "none",  # texts stay texts
    "text.parse_math": False,  # names come from users, who may write "$"
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": SOFT,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "grid.color": LINE,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
DOTS_PER_INCH = 160


@contextmanager
def canvas(
    width: float, height: float, columns: int = 1, rows: int = 1, **more: Any
) -> Iterator[tuple[Figure, Any]]:
    """Yields a figure of so many inches, and its axes; within it, Matplotlib has the style of the report.

    Raises:
        ModuleNotFoundError: when Matplotlib is not installed.
    """
    matplotlib = _matplotlib()
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        yield figure, figure.subplots(rows, columns, **more)


def cells(
    axes: Axes, values: Any, rows: Sequence[str], columns: Sequence[str], texts: Any, full: float
) -> None:
    """Draws a matrix: blue for more, brown for less, paler towards 0; a text in each cell.

    Args:
        values: ``[rows, columns]``; NaN is left empty.
        rows: a label each.
        columns: a label each.
        texts: ``[rows][columns]``.
        full: the size of a value with the full colour.
    """
    from matplotlib.colors import LinearSegmentedColormap

    colors = LinearSegmentedColormap.from_list("effect", [DOWN, BAND, UP])
    axes.imshow(values, cmap=colors, vmin=-full, vmax=full, aspect="auto")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            pale = not abs(values[row][column]) > 0.45 * full
            axes.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                color="#000000" if pale else "#fffffe",
                fontsize=8,
            )


def dumbbells(
    axes: Axes, labels: Sequence[str], pairs: Sequence[tuple[Row, Row]], value: str, difference: str
) -> None:
    """Draws a line for each pair of rows, from the value of the first (open) to that of the second (filled).

    It is blue where the interval of their difference, ``{difference}_low`` to ``{difference}_high`` of the
    second, is without 0; what has no value is left out.
    """
    for place, (before, after) in enumerate(pairs):
        ends = [row[value] for row in (before, after)]
        low, high = (after[f"{difference}_{end}"] for end in ("low", "high"))
        sure = (low is not None and low > 0) or (high is not None and high < 0)
        color, width = (UP, 2) if sure else (SOFT, 1)
        places = [place, place]
        axes.plot([math.nan if end is None else end for end in ends], places, color=color, linewidth=width)
        for end, fill in zip(ends, ("none", color), strict=True):
            if end is not None:
                axes.plot([end], [place], "o", markerfacecolor=fill, markeredgecolor=color, clip_on=False)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0] if axes.dataLim.xmin < 0 else 0.0))
    axes.grid(axis="x")
    axes.set_axisbelow(True)


def write_figures(finding: Finding, folder: Path) -> list[Path]:
    """Writes STEM.svg and STEM.png; without Matplotlib removes them, for they would be of another finding.

    Returns:
        What was written.
    """
    paths = [folder / f"{finding.stem}.{ending}" for ending in ("svg", "png")]
    try:
        matplotlib = _matplotlib()
    except ModuleNotFoundError:
        for path in paths:
            with suppress(FileNotFoundError):
                path.unlink()
        return []
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": finding.experiment}):
        figure = finding.draw()
        for path in paths:
            content = io.BytesIO()
            undated = {"Date": None} if path.suffix == ".svg" else None  # the same finding, the same file
            figure.savefig(content, format=path.suffix[1:], dpi=DOTS_PER_INCH, metadata=undated)
            figure.set_layout_engine("none")  # what it found for the first file stays
            with write_whole(path) as file:
                file.write(content.getvalue())
    return paths


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "figures are drawn by Matplotlib, which is not installed; pip install 'higan_fast[figures]'"
        ) from error
    return matplotlib
