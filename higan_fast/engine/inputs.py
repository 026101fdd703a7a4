"""What an engine is given: codes of any kind of array, and networks in evaluation mode."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from higan_fast.generators.base import Generator, check_generator
from higan_fast.predictors.base import Predictor, check_predictor
from higan_fast.wording import in_words


def as_codes(codes: Any, generator: Generator) -> Tensor:
    """Layer codes from torch, NumPy or CuPy → a tensor ``[N, L, D]`` as the generator wants it.

    Raises:
        TypeError: when they are no array.
        ValueError: when the shape is not the generator's or a code is not finite.
    """
    check_generator(generator)
    try:
        tensor = torch.as_tensor(codes)
    except (TypeError, ValueError, RuntimeError):
        shape = f"[N, {generator.num_layers}, {generator.code_dim}]"
        raise TypeError(
            f"codes: got {in_words(codes)}, expected an array {shape}; take samples.codes or generator.map(z)"
        ) from None
    tensor = tensor.to(next(generator.parameters()))
    if tensor.ndim != 3 or tensor.shape[1:] != (generator.num_layers, generator.code_dim):
        raise ValueError(
            f"codes: got shape {tuple(tensor.shape)}, expected [N, {generator.num_layers}, "
            f"{generator.code_dim}]; take samples.codes or generator.map(z)"
        )
    broken = (~tensor.isfinite()).flatten(1).any(dim=1).nonzero()
    if len(broken):
        raise ValueError(f"codes: sample {int(broken[0])} has a code that is not finite (NaN or infinite)")
    return tensor


def prepare(generator: Generator, predictor: Predictor | None = None) -> None:
    """Puts the networks into evaluation mode: batch statistics or dropout would make scores random.

    Raises:
        TypeError: if they are no generator and no predictor.
        ValueError: if the generator draws new noise for every image.
    """
    check_generator(generator)
    if getattr(generator, "noise_mode", None) == "random":
        raise ValueError(
            "generator: its noise_mode is 'random', so that codes do not decide an image; set "
            "generator.noise_mode = 'const' (the stored noise) or 'none'"
        )
    generator.eval()
    if predictor is not None:
        check_predictor(predictor)
        predictor.eval()
