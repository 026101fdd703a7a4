"""Mean gradients of scores: the direction in which scores rise, to first order, over fresh samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.boundaries.boundary import Space
from higan_fast.engine.gradients import score_gradients
from higan_fast.engine.inputs import prepare
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

TINY = np.finfo(np.float64).tiny

SAMPLES_AT_ONCE = 8  # whose activations are all kept
ROUND = 64  # samples, after which each semantic is asked whether its direction is known
LONG = 0.9  # of the first round's gradients, this share is as long as any gradient may count
AGREE = 0.9  # cosine between the mean gradients of both halves of the samples, where a direction is known


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

    The probability of an object is 0 or 1 on nearly all images, and its gradient is large on the few between:
    of 1,000 a handful would decide the mean. So a gradient that is longer than 90 % of the first round's is
    shortened to that length. (A plain mean of heavy-tailed vectors is far from its expectation more often
    than one of clipped vectors: Catoni and Giulini 2017, arXiv 1712.02747.) What comes out is the direction
    that most samples agree on, and not exactly that of steepest ascent of the mean score.

    Scores that jump have gradients that differ much from sample to sample, and others need few. So samples
    come in rounds of 64, and a score is done when the mean gradients of both halves have a cosine of 0.9
    after two rounds in turn. That of all together then has a squared cosine of about 2 · 0.9 / 1.9 = 0.95
    with the mean over all samples there could be (Spearman and Brown's formula for twice as long a test).

    The samples are drawn as those with ``settings`` were, from a stream of their own: neither those that the
    accuracies are measured on nor those of the verification. Both networks are put into evaluation mode.

    Args:
        settings: of samples that these networks made.
        space: with respect to what.
        columns: which S of the scores.
        num: how many samples at most.
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
    shape = (len(columns), *inputs.shape[1:])
    halves, counts = np.zeros((2, *shape)), np.zeros(len(columns))
    going, agreed = np.arange(len(columns)), np.zeros(len(columns), np.bool_)
    longest: Array | None = None  # [S]
    with show_progress("differentiating", num * len(columns), unit="gradients", enabled=progress) as advance:
        for start in range(0, num, ROUND):
            found = []
            for batch in inputs[start : start + ROUND].split(SAMPLES_AT_ONCE):
                asked = [columns[row] for row in going.tolist()]
                found.append(score_gradients(generator, predictor, batch, asked, to_codes))  # [G, n, ...]
                counts[going] += len(batch)
                advance(len(batch) * len(going))
            if longest is None:
                longest = length_of_long(np.concatenate([lengths_of(part) for part in found], axis=1))
            for half, part in enumerate(found):
                shrink = np.minimum(1, longest[going, None] / lengths_of(part).clip(min=TINY))  # [G, n]
                weights = torch.from_numpy(shrink).to(part.device)
                summed = torch.einsum("gn...,gn->g...", part.double(), weights)
                halves[half % 2, going] += summed.cpu().numpy()
            agreed[going], before = agree(*halves[:, going]), agreed[going]
            done = agreed[going] & before
            advance(int(done.sum()) * max(num - start - ROUND, 0))
            if not len(going := going[~done]):
                break
    mean = halves.sum(axis=0) / counts.reshape(-1, *(1 for _ in shape[1:]))
    return mean[:, : generator.latent_dim] if space == "z" else mean


def lengths_of(gradients: Tensor) -> Array:
    """Of gradients ``[S, n, ...]``: ``[S, n]``."""
    return gradients.flatten(2).double().norm(dim=2).cpu().numpy()


def length_of_long(lengths: Array) -> Array:
    """What 90 % of the lengths ``[S, n]`` that are not 0 do not exceed, ``[S]``; infinity where all are 0."""
    return np.array([np.quantile(row[row > 0], LONG) if row.any() else np.inf for row in lengths])


def agree(one: Array, other: Array) -> NDArray[np.bool_]:
    """Whether two sums of gradients ``[S, ...]`` point about the same way, ``[S]``."""
    one, other = (half.reshape(len(half), -1) for half in (one, other))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) >= AGREE * np.where(lengths > 0, lengths, np.inf))


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
