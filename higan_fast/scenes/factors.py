"""The factors of a room in the embedded world: named semantics, and nuisance factors without a name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.predictors.base import Semantic

SEMANTICS: tuple[Semantic, ...] = (
    Semantic("view", "layout"),
    Semantic("pitch", "layout"),
    Semantic("depth", "layout"),
    Semantic("bed", "object"),
    Semantic("sofa", "object"),
    Semantic("table", "object"),
    Semantic("window", "object"),
    Semantic("lamp", "object"),
    Semantic("picture", "object"),
    Semantic("lighting", "attribute"),
    Semantic("wood_floor", "attribute"),
    Semantic("clutter", "attribute"),
    Semantic("warmth", "color"),
    Semantic("saturation", "color"),
)
CONTINUOUS: tuple[str, ...] = ("view", "pitch", "depth", "lighting", "warmth", "saturation")
FURNITURE: tuple[str, ...] = ("bed", "sofa", "table")  # exactly one of them stands in a room
RANGES: dict[str, tuple[float, float]] = {
    "view": (-22.0, 22.0),  # yaw, degrees; the camera orbits, so that the room stays in the frame
    "pitch": (-18.0, 3.0),  # degrees; the camera sinks as it looks up, so that the floor stays in the frame
    "depth": (3.6, 5.8),  # metres
    "lighting": (0.0, 1.0),  # dim evening to bright day
    "warmth": (0.0, 1.0),  # wall hue: blue-green to orange-red
    "saturation": (0.08, 0.7),  # of the walls
}
MAX_CLUTTER = 5  # items on the floor of one room
MIN_CLUTTER = 3

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Factors:
    """The factors of N rooms. Everything from ``wall_tone`` on is nuisance: uniform numbers in [0, 1)."""

    view: Floats  # [N] degrees
    pitch: Floats  # [N] degrees
    depth: Floats  # [N] metres
    furniture: Ints  # [N] index into FURNITURE
    window: Ints  # [N] 0 or 1
    lamp: Ints  # [N] 0 or 1
    picture: Ints  # [N] 0 or 1
    lighting: Floats  # [N]
    wood_floor: Ints  # [N] 0 or 1
    clutter: Ints  # [N] 0 or 1
    warmth: Floats  # [N]
    saturation: Floats  # [N]
    wall_tone: Floats  # [N]
    floor_tone: Floats  # [N]
    furniture_hue: Floats  # [N]
    furniture_tone: Floats  # [N]
    furniture_x: Floats  # [N]
    furniture_z: Floats  # [N]
    furniture_size: Floats  # [N]
    window_x: Floats  # [N]
    window_size: Floats  # [N]
    picture_x: Floats  # [N]
    picture_hue: Floats  # [N]
    lamp_x: Floats  # [N]
    clutter_num: Floats  # [N]
    clutter_x: Floats  # [N, MAX_CLUTTER]
    clutter_z: Floats  # [N, MAX_CLUTTER]
    clutter_size: Floats  # [N, MAX_CLUTTER]
    clutter_hue: Floats  # [N, MAX_CLUTTER]

    def __len__(self) -> int:
        return len(self.view)

    def __getitem__(self, rows: slice | Ints) -> Factors:
        """Returns the rooms of these rows."""
        return Factors(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


_PER_ITEM = ("clutter_x", "clutter_z", "clutter_size", "clutter_hue")
NUM_COLUMNS = sum(MAX_CLUTTER if field.name in _PER_ITEM else 1 for field in fields(Factors))
_NAMES = tuple(semantic.name for semantic in SEMANTICS)


def sample_factors(seed: int, indices: Iterable[int] | Ints) -> Factors:
    """Returns the factors of samples ``indices`` of the world ``seed``; sample i depends only on (seed, i).

    Raises:
        ValueError: if the seed or an index is negative, or the indices are not a flat list of integers.
    """
    index = checked_indices(indices)
    if seed < 0:
        raise ValueError(f"seed: got {seed}, expected a non-negative integer")
    uniform = np.empty((len(index), NUM_COLUMNS))
    for row, i in enumerate(index.tolist()):
        np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, i])).random(out=uniform[row])
    return factors_of(uniform)


def factors_of(uniform: Floats) -> Factors:
    """Returns the rooms of numbers in [0, 1), ``[N, NUM_COLUMNS]``: one decides one factor, in their order.

    The numbers of a uniform distribution give the factors of the world.
    """
    values: dict[str, Any] = {}
    column = 0
    for field in fields(Factors):
        if field.name in _PER_ITEM:
            values[field.name] = uniform[:, column : column + MAX_CLUTTER].copy()
            column += MAX_CLUTTER
            continue
        drawn = uniform[:, column].copy()
        column += 1
        if field.name in RANGES:
            low, high = RANGES[field.name]
            values[field.name] = low + (high - low) * drawn
        elif field.name == "furniture":
            values[field.name] = (drawn * len(FURNITURE)).astype(np.int64)
        elif field.name in _NAMES:
            values[field.name] = (drawn < 0.5).astype(np.int64)
        else:
            values[field.name] = drawn
    return Factors(**values)


def checked_indices(indices: Iterable[int] | Ints) -> Ints:
    """Returns sample indices as int64 ``[N]``; raises ValueError if they are not valid."""
    index = np.asarray(indices if isinstance(indices, np.ndarray) else list(indices))
    if index.size == 0:
        index = index.astype(np.int64)
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise ValueError(
            f"indices: got shape {index.shape} of {index.dtype}, expected a flat list of integers"
        )
    if index.size and index.min() < 0:
        raise ValueError(f"indices: got {index.min()}, expected non-negative sample numbers")
    return index.astype(np.int64)


def labels(factors: Factors) -> NDArray[np.float32]:
    """Returns the value of every semantic in [0, 1], float32 ``[N, 14]`` in the order of ``SEMANTICS``.

    Continuous factors are scaled by their range; binary ones are 0 or 1.
    """
    columns = []
    for name in _NAMES:
        if name in RANGES:
            low, high = RANGES[name]
            columns.append((getattr(factors, name) - low) / (high - low))
        elif name in FURNITURE:
            columns.append(factors.furniture == FURNITURE.index(name))
        else:
            columns.append(getattr(factors, name))
    return np.stack(columns, axis=1).astype(np.float32)


def with_factor(factors: Factors, name: str, value: float) -> Factors:
    """Returns a copy in which the semantic ``name`` has ``value``, in label units [0, 1], in every room.

    Every room keeps one piece of furniture: removing the bed adds the sofa, and removing any other piece adds
    the bed. Rooms without the removed piece do not change.

    Raises:
        ValueError: if ``name`` is not a semantic or ``value`` is not allowed for it.
    """
    if name not in _NAMES:
        raise ValueError(f"name: got {name!r}, expected one of {list(_NAMES)}")
    allowed = 0.0 <= value <= 1.0 if name in RANGES else value in (0, 1)
    if not allowed:
        wanted = "a value in [0, 1]" if name in RANGES else "0 or 1"
        raise ValueError(f"value: got {value} for {name!r}, expected {wanted}")
    num = len(factors)
    if name in RANGES:
        low, high = RANGES[name]
        return replace(factors, **{name: np.full(num, low + (high - low) * value)})
    if name not in FURNITURE:
        binary: dict[str, Any] = {name: np.full(num, int(value), dtype=np.int64)}
        return replace(factors, **binary)
    kind = FURNITURE.index(name)
    if value:
        return replace(factors, furniture=np.full(num, kind, dtype=np.int64))
    other = 1 if kind == 0 else 0
    return replace(factors, furniture=np.where(factors.furniture == kind, other, factors.furniture))
