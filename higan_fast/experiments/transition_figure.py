"""Figures and pictures of walks from one category to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import torch

from higan_fast.boundaries.boundary import StepUnit
from higan_fast.experiments.drawing import INK, LEVEL_COLORS, LINE, SOFT, canvas, cells
from higan_fast.experiments.finding import Finding
from higan_fast.experiments.subject import Subject
from higan_fast.experiments.transition_walk import Seen
from higan_fast.experiments.transition_words import in_percent
from higan_fast.pictures import labelled_grid, save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pair = tuple[str, str]

ENDS = ("share", "low", "high")
NUM_SAMPLES, MOST_PAIRS = 6, 24  # on a picture
UNITS = {"norm": "step (norm)", "sd": "step (standard deviations of the codes)"}


def save_pictures(
    subject: Subject,
    seen: Mapping[Pair, Seen],
    steps: Sequence[float],
    unit: StepUnit,
    on: str,
    single: bool,
) -> dict[str, str]:
    """Draws samples along the walks, into the folder that keeps what was measured.

    Args:
        single: whether to draw several samples of one pair, or one of each.

    Returns:
        The picture, by its path from the folder of findings, with what it shows; nothing where nothing is
        kept.
    """
    if subject.out is None:
        return {}
    walked, rows, images = [0.0, *steps], [], []
    for (first, second), found in list(seen.items())[:MOST_PAIRS]:
        some = found.samples[: NUM_SAMPLES if single else 1]
        drawn = subject.images([found.curve], walked, some, step_unit=unit)
        images.append(drawn[:, 0])
        rows += [f"sample {index}" for index in some] if single else [f"{first} to {second}"]
    (first, second), *_ = seen
    name = f"{quote(f'{first}-to-{second}' if single else 'pairs', safe=' ')}.png"
    title = f"{first} to {second} on {on}" if single else f"on {on}"
    grid = labelled_grid(torch.cat(images), rows, [f"{step:g}" for step in walked], title, "step")
    subject.out.mkdir(parents=True, exist_ok=True)
    save_picture(subject.out / name, grid)
    what = "The first samples" if single else "The first sample of each pair"
    return {f"{subject.out.name}/{name}": f"{what} along the walk, not chosen by how it went"}


def draw(finding: Finding) -> Figure:
    """Of one pair the shares along the walk; of several a matrix of how many samples flip."""
    return _shares(finding) if finding.of else _matrix(finding)


def _shares(finding: Finding) -> Figure:
    (change,) = finding.figures["changes"]
    first, second, levels = change["from"], change["to"], finding.figures["levels"]
    along, random = (
        [row for row in finding.rows if row["along"] == name] for name in ("boundaries", "random directions")
    )
    lines = {"from": (f"have {first}", SOFT), "to": (f"have {second}", LEVEL_COLORS[levels[second]])}
    with canvas(9.5, 3.2, columns=2, sharey=True) as (figure, (left, right)):
        if change["after"] is not None:
            span = change["before"], change["after"]
            left.axvspan(*span, color=LINE, zorder=0, linewidth=0, label=f"{second} overtakes")
        for axes, rows, title in (
            (left, along, f"From {first} to {second} on {finding.figures['on']}"),
            (right, random, "The same samples along random directions as long"),
        ):
            for end, (label, color) in lines.items():
                shares = [[100 * row[f"{end}_{figure}"] for row in rows] for figure in ENDS]
                _band(axes, [row["step"] for row in rows], shares, color, label)
            axes.set_title(title)
            axes.set_xlabel(UNITS[finding.figures["unit"]])
            axes.set_ylim(-3, 103)
            axes.grid(axis="y")
        if (passing := change["passing"]) is not None:
            shares = [[100 * value for value in passing[figure]] for figure in ENDS]
            _band(left, [row["step"] for row in along], shares, INK, f"have {passing['name']}", "--")
        left.set_ylabel(f"% of {along[0]['samples']} samples", color=SOFT)
        right.legend(*left.get_legend_handles_labels(), loc="center right")
    return figure


def _band(
    axes: Axes, steps: list[float], shares: list[list[float]], color: str, label: str, style: str = "-"
) -> None:
    share, low, high = shares
    axes.fill_between(steps, low, high, color=color, alpha=0.15, linewidth=0)
    axes.plot(steps, share, style, color=color, label=label, linewidth=1.8)


def _matrix(finding: Finding) -> Figure:
    names = list(
        dict.fromkeys(change[end] for change in finding.figures["changes"] for end in ("from", "to"))
    )
    last = max(row["step"] for row in finding.rows)
    shape = (len(names), len(names))
    sides: dict[str, tuple[Any, Any]] = {}
    for along in ("boundaries", "random directions"):
        values, texts = np.full(shape, np.nan), np.full(shape, "", object)
        for row in finding.rows:
            if row["along"] == along and row["step"] == last:
                place = names.index(row["from"]), names.index(row["to"])
                shares = [row[f"flipped_{end}"] for end in ENDS]
                values[place], texts[place] = shares[0], in_percent(shares).replace(" [", "\n[")
        sides[along] = values, texts
    height = 1.3 + 0.5 * len(names)
    with canvas(max(8.0, 2.6 + 1.5 * len(names)), height, columns=2, sharey=True) as (figure, both):
        for axes, (along, (values, texts)) in zip(both, sides.items(), strict=True):
            cells(axes, values, names, names, texts, 1.0)
            axes.set_title(f"along {along}")
            axes.set_xlabel("to")
        both[0].set_ylabel("from")
        figure.suptitle(
            f"Samples that flip in {last:g} steps on {finding.figures['on']}", fontsize=9, x=0.01, ha="left"
        )
    return figure
