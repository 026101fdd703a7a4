"""Directions that can share random ones: those that move each layer as far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundary, StepUnit
from higan_fast.probing.measurement import Direction, Measurement
from higan_fast.probing.null import Kind, directions_of
from higan_fast.statistics.nulls import NullGeometry


class Family(NamedTuple):
    """Some of B directions, and the random ones with which they are compared.

    Attributes:
        rows: which of the directions.
        null: which rows of all that is measured the random ones are.
        layers: the layers that move; those of z none.
        together: the set of layers on which all that moves is moved.
        alone: the sets of layers on which one that moves is moved.
        geometry: of the random directions with these, on all that moves together.
    """

    rows: list[int]
    null: slice
    layers: tuple[int, ...]
    together: int
    alone: list[int]
    geometry: NullGeometry


def families_of(
    chosen: Sequence[Boundary], kinds: Sequence[Kind], num_null: int, unit: StepUnit, measurement: Measurement
) -> tuple[list[Family], list[Direction]]:
    """Returns the families, and what is measured: the directions, and then each family's random ones."""
    sets, found, last = measurement.layer_sets, [], len(chosen)
    moved = [Direction(direction.name, direction.per_step(unit)) for direction in chosen]
    for rows in _alike(chosen):
        family = [chosen[row] for row in rows]
        members = directions_of(family, unit, kinds, num_null, measurement.drawn.seed, measurement.draw)
        layers = sets[0]
        if family[0].normal.ndim == 2:
            layers = tuple(np.flatnonzero(family[0].layer_lengths).tolist())
        # Of a single layer it is a set by itself, before which nothing has to be done again.
        together = sets.index(layers) if len(layers) == 1 else 0
        alone = [sets.index((layer,)) for layer in layers if len(sets) > 1]
        geometry = measurement.geometry(members, len(rows), len(kinds)).on(together)
        null = slice(last, last + len(members) - len(rows))
        found.append(Family(rows, null, layers, together, alone, geometry))
        moved += members[len(rows) :]
        last = null.stop
    return found, moved


def spread(families: Sequence[Family], effects: Sequence[NDArray[np.generic]]) -> None:
    """Writes what the only layer of a family does where it is said what all layers do together.

    Args:
        effects: arrays ``[M, sets, ...]``, which are changed.
    """
    for family in families:
        for rows in (family.rows, family.null):
            for part in effects:
                part[rows, 0] = part[rows, family.together]


def _alike(chosen: Sequence[Boundary]) -> list[list[int]]:
    """Which directions move each layer as far."""
    found: list[list[int]] = []
    for row, direction in enumerate(chosen):
        for rows in found:
            if np.allclose(direction.layer_lengths, chosen[rows[0]].layer_lengths, rtol=0, atol=1e-6):
                rows.append(row)
                break
        else:
            found.append([row])
    return found
