"""``layout`` and ``layout:60``: view, horizon and corners of rooms, for a camera of that field of view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from higan_fast.predictors.kind import Kind, no_files, unmoved
from higan_fast.predictors.layout import LayoutPredictor
from higan_fast.wording import in_words


def read(argument: str, options: Mapping[str, Any]) -> LayoutPredictor:
    """The predictor; raises ValueError where the argument is no field of view."""
    if not argument:
        return LayoutPredictor()
    try:
        return LayoutPredictor(float(argument))
    except ValueError as error:
        raise ValueError(
            f"predictor (--predictor): got {in_words(f'layout:{argument}')}, expected 'layout', or the "
            "camera's field of view after a colon, in degrees between 20 and 140, as in 'layout:60'"
        ) from error


KIND = Kind(
    name="layout",
    example="layout:60",
    help="view, horizon and corners of rooms, from lines and vanishing points; field of view 75 unless given",
    read=read,
    files=no_files,
    moved=unmoved,
)
