"""What scores images: the embedded predictor, plain colour, or any network with named outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from higan_fast.devices import usable_device
from higan_fast.predictors.base import ModulePredictor, Predictor, Semantic
from higan_fast.predictors.color import ColorPredictor
from higan_fast.predictors.scenes import load_scene_predictor
from higan_fast.weights import embedded

__all__ = ["ModulePredictor", "Predictor", "Semantic", "load_predictor"]


def load_predictor(
    predictor: str | Path | torch.nn.Module,
    semantics: Sequence[str | Semantic] | None = None,
    device: str | torch.device = "cpu",
) -> Predictor:
    """A predictor, ready to score: in evaluation mode, on ``device``.

    Args:
        predictor: ``"scenes"``, the embedded predictor of rooms; ``"color"``; a ``.safetensors`` of
            ``higan_fast.scenes.train_predictor``; or any ``nn.Module`` from images in [-1, 1] to
            ``[N, num_semantics]``.
        semantics: with a module: the names of its outputs.
        device: where it shall run.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when a module comes without names, a file holds no predictor, or there is no such device.
    """
    if isinstance(predictor, Predictor):
        loaded = predictor
    elif isinstance(predictor, torch.nn.Module):
        if semantics is None:
            raise ValueError("semantics: got None, expected a name for each output of the module")
        loaded = ModulePredictor(predictor, semantics)
    elif str(predictor) == "color":
        loaded = ColorPredictor()
    else:
        path = embedded("predictor") if str(predictor) == "scenes" else Path(predictor)
        if not path.is_file():
            raise FileNotFoundError(
                f"predictor: got {str(predictor)!r}, expected 'scenes', 'color' or a .safetensors file"
            )
        loaded = load_scene_predictor(path)
    return loaded.eval().to(usable_device(device))
