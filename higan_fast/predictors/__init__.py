"""What scores images: the embedded predictor, plain colour, or any network with named outputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from higan_fast.devices import usable_device
from higan_fast.predictors.base import ModulePredictor, Predictor, Semantic, described
from higan_fast.predictors.color import ColorPredictor
from higan_fast.predictors.scenes import load_scene_predictor
from higan_fast.weights import embedded

__all__ = ["ModulePredictor", "Predictor", "Semantic", "load_predictor"]


def load_predictor(
    predictor: str | Path | Callable[[torch.Tensor], Any],
    semantics: str | Semantic | Sequence[str | Semantic] | None = None,
    device: str | torch.device = "cpu",
    *,
    identity: str | None = None,
    score_range: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
) -> Predictor:
    """A predictor, ready to score: in evaluation mode, on ``device``.

    Args:
        predictor: ``"scenes"``, the embedded predictor of rooms; ``"color"``; a ``.safetensors`` of
            ``higan_fast.scenes.train_predictor``; or any ``nn.Module`` or function from images
            ``[N, 3, H, W]`` in [-1, 1] to scores ``[N, num_semantics]``: a tensor, a NumPy array, a dict with
            a key for each semantic, or an output with ``logits``.
        semantics: with a module or a function: a name for each column of its scores, or the keys of its dict.
        device: where it runs; "auto": on a CUDA device where there is one. A function takes care of
            its networks itself.
        identity: a name for the module's code and attributes, such as ``"beauty-2"``. Stored scores are
            reused while it and the weights stay the same. None: its code and attributes decide, as far as
            they can be seen. Give one where they cannot, as in a compiled runtime, or where they change
            without changing the scores.
        score_range: with a module or a function: between what its scores always lie, such as (0, 1), or such
            a pair for each of some names. Intervals of a verification then hold for every distribution.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when a module comes without names or cannot be called, a file holds no predictor, or there
            is no such device.
    """
    if score_range is not None and isinstance(predictor, Predictor | str | Path):
        what = described(predictor) if isinstance(predictor, Predictor) else repr(str(predictor))
        raise ValueError(f"score_range: {what} says itself between what its scores lie; leave it out")
    if isinstance(predictor, Predictor):
        loaded = predictor
        if semantics is not None:
            raise ValueError(
                f"semantics: {described(predictor)} has its own, {list(loaded.names)}; leave them out"
            )
    elif not isinstance(predictor, str | Path):
        loaded = ModulePredictor(predictor, semantics, score_range)
    elif str(predictor) == "color":
        loaded = ColorPredictor()
    else:
        path = embedded("predictor") if str(predictor) == "scenes" else Path(predictor)
        if not os.path.lexists(path):  # which is False, too, of what can be no path
            raise FileNotFoundError(
                f"predictor: got {str(predictor)!r}, expected 'scenes', 'color' or a .safetensors file"
            )
        loaded = load_scene_predictor(path)
    if identity is not None:
        loaded.identity = identity
    return loaded.eval().to(usable_device(device))
