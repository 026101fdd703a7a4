"""Paired effects of the demo's boundaries, measured once and kept: what the runs are resampled from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import higan_fast as hf
from higan_fast.boundaries.displacement import displacements
from higan_fast.engine.engine import Engine
from higan_fast.engine.plan import Plan, all_and_each
from higan_fast.files import read_arrays, write_arrays
from higan_fast.predictors.base import Predictor
from higan_fast.predictors.scenes import ScenePredictor
from higan_fast.probing.null import null_directions
from higan_fast.progress import progress
from higan_fast.sampling.latents import BLOCK, VERIFICATION, make_codes

SAMPLES, CHOSEN, NUM_NULL, STEP = 6_000, 1_000, 32, 2.0  # as in the demo
SEED = 2_000  # of the base samples; no seed of another benchmark
AT_ONCE = 32  # base samples in a part, which is kept when it is done


Array = NDArray[np.float64]


class Scores(NamedTuple):
    """Logits of N base samples, as they are and moved: what ``ScenePredictor.logits`` gives, in float32.

    Attributes:
        names: of the S semantics; boundary b is that of semantic b.
        is_binary: whose score is the sigmoid of the logit, ``[S]``.
        base: ``[N, S]``.
        moved: a step forth and a step back along each boundary, ``[N, S, 1 + L, 2, S]``.
        null: the same along random directions, on all layers together, ``[N, R, 2, S]``.
    """

    names: NDArray[np.str_]
    is_binary: NDArray[np.bool_]
    base: NDArray[np.float32]
    moved: NDArray[np.float32]
    null: NDArray[np.float32]


class _Logits(Predictor):
    """Scores in log-odds, where the embedded predictor has them."""

    def __init__(self, predictor: ScenePredictor) -> None:
        super().__init__()
        self.predictor, self.semantics = predictor, predictor.semantics

    def forward(self, images: Tensor) -> Tensor:
        return self.predictor.logits(images)


class Effects(NamedTuple):
    """Paired effects of N samples, of B boundaries on S semantics; boundary b is that of semantic b.

    Attributes:
        own: of each boundary on its own semantic, ``[N, B, 1 + L]``.
        null: of random directions on the boundaries' semantics, ``[N, R, B]``.
        reach: the largest size that an effect can have, ``[B]``; inf: not known.
        odd: of each boundary on every semantic, ``[N, B, 1 + L, S]``.
        even: the even parts, ``[N, B, 1 + L, S]``.
        names: of the boundaries.
    """

    own: Array
    null: Array
    reach: Array
    odd: Array
    even: Array
    names: tuple[str, ...]


def effects_of(scores: Scores) -> Effects:
    """What ``verify`` makes of the scores."""

    def as_scores(logits: NDArray[np.float32]) -> Array:
        with np.errstate(over="ignore"):
            return np.where(scores.is_binary, 1 / (1 + np.exp(-logits)), logits).astype(np.float64)

    moved, base, null = (as_scores(part) for part in (scores.moved, scores.base, scores.null))
    plus, minus = moved[:, :, :, 0], moved[:, :, :, 1]
    odd = (plus - minus) / 2
    each = np.arange(len(scores.names))
    return Effects(
        own=np.moveaxis(odd[:, each, :, each], 0, 1),  # NumPy puts the boundaries first
        null=(null[:, :, 0] - null[:, :, 1]) / 2,
        reach=np.where(scores.is_binary, 0.5, np.inf),
        odd=odd,
        even=(plus + minus) / 2 - base[:, None, None],
        names=tuple(str(name) for name in scores.names),
    )


def flips(num: int = 20_000) -> Effects:
    """One boundary with two layers: one flips 6 % of the samples by 0.5, the other moves all by 0.02.

    So the first has the larger effect, 0.03, and shows none at all in 14 % of first rounds.
    """
    random = np.random.default_rng(0)
    layers = np.stack([0.5 * (random.random(num) < 0.06), 0.02 + 0.002 * random.normal(size=num)], axis=1)
    own = np.concatenate([layers.sum(axis=1, keepdims=True) / 2, layers], axis=1)[:, None]
    null = 1e-3 * random.normal(size=(1, 32, 1)) + 1e-3 * random.normal(size=(num, 32, 1))
    none = np.zeros((num, 1, 3, 0))
    return Effects(own, null, np.array([0.5]), none, none, ("flips",))


def measured(num: int, folder: Path) -> Scores:
    """Returns the scores of ``num`` samples; measures those that are not in the folder yet."""
    parts = [folder / f"scores-{start:05}.npz" for start in range(0, num, AT_ONCE)]
    missing = [part for part in parts if not part.exists()]
    if missing:
        _measure(parts, folder)
    arrays = [read_arrays(part) for part in parts]
    first = arrays[0]
    joined = (np.concatenate([part[name] for part in arrays])[:num] for name in ("base", "moved", "null"))
    return Scores(first["names"], first["is_binary"], *joined)


@torch.inference_mode()
def _measure(parts: list[Path], folder: Path) -> None:
    """Measures the parts that are missing."""
    generator, predictor = hf.load_generator("scenes"), hf.load_predictor("scenes")
    assert isinstance(predictor, ScenePredictor)
    samples = hf.sample(generator, predictor, SAMPLES, out=folder / "samples")
    boundaries = hf.fit_boundaries(samples, method="svm", chosen_num=CHOSEN)
    chosen = [boundaries[name] for name in predictor.names]
    normals = [boundary.normal for boundary in chosen]
    normals += list(
        null_directions(chosen, "isotropic", NUM_NULL, SEED, make_codes(generator, SEED, 0, BLOCK))
    )
    plan_of = np.zeros((len(normals), 1 + generator.num_layers), np.bool_)
    plan_of[:, 0] = plan_of[: len(chosen)] = True
    moves = displacements(generator, chosen[0].space, normals)
    steps = torch.tensor([STEP, -STEP], dtype=torch.float64)
    plan = Plan(moves, all_and_each(generator.num_layers), steps, plan_of)
    engine, images = Engine(generator, _Logits(predictor)), AT_ONCE * 2 * int(plan_of.sum())
    done = sum(part.exists() for part in parts)
    with progress("measuring", len(parts) * images, done=done * images) as advance:
        for index, part in enumerate(parts):
            if part.exists():
                continue
            start = index * AT_ONCE
            codes = make_codes(generator, SEED, start, start + AT_ONCE, stream=VERIFICATION).codes
            scores = torch.full((AT_ONCE, *plan_of.shape, 2, predictor.num_semantics), torch.nan)
            for found in engine.perturbed_scores(codes, plan):
                scores[found.samples, found.directions, found.layer_set] = found.values
                advance(found.values[..., 0].numel())
            arrays = {
                "names": np.array(predictor.names),
                "is_binary": predictor.is_binary.numpy(),
                "base": engine.scores(codes).numpy(),
                "moved": scores[:, : len(chosen)].numpy(),
                "null": scores[:, len(chosen) :, 0].numpy(),
            }
            write_arrays(part, arrays)
