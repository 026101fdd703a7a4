"""``color``: brightness, contrast, saturation, colorfulness, warmth and hue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from higan_fast.predictors.color import ColorPredictor
from higan_fast.predictors.kind import Kind, no_files, unmoved


def read(argument: str, options: Mapping[str, Any]) -> ColorPredictor:
    """The predictor; raises ValueError where there is an argument."""
    if argument:
        raise ValueError(f"predictor (--predictor): got 'color:{argument}', expected 'color' alone")
    return ColorPredictor()


KIND = Kind(
    name="color",
    example="color",
    help="brightness, contrast, saturation, colorfulness, warmth and hue, by formulas of CIELAB",
    read=read,
    files=no_files,
    moved=unmoved,
)
