"""``scenes``: the embedded predictor of rooms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from higan_fast.predictors.kind import Kind, no_files, unmoved
from higan_fast.predictors.scenes import ScenePredictor, load_scene_predictor
from higan_fast.weights import embedded


def read(argument: str, options: Mapping[str, Any]) -> ScenePredictor:
    """The predictor; raises ValueError where there is an argument."""
    if argument:
        raise ValueError(f"predictor (--predictor): got 'scenes:{argument}', expected 'scenes' alone")
    return load_scene_predictor(embedded("predictor"))


KIND = Kind(
    name="scenes",
    example="scenes",
    help="the embedded predictor of rooms: 14 semantics, on all four levels",
    read=read,
    files=no_files,
    moved=unmoved,
)
