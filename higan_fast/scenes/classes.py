"""What a pixel of a room can show: the classes of the renderer's masks."""

from __future__ import annotations

# From the back to the front: where two share a pixel equally, it shows the one that comes later.
CLASSES: tuple[str, ...] = (
    "wall",  # with its skirting
    "floor",
    "ceiling",  # with its light
    "curtain",
    "window",  # its frame, and what is seen through it
    "picture",  # with its frame
    "bed",
    "sofa",
    "table",  # with its chairs
    "lamp",  # the one that stands on the floor
    "clutter",
)

# What each material of the room's own surfaces is part of, in the order of ``materials``: wall, skirting,
# ceiling, floor, frame, sky, trees, curtain, picture frame, upper and lower part of the picture.
OF_MATERIAL: tuple[int, ...] = tuple(
    CLASSES.index(name)
    for name in (
        *("wall", "wall", "ceiling", "floor", "window", "window", "window", "curtain"),
        *("picture", "picture", "picture"),
    )
)
