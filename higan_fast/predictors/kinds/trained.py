"""``FILE.safetensors``: what ``higan_fast.scenes.train_predictor`` writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from higan_fast.predictors.kind import Kind
from higan_fast.predictors.scenes import ScenePredictor, load_scene_predictor


def read(argument: str, options: Mapping[str, Any]) -> ScenePredictor:
    """The predictor in a file; errors as of ``load_scene_predictor``."""
    return load_scene_predictor(Path(argument))


KIND = Kind(
    name="trained",
    example="predictor.safetensors",
    help="a predictor of rooms that python -m higan_fast.scenes.train_predictor wrote",
    read=read,
    suffixes=(".safetensors",),
)
