"""The furniture of a room: axis-aligned boxes, and their soft shadows on the floor.

Coordinates are in metres: x to the right (0 in the middle), y up from the floor, z away from the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from higan_fast.scenes.classes import CLASSES
from higan_fast.scenes.factors import FURNITURE, MAX_CLUTTER, MIN_CLUTTER, Factors

HEIGHT = 2.7  # of the room, metres
HALF_WIDTH = 2.3  # of the room, metres

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Boxes:
    """The boxes of N rooms; a room's own boxes come first, and unused slots have a negative half size."""

    centre: Array  # [N, K, 3]
    half: Array  # [N, K, 3]
    colour: Array  # [N, K, 3] linear RGB
    glow: Array  # [N, K] light given off, as a share of the colour
    kind: NDArray[np.int64]  # [N, K] what it is part of: an index into CLASSES
    num: NDArray[np.int64]  # [N] how many boxes a room has
    shadows: Array  # [N, S, 5]: x, z, half size in x, half size in z, strength (0 where there is none)


def furnish(factors: Factors) -> Boxes:
    """Returns the boxes and shadows of N rooms."""
    slots = _Slots(len(factors))
    wood = _mix((0.30, 0.19, 0.12), (0.60, 0.42, 0.26), factors.furniture_tone)  # [N, 3]
    cloth = hsv(factors.furniture_hue, 0.55, 0.50 + 0.20 * factors.furniture_tone)  # [N, 3]
    accent = hsv(factors.furniture_hue + 0.45, 0.45, 0.75)  # [N, 3]
    size = factors.furniture_size - 0.5  # [N] in [-0.5, 0.5)
    x = 0.3 * (factors.furniture_x - 0.5)  # [N]
    wall = factors.depth  # [N]
    _bed(slots, factors.furniture == FURNITURE.index("bed"), x, wall, size, wood, cloth, accent)
    back = wall - 0.10 - 0.25 * factors.furniture_z  # [N]
    _sofa(slots, factors.furniture == FURNITURE.index("sofa"), x, back, size, cloth, accent)
    middle = wall - 1.10 - 0.25 * factors.furniture_z  # [N]
    _table(slots, factors.furniture == FURNITURE.index("table"), x, middle, size, wood, cloth)
    _lamp(slots, factors.lamp == 1, *lamp_position(factors)[:2])
    _clutter(slots, factors, x)
    _ceiling_light(slots, wall)
    return slots.boxes()


def lamp_position(factors: Factors) -> tuple[Array, Array, Array]:
    """Returns the lamp's place and the height of its bulb: x, z, y, each ``[N]``."""
    return 1.58 + 0.10 * factors.lamp_x, factors.depth - 0.45, np.full(len(factors), 1.50)


def hsv(hue: Array | float, saturation: Array | float, value: Array | float) -> Array:
    """Hue (turns), saturation and value in [0, 1] → linear RGB ``[N, 3]``, at gamma 2."""
    hue, saturation, value = np.broadcast_arrays(np.atleast_1d(hue), saturation, value)
    channel = (hue[:, None] * 6 + np.array([0.0, 4.0, 2.0])) % 6  # [N, 3]
    pure = np.clip(np.abs(channel - 3) - 1, 0, 1)  # [N, 3]
    return (value[:, None] * (1 - saturation[:, None] * (1 - pure))) ** 2


def _mix(dark: tuple[float, ...], light: tuple[float, ...], share: Array) -> Array:
    """Mixes two display colours → linear RGB ``[N, 3]``."""
    return (np.array(dark) + (np.array(light) - np.array(dark)) * share[:, None]) ** 2


class _Slots:
    """Collects boxes, one slot for all N rooms at a time."""

    def __init__(self, num: int) -> None:
        self.num = num
        self.rows: list[tuple[Array, Array, Array, Array]] = []
        self.kinds: list[int] = []
        self.present: list[NDArray[np.bool_]] = []
        self.shadow_rows: list[Array] = []

    def add(
        self,
        kind: str,
        present: NDArray[np.bool_],
        centre: tuple[Array | float, Array | float, Array | float],
        half: tuple[Array | float, Array | float, Array | float],
        colour: Array | tuple[float, float, float],
        glow: float = 0.0,
    ) -> None:
        """Adds a box of a class to the rooms where ``present`` ``[N]``; numbers are scalars or ``[N]``."""
        rgb = np.broadcast_to(np.asarray(colour), (self.num, 3))
        self.rows.append((self._stack(centre), self._stack(half), rgb, np.full(self.num, glow)))
        self.kinds.append(CLASSES.index(kind))
        self.present.append(present)

    def shadow(
        self,
        present: NDArray[np.bool_],
        x: Array | float,
        z: Array | float,
        half_x: Array | float,
        half_z: Array | float,
        strength: float,
    ) -> None:
        """Adds the shadow of one footprint per room."""
        row = self._stack((x, z, half_x, half_z, strength))
        row[:, 4] *= present
        self.shadow_rows.append(row)

    def boxes(self) -> Boxes:
        centre, half, colour, glow = (np.stack([row[i] for row in self.rows], axis=1) for i in range(4))
        present = np.stack(self.present, axis=1)  # [N, K]
        half = np.where(present[..., None], half, -1.0)
        order = np.argsort(~present, axis=1, kind="stable")  # [N, K] a room's own boxes first
        pick = order[..., None]
        return Boxes(
            centre=np.take_along_axis(centre, pick, 1),
            half=np.take_along_axis(half, pick, 1),
            colour=np.take_along_axis(colour, pick, 1),
            glow=np.take_along_axis(glow, order, 1),
            kind=np.array(self.kinds)[order],
            num=present.sum(axis=1),
            shadows=np.stack(self.shadow_rows, axis=1),
        )

    def _stack(self, values: tuple[Array | float, ...]) -> Array:
        return np.stack([np.broadcast_to(np.asarray(v, dtype=np.float64), self.num) for v in values], 1)


def _bed(
    slots: _Slots,
    here: NDArray[np.bool_],
    x: Array,
    wall: Array,
    size: Array,
    wood: Array,
    cloth: Array,
    accent: Array,
) -> None:
    half = 0.80 + 0.16 * size  # [N] half the width
    linen = (0.80, 0.78, 0.74)
    slots.add("bed", here, (x, 0.53, wall - 0.06), (half + 0.06, 0.53, 0.06), wood)  # headboard
    slots.add("bed", here, (x, 0.14, wall - 1.00), (half, 0.14, 0.92), wood)  # frame
    slots.add("bed", here, (x, 0.40, wall - 1.00), (half - 0.02, 0.13, 0.90), linen)  # mattress
    slots.add("bed", here, (x, 0.38, wall - 1.28), (half + 0.02, 0.20, 0.64), cloth)  # blanket
    slots.add("bed", here, (x, 0.595, wall - 0.74), (half + 0.02, 0.02, 0.12), accent)  # its turned-down edge
    for side in (-1, 1):
        slots.add(
            "bed",
            here,
            (x + side * 0.48 * half, 0.61, wall - 0.36),
            (0.36 * half, 0.09, 0.19),
            (0.9, 0.89, 0.86),
        )
    slots.shadow(here, x, wall - 1.0, half, 0.92, 0.75)


def _sofa(
    slots: _Slots, here: NDArray[np.bool_], x: Array, back: Array, size: Array, cloth: Array, accent: Array
) -> None:
    half = 1.08 + 0.2 * size  # [N] half the width
    slots.add("sofa", here, (x, 0.21, back - 0.47), (half, 0.15, 0.45), 0.75 * cloth)  # base
    slots.add("sofa", here, (x, 0.46, back - 0.12), (half, 0.42, 0.12), cloth)  # back
    for side in (-1, 1):
        slots.add(
            "sofa", here, (x + side * (half - 0.1), 0.36, back - 0.48), (0.11, 0.28, 0.48), cloth
        )  # arm
        slots.add(
            "sofa",
            here,
            (x + side * 0.5 * (half - 0.2), 0.42, back - 0.56),
            (0.485 * (half - 0.2), 0.08, 0.38),
            1.2 * cloth,
        )  # seat
        slots.add(
            "sofa", here, (x + side * (half - 0.42), 0.67, back - 0.32), (0.2, 0.18, 0.07), accent
        )  # cushion
    slots.shadow(here, x, back - 0.47, half, 0.45, 0.75)


def _table(
    slots: _Slots, here: NDArray[np.bool_], x: Array, middle: Array, size: Array, wood: Array, cloth: Array
) -> None:
    half = 0.76 + 0.12 * size  # [N] half the length
    slots.add("table", here, (x, 0.75, middle), (half, 0.035, 0.46), 1.25 * wood)  # top
    for side in (-1, 1):
        for end in (-1, 1):
            slots.add(
                "table",
                here,
                (x + side * (half - 0.07), 0.36, middle + end * 0.38),
                (0.045, 0.36, 0.045),
                wood,
            )
        chair = x + side * (half + 0.14)  # [N]
        slots.add("table", here, (chair, 0.45, middle), (0.22, 0.035, 0.22), cloth)  # seat
        slots.add("table", here, (chair + side * 0.2, 0.72, middle), (0.03, 0.27, 0.22), cloth)  # its back
        for leg in (-0.18, 0.18):
            slots.add("table", here, (chair + leg, 0.21, middle), (0.03, 0.21, 0.20), 0.5 * cloth)
    slots.shadow(here, x, middle, half + 0.2, 0.3, 0.5)


def _lamp(slots: _Slots, here: NDArray[np.bool_], x: Array, z: Array) -> None:
    shade = (1.0, 0.72, 0.36)
    slots.add("lamp", here, (x, 0.03, z), (0.17, 0.03, 0.17), (0.05, 0.05, 0.05))  # foot
    slots.add("lamp", here, (x, 0.70, z), (0.03, 0.70, 0.03), (0.05, 0.05, 0.05))  # pole
    slots.add("lamp", here, (x, 1.44, z), (0.29, 0.14, 0.29), shade, 2.2)
    slots.add("lamp", here, (x, 1.67, z), (0.21, 0.11, 0.21), shade, 1.7)
    slots.shadow(here, x, z, 0.12, 0.12, 0.4)


def _clutter(slots: _Slots, factors: Factors, x: Array) -> None:
    """Adds toys and books two to three metres away, in front of the furniture or next to the (long) bed."""
    num = MIN_CLUTTER + np.floor(factors.clutter_num * (MAX_CLUTTER - MIN_CLUTTER + 1))  # [N]
    bed = factors.furniture == FURNITURE.index("bed")
    clear = np.select([bed, factors.furniture == FURNITURE.index("sofa")], [1.3, 1.55], 1.85)  # [N]
    furthest = np.clip(factors.depth - clear, 1.95, 3.1)  # [N]
    for item in range(MAX_CLUTTER):
        here = (factors.clutter == 1) & (item < num)
        side = 1 if item % 2 else -1
        spread = factors.clutter_x[:, item]
        across = np.where(bed, x + side * (1.10 + 0.45 * spread), -1.2 + 0.55 * item + 0.4 * (spread - 0.5))
        away = 1.9 + (furthest - 1.9) * factors.clutter_z[:, item]
        half = 0.10 + 0.06 * factors.clutter_size[:, item]
        tall = half * (0.45 if item % 3 == 1 else 1.0)
        colour = hsv(factors.clutter_hue[:, item], 0.85, 0.95)
        slots.add("clutter", here, (across, tall, away), (half, tall, 0.85 * half), colour)
        slots.shadow(here, across, away, half, 0.85 * half, 0.5)


def _ceiling_light(slots: _Slots, wall: Array) -> None:
    everywhere = np.ones(slots.num, dtype=bool)
    slots.add(
        "ceiling", everywhere, (0.0, HEIGHT - 0.04, 0.6 * wall), (0.26, 0.04, 0.26), (1.0, 1.0, 0.96), 1.6
    )
