"""The weights that come with the package; MODEL_CARD.md beside them says how they were made."""

from __future__ import annotations

from pathlib import Path


def embedded(name: str) -> Path:
    """The file of ``"generator"``, ``"predictor"`` or ``"segmenter"`` of the embedded world."""
    return Path(__file__).parent / f"{name}.safetensors"
