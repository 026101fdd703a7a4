"""Layers without a direction: a row of bars for each semantic, and what stands out in words."""

from __future__ import annotations

from dataclasses import dataclass

from higan_fast.generators.base import Layer
from higan_fast.predictors.base import LEVELS
from higan_fast.probing.attribution import Attribution
from higan_fast.probing.layers import format_layers
from higan_fast.probing.verification import Verification
from higan_fast.report.numerals import NONE, count, interval, number
from higan_fast.wording import listing

HEIGHT = 30.0  # pixels of the tallest bar or interval of a row
FOOT = 34.0  # where bars stand, in pixels from above
WIDTH = 0.6  # of a bar, as a part of its layer's


@dataclass(frozen=True)
class Bar:
    """The index of one layer: across in per cent of the lane's width, down in pixels."""

    at: float
    width: float
    middle: float
    top: float
    height: float
    high: float
    low: float
    may_be_top: bool
    title: str


@dataclass(frozen=True)
class Row:
    """One semantic."""

    name: str
    level: str
    bars: tuple[Bar, ...]
    top: str
    index: str
    known: bool


@dataclass(frozen=True)
class Attributed:
    """The chart, and sentences below it."""

    layers: tuple[Layer, ...]
    rows: tuple[Row, ...]
    sentences: tuple[str, ...]


def attributed(found: Attribution, verification: Verification | None) -> Attributed:
    """Returns the chart, its rows in the order of the levels.

    Args:
        found: the indices.
        verification: of boundaries, with which they are compared; None: there was none.
    """
    rows = [
        _row(found, semantic.name, level)
        for level in LEVELS
        for semantic in found.semantics
        if semantic.level == level
    ]
    return Attributed(found.layers, tuple(rows), tuple(filter(None, _sentences(found, verification))))


def _row(found: Attribution, name: str, level: str) -> Row:
    row, tops, num = found.row(name), found.top_layers(name), len(found.layers)
    index, low, high = (part[row] for part in (found.index, found.low, found.high))
    if not tops:
        return Row(name, level, (), NONE, "always the same", False)
    pixels = HEIGHT / max(float(high.max()), 1e-12)
    bars = []
    for place, layer in enumerate(found.layers):
        value, ends = float(index[place]), (float(low[place]), float(high[place]))
        title = (
            f"{name} on layer {layer.index} ({layer.name}): {number(value, 3)}, interval {interval(*ends, 3)}"
        )
        bars.append(
            Bar(
                at=round(100 * (place + 0.5 - WIDTH / 2) / num, 2),
                width=round(100 * WIDTH / num, 2),
                middle=round(100 * (place + 0.5) / num, 2),
                top=round(FOOT - value * pixels, 1),
                height=round(value * pixels, 1),
                high=round(FOOT - ends[1] * pixels, 1),
                low=round(FOOT - ends[0] * pixels, 1),
                may_be_top=place in tops,
                title=title,
            )
        )
    shown = format_layers(tops).replace("-", "–").replace(",", ", ")
    return Row(name, level, tuple(bars), shown, number(float(index.max()), 2), len(tops) == 1)


def _sentences(found: Attribution, verification: Verification | None) -> list[str]:
    """What is known, what no boundary moves, and whether boundaries say the same; each may be empty."""
    varying = [semantic.name for semantic in found.semantics if found.top_layers(semantic.name)]
    best = {name: layer for name in varying if (layer := found.best_layer(name)) is not None}
    sentences = [_known(found, varying, best)]
    if verification is not None:
        moved = [name for name in verification.boundary_names if verification.status(name) == "shown"]
        sentences += [_unmoved(best, moved), _agreement(best, moved, verification)]
    return sentences


def _known(found: Attribution, varying: list[str], best: dict[str, int]) -> str:
    sentence = (
        f"The top layer of {len(best)} of {count(len(varying), 'semantic')} is known, with "
        f"{100 * found.settings['confidence']:g} % confidence for all together."
    )
    others = [name for name in varying if name not in best]
    if others:
        sentence += (
            f" Of {listing(others)}, the coloured layers cannot be told apart on {found.samples:,} samples."
        )
    return sentence


def _unmoved(best: dict[str, int], moved: list[str]) -> str:
    by_layer: dict[int, list[str]] = {}
    for name, layer in best.items():
        if name not in moved:
            by_layer.setdefault(layer, []).append(name)
    parts = [f"layer {layer} decides {listing(names)}" for layer, names in sorted(by_layer.items())]
    return f"Where no boundary was shown to move a semantic: {'; '.join(parts)}." if parts else ""


def _agreement(best: dict[str, int], moved: list[str], verification: Verification) -> str:
    by_boundary = {
        name: layer for name in moved if name in best and (layer := verification.best_layer(name)) is not None
    }
    if not by_boundary:
        return ""
    differing = [
        f"{name} (layer {best[name]}, and {layer} along its boundary)"
        for name, layer in by_boundary.items()
        if layer != best[name]
    ]
    same = len(by_boundary) - len(differing)
    sentence = (
        f"For {same} of {count(len(by_boundary), 'semantic')} that a boundary moves, the top layer is the "
        "one on which the boundary moves it most"
    )
    return f"{sentence}; not for {listing(differing)}." if differing else f"{sentence}."
