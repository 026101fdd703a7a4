"""Boundaries freed of another that they move, and what that costs: their effects, measured again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundary, StepUnit, has_unit_layers
from higan_fast.probing.effect_files import hash_of, key_of, name_of
from higan_fast.probing.measurement import Direction, Measurement
from higan_fast.probing.side_effects import SMALL
from higan_fast.progress import progress as show_progress
from higan_fast.statistics.confidence import bounds_by_moments
from higan_fast.statistics.effects import in_deviations

Array = NDArray[np.float64]

FREED_SAMPLES = 64  # the first ones of the verification
MOST_PAIRS = 24  # so many of the largest side effects are followed up


def measure_freed(
    measurement: Measurement,
    boundaries: Sequence[Boundary],
    columns: Sequence[int],
    figures: Mapping[str, Any],
    deviation: Array,
    *,
    step_unit: StepUnit,
    at_most: int,
    confidence: float,
    folder: Path | None,
    settings: dict[str, Any],
    progress: bool,
) -> dict[str, Any]:
    """Frees each boundary of what it surely moves beside, one at a time, and moves samples along the rest.

    The rest of a boundary is as long as the boundary was, so that the same step is taken: what is lost is the
    price of leaving the other semantic alone. One that has conditions already is left as it is.

    Args:
        columns: the semantic of each boundary.
        figures: of the verification: whose effect was shown, and what each surely moves.
        deviation: of each score, ``[S]``.
        at_most: samples of the verification.

    Returns:
        Fields of a ``Verification``: ``freed`` and the effects of the freed boundaries with their intervals;
        and the numbers of images with those that it took.
    """
    freed, rows = [], []
    for row, other in _largest(figures, columns, deviation):
        if boundaries[row].conditions:
            continue  # which a second projection would bring back
        try:
            rest = boundaries[row].conditional_on(boundaries[other])
        except ValueError:
            continue  # the same direction: nothing is left
        moved = as_long(rest.normal, boundaries[row].per_step(step_unit))
        freed.append(Direction(f"{rest.name} without {boundaries[other].name}", moved))
        rows.append((row, other))
    effects, num = np.full((3, len(rows), len(deviation)), np.nan), min(FREED_SAMPLES, at_most)
    if freed:
        effects[:] = _effects(measurement, freed, num, confidence, folder, settings, progress)
    return {
        "freed": np.array(rows, np.int64).reshape(-1, 2),
        **dict(zip(("freed_effect", "freed_low", "freed_high"), effects, strict=True)),
        **{name: figures[name] + 2 * len(freed) * num for name in ("images", "images_fixed")},
    }


def as_long(normal: Array, step: Array) -> Array:
    """A normal as long as a step, on each layer where each has length 1, and else as a whole."""
    axis = -1 if normal.ndim == 1 or has_unit_layers(normal) else None
    long, before = (np.linalg.norm(each, axis=axis, keepdims=True) for each in (step, normal))
    return np.asarray(normal * np.divide(long, before, out=np.zeros_like(long), where=before > 0))


def _largest(figures: Mapping[str, Any], columns: Sequence[int], deviation: Array) -> list[tuple[int, int]]:
    """Pairs of a boundary and another whose semantic it moves, the largest side effects first."""
    sizes = np.abs(in_deviations(figures["effect"][:, 0], deviation))[:, list(columns)]  # [B, B]
    moved = figures["moves"][:, list(columns)] & figures["beats_null"][:, None] & (sizes >= SMALL)
    pairs = sorted(np.argwhere(moved).tolist(), key=lambda pair: -sizes[pair[0], pair[1]])
    return [(row, other) for row, other in pairs[:MOST_PAIRS]]


def _effects(
    measurement: Measurement,
    directions: Sequence[Direction],
    num: int,
    confidence: float,
    folder: Path | None,
    settings: dict[str, Any],
    progress: bool,
) -> tuple[Array, Array, Array]:
    """Effects on all layers together and the ends of their intervals, ``[P, S]`` each."""
    chosen = np.zeros((len(directions), len(measurement.layer_sets)), np.bool_)
    chosen[:, 0] = True
    key = key_of(settings=settings, num=num, freed=hash_of(*(direction.normal for direction in directions)))
    file = folder / "freed" / f"{name_of(key)}.npz" if folder else None
    each = 2 * len(directions)
    total, done = num * each, measurement.images_kept(file, key, range(num), each)
    with show_progress("freeing boundaries", total, done=done, enabled=progress) as advance:
        found = measurement.measure(directions, range(num), chosen, file=file, key=key, advance=advance)
    of = found.effects
    width = measurement.ranges[:, 1] - measurement.ranges[:, 0]
    low, high = bounds_by_moments(
        num, of.mean[:, 0], of.m2[:, 0], of.changed[:, 0], width / 2, (1 - confidence) / 2, fixed=True
    )
    return of.mean[:, 0], low, high
