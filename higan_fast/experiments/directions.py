"""Directions without a semantic: which do anything, to what, on which layer, and beyond which null."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from higan_fast.experiments.drawing import canvas, cells
from higan_fast.experiments.finding import Finding
from higan_fast.experiments.given import checked
from higan_fast.probing.directions_results import STYLE_LAYERS, Directions
from higan_fast.probing.null import IN_WORDS, kinds_of
from higan_fast.statistics.effects import in_deviations
from higan_fast.tables import Table, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a figure holds: of more directions or semantics only those with an effect that is sure, and the first.
MOST_ROWS, MOST_COLUMNS = 40, 24
MOST_NAMED = 8  # directions in one sentence
PALER = 0.35  # the share of its colour that an effect has in the figure which is not sure
# How directions that are made here are named, and what they are called in a sentence.
SOURCES = {
    r"sefa \d+": "of SeFa",
    r"pca \d+": "of the PCA of w",
    r"layer \d+ pca \d+": "of the PCA of activations",
}


@checked
def directions(results: Sequence[Directions]) -> Finding:
    """What ``verify_directions`` and ``verify_channels`` found, together.

    Args:
        results: of directions in codes, in styles, or both; at least one.

    Raises:
        ValueError: if there is none.
    """
    if not results:
        raise ValueError("results: got none, expected what verify_directions or verify_channels gives")
    whole = [found.table() for found in results]
    head = (*whole[0].head[:1], "in", *whole[0].head[1:])
    rows = [
        (row[0], _kind(found), *row[1:])
        for found, table in zip(results, whole, strict=True)
        for row in table.rows
    ]
    return Finding(
        experiment="directions",
        title="What directions from elsewhere move",
        sentences=[sentence for found in results for sentence in _sentences(found)],
        limits=[
            "What moves nothing here may move what nobody scores, or something with larger steps.",
            "The layer is the one that alone moves the score most; others may do so too.",
            *[f"{STYLE_LAYERS[0].upper()}{STYLE_LAYERS[1:]}."] * any(found.of_styles for found in results),
        ],
        table=Table(
            f"What is surely moved, and beyond random directions: {_count(len(rows), 'pair')} of a direction "
            "and a semantic",
            head,
            rows,
            [
                note for table in whole for note in table.notes if note != STYLE_LAYERS
            ],  # it is among the limits
        ),
        rows=[{"in": _kind(found), **row} for found in results for row in found.rows()],
        images=sum(found.images for found in results),
        settings={_kind(found): found.settings for found in results},
        figures={"panels": [_panel(found) for found in results]},
    )


def _kind(found: Directions) -> str:
    return "styles" if found.of_styles else "codes"


def _sentences(found: Directions) -> list[str]:
    """How many move something and what; which semantics nothing moves; and the null."""
    names = list(found.boundary_names)
    moving = [name for name in names if found.moved_by(name)]
    what = "channel" if found.of_styles else "direction"
    confidence, step = found.settings["confidence"], found.settings["step"]
    parts = [f"{name} ({', '.join(_moved(found, name))})" for name in moving[:MOST_NAMED]]
    more = len(moving) - len(parts)
    sentence = f"{len(moving)} of {_count(len(names), what)} surely move{'s' * (len(moving) == 1)} a semantic"
    if moving:
        sentence += f", by so many SD of its score: {'; '.join(parts)}{f'; and {more} more' if more else ''}"
    moved = {semantic for name in moving for semantic in found.moved_by(name)}
    still = [semantic.name for semantic in found.semantics if semantic.name not in moved]
    if found.undecided.any():
        sentence += f"; {_count(int(found.undecided.sum()), 'pair')} left open, which more samples may decide"
    return [
        f"{sentence}.",
        f"It is not shown that {_which(found)} moves {', '.join(still)}: that is no proof that none does."
        if still
        else "Each semantic is moved by some.",
        f"One step is {step:g} {_unit(found)}, forth and back, on {found.samples_in_words} fresh samples. "
        f"The null: {_null(found)}. All claims hold together with {100 * confidence:g} % confidence, over "
        f"{len(names)} × {len(found.semantics)} pairs.",
    ]


def _which(found: Directions) -> str:
    """``"any of these 5 directions (3 of SeFa, 2 others)"``: what a sentence about all of them is about."""
    names = list(found.boundary_names)
    if found.of_styles:
        return f"any of these {_count(len(names), 'single channel')} of styles"
    nums = {what: sum(bool(re.fullmatch(form, name)) for name in names) for form, what in SOURCES.items()}
    parts = [f"{num} {what}" for what, num in nums.items() if num]
    others = len(names) - sum(nums.values())
    parts += [_count(others, "other") if parts else f"{others} from elsewhere"] * (others > 0)
    return f"any of these {_count(len(names), 'direction')} ({', '.join(parts)})"


def _moved(found: Directions, name: str) -> list[str]:
    """``"view +0.21"``, the largest first; the layer too, where the direction is not of a single one."""
    row, columns = found.boundary_names.index(name), [semantic.name for semantic in found.semantics]
    texts = []
    for semantic in found.moved_by(name):
        column = columns.index(semantic)
        effect = in_deviations(found.effect[row, 0], found.deviation)[column]
        layer = int(found.top_layer[row, column])
        where = "" if layer < 0 or found.of_styles else f" most on layer {layer}"
        texts.append(f"{semantic} {shown(float(effect), '+.2f')}{where}")
    return texts


def _unit(found: Directions) -> str:
    if found.of_styles:
        return "standard deviations of the channel over the samples"
    in_sd = found.settings["step_unit"] == "sd"
    return "standard deviations of the codes along the direction" if in_sd else "in length"


def _null(found: Directions) -> str:
    num, each = found.settings["num_null"], "random directions"
    if found.of_styles:
        return (
            f"{num} {each} in the style of the same layer, Gaussian multiples of all its channels' standard "
            "deviations, as long as the step of the one"
        )
    kinds = kinds_of(found.settings["null"], found.settings["space"])
    return f"{num} {each} {' and '.join(f'{num} ' * (i > 0) + IN_WORDS[k] for i, k in enumerate(kinds))}"


def _count(num: int, one: str) -> str:
    return f"{num} {one}{'' if num == 1 else 's'}"


def _panel(found: Directions) -> dict[str, Any]:
    """What the figure draws of one result."""
    sure = found.sign != 0
    rows, columns = _chosen(sure.any(axis=1), MOST_ROWS), _chosen(sure.any(axis=0), MOST_COLUMNS)
    relative = in_deviations(found.effect[:, 0], found.deviation)[np.ix_(rows, columns)]
    left_out = len(found.boundary_names) - len(rows), len(found.semantics) - len(columns)
    return {
        "in": _kind(found),
        "directions": [found.boundary_names[row] for row in rows],
        "semantics": [found.semantics[column].name for column in columns],
        "values": [[float(value) if np.isfinite(value) else None for value in line] for line in relative],
        "sure": sure[np.ix_(rows, columns)].tolist(),
        "top_layer": found.top_layer[np.ix_(rows, columns)].tolist(),
        "left_out": list(left_out),
    }


def _chosen(wanted: Any, most: int) -> list[int]:
    """Which rows or columns are drawn: all, or of too many those that are wanted, at most so many."""
    if len(wanted) <= most:
        return list(range(len(wanted)))
    found: list[int] = np.flatnonzero(wanted)[:most].tolist()
    return found or list(range(most))


def draw(finding: Finding) -> Figure:
    """A matrix of directions and semantics for codes, and for styles; sure effects with their top layers.

    All have one scale of colours; what is not sure is paler.
    """
    panels = finding.figures["panels"]
    heights = [1.1 + 0.42 * len(panel["directions"]) for panel in panels]
    widest = max(len(panel["semantics"]) for panel in panels)
    full = max(float(np.nanmax(np.abs(_values(panel)), initial=0.0)) for panel in panels) or 1.0
    size = (max(6.5, 2.2 + 0.62 * widest), sum(heights) + 0.2)
    with canvas(*size, rows=len(panels), height_ratios=heights, squeeze=False) as (figure, axes):
        for panel, (own,) in zip(panels, axes, strict=True):
            values = _values(panel) * np.where(panel["sure"], 1.0, PALER)
            rows, labels = (list(map(_label, panel[name])) for name in ("directions", "semantics"))
            cells(own, values, rows, labels, _texts(panel), full)
            own.tick_params(axis="x", labelrotation=45 if len(labels) > 8 else 0)
            for label in own.get_xticklabels():
                label.set_horizontalalignment("right" if len(labels) > 8 else "center")
            own.set_title(_title(panel, full))
            own.set_ylabel("style layer:channel" if panel["in"] == "styles" else "direction")
    return figure


def _values(panel: dict[str, Any]) -> Any:
    return np.array(panel["values"], np.float64)


def _texts(panel: dict[str, Any]) -> list[list[str]]:
    """An effect, 0 without a sign, and where it is sure the layer."""
    texts = []
    for values, sure, layers in zip(panel["values"], panel["sure"], panel["top_layer"], strict=True):
        kind = "style layer" if panel["in"] == "styles" else "layer"
        below = ["\nsure" if layer < 0 else f"\n{kind} {layer}" for layer in layers]
        texts.append(
            [
                "" if value is None else f"{_signed(value)}{where * is_sure}"
                for value, is_sure, where in zip(values, sure, below, strict=True)
            ]
        )
    return texts


def _signed(value: float) -> str:
    return "0.00" if abs(value) < 0.005 else shown(value, "+.2f")


def _label(name: str) -> str:
    """A name in which Matplotlib sees no formula."""
    return name.replace("$", "\\$")


def _title(panel: dict[str, Any], full: float) -> str:
    what = "Single channels of styles" if panel["in"] == "styles" else "Directions of codes"
    rows, columns = panel["left_out"]
    more = [_count(rows, "direction")] * (rows > 0) + [_count(columns, "semantic")] * (columns > 0)
    without = f"; without {' and '.join(more)}" if more else ""
    return (
        f"{what}: effects in SD of the score{without}\n"
        f"sure ones with the top layer, in full colour at {shown(full, '.2f')} SD; not sure ones paler"
    )
