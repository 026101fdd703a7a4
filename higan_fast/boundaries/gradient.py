"""Mean gradients of scores: the direction that raises a score the most, to first order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.boundaries.boundary import Space
from higan_fast.engine.engine import prepare
from higan_fast.engine.gradients import score_gradients
from higan_fast.fingerprint import fingerprint
from higan_fast.generators.base import Generator, check_generator
from higan_fast.predictors.base import Predictor, check_predictor
from higan_fast.progress import progress as show_progress
from higan_fast.sampling.latents import (
    GRADIENT,
    labelled_latents,
    make_codes,
    map_labelled_latents,
)

Array = NDArray[np.float64]

SAMPLES_AT_ONCE = 8  # whose activations are all kept


def mean_gradients(
    generator: Generator,
    predictor: Predictor,
    settings: Mapping[str, Any],
    space: Space,
    columns: Sequence[int],
    num: int,
    progress: bool,
) -> Array:
    """The mean over fresh samples of the gradient of each score, in ``w``, in ``z`` or in each layer code.

    The samples are drawn as those with ``settings`` were, from a stream of their own: neither those that the
    accuracies are measured on nor those of the verification. Both networks are put into evaluation mode.

    Args:
        settings: of samples that these networks made.
        space: with respect to what.
        columns: which S of the scores.
        num: how many samples.
        progress: whether to show it.

    Returns:
        ``[S, D]``, and ``[S, L, D]`` in "layers".

    Raises:
        ValueError: when the networks are not those of the samples, or a score has no finite gradient.
    """
    check_networks(generator, predictor, settings)
    prepare(generator, predictor)
    psi, truncated = settings["truncation_psi"], settings["truncation_layers"]
    with torch.no_grad():
        drawn = make_codes(
            generator, settings["seed"], 0, num, psi, truncated, GRADIENT, settings.get("label")
        )
    to_codes: Callable[[Tensor], Tensor]
    if space == "layers":
        inputs, to_codes = drawn.codes, lambda codes: codes
    elif space == "w":
        inputs, to_codes = drawn.w, lambda w: generator.layer_codes(w, psi, truncated)
    else:
        inputs = labelled_latents(generator, drawn)
        to_codes = lambda z: map_labelled_latents(generator, z, psi, truncated)  # noqa: E731
    total: Any = 0
    with show_progress("differentiating", num * len(columns), unit="gradients", enabled=progress) as advance:
        for batch in inputs.split(SAMPLES_AT_ONCE):
            found = score_gradients(generator, predictor, batch, columns, to_codes)  # [S, n, ...]
            total = total + found.double().sum(dim=1).cpu().numpy()
            advance(len(batch) * len(columns))
    mean = np.asarray(total / num)
    return mean[:, : generator.latent_dim] if space == "z" else mean


def check_networks(generator: Generator, predictor: Predictor, settings: Mapping[str, Any]) -> None:
    """Raises ValueError where a network is not the one that made samples with these settings."""
    check_generator(generator)
    check_predictor(predictor)
    for name, network in (("generator", generator), ("predictor", predictor)):
        if settings.get(name) != fingerprint(network):
            raise ValueError(
                f"{name}: is not the one that made these samples (in code, attributes, precision or "
                "weights); give that one, or sample again"
            )
