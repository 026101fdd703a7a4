"""What a verification says of the order of levels: which semantics count, and with which mean layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from higan_fast.predictors.base import LEVELS
from higan_fast.statistics.hierarchy import Hierarchy, Member, hierarchy

if TYPE_CHECKING:
    from higan_fast.probing.results import Verification

Array = NDArray[np.float64]

# Boundaries of one level that each move the other's semantic by this part of what moves their own are one
# axis: two names of one thing are no two witnesses.
ONE_AXIS = 0.5


def axes_by_level(found: Verification) -> dict[str, list[tuple[str, ...]]]:
    """Returns the semantics of each level that have a mean layer, those of one axis together.

    They are those whose effect is shown, on some layer alone too. Two boundaries of a level are one axis
    where each moves the other's semantic, on all layers, at least half as far as the other does, up or down.
    """
    return {level: _grouped(found, _counted(found, level)) for level in LEVELS}


def judged(found: Verification) -> Hierarchy:
    """Returns what the mean layers of semantics say of the order of levels, which is HiGAN's, as declared.

    The semantics of one axis count as one, with the mean of their mean layers.
    """
    members = {
        level: {" and ".join(axis): _member(found, axis) for axis in axes}
        for level, axes in axes_by_level(found).items()
    }
    return hierarchy(members, max(len(found.layers) - 1, 0), found.settings["confidence"])


def mean_layer_error(effects: Array, errors: Array) -> float:
    """Returns the standard error of a mean layer, weighted by the sizes of effects ``[L]``.

    It is that of a ratio to first order, with the effects of layers taken as independent of each other. An
    effect that does not count is 0, and so is its error.
    """
    weights, index = np.abs(effects), np.arange(len(effects))
    total = weights.sum()
    mean = float((index * weights).sum() / total)
    return float(np.sqrt((np.square((index - mean) * errors)).sum()) / total)


def _member(found: Verification, axis: tuple[str, ...]) -> Member:
    """The mean of the mean layers of an axis, whose errors are taken as independent of each other."""
    layers, errors = ([of(name) or 0.0 for name in axis] for of in (found.mean_layer, found.mean_layer_error))
    return Member(float(np.mean(layers)), float(np.linalg.norm(errors) / len(axis)))


def _counted(found: Verification, level: str) -> list[str]:
    level_of = {semantic.name: semantic.level for semantic in found.semantics}
    return [
        name
        for name in found.boundary_names
        if level_of[name] == level and found.mean_layer(name) is not None
    ]


def _grouped(found: Verification, names: list[str]) -> list[tuple[str, ...]]:
    """Joins semantics of one axis, and whatever is one with either."""
    axes: list[tuple[str, ...]] = []
    for name in names:
        same = [axis for axis in axes if any(_are_one_axis(found, name, other) for other in axis)]
        axes = [axis for axis in axes if axis not in same]
        axes.append((*(one for axis in same for one in axis), name))
    return axes


def _are_one_axis(found: Verification, name: str, other: str) -> bool:
    column = {semantic.name: index for index, semantic in enumerate(found.semantics)}
    names = (name, other)
    moves = np.abs([[found.entanglement()[found.row(a), column[b]] for b in names] for a in names])
    return bool((moves >= ONE_AXIS * np.diag(moves)).all())
