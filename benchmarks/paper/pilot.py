"""What the study will take, from a few batches of every stage: at most 30 seconds of them at full scale."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import higan_fast as hf
from benchmarks.boundaries import random_boundaries
from benchmarks.paper.study import HELD_OUT, SHARD, Study
from higan_fast.boundaries.sides import choose_sides
from higan_fast.boundaries.svm import fit_linear_svms
from higan_fast.engine.precision import Wish
from higan_fast.generators.stylegan2 import StyleGAN2
from higan_fast.predictors.base import Predictor
from higan_fast.probing.freed import FREED_SAMPLES, MOST_PAIRS
from higan_fast.probing.outlook import GIVEN_UP_AFTER, LAYER_NULL_SAMPLES
from higan_fast.sampling.latents import make_codes
from higan_fast.statistics.decisions import FIRST_ROUND

SECONDS = 30.0  # of a pilot at full scale; a part of that at a part of the scale, but a batch of every stage
MACHINES = {"cpu": 2, "cuda": 18}  # as many as the solver takes at once
STAGES = ("sample", "fit", "verify")


class Guess(NamedTuple):
    """What a stage will take, and from what that follows."""

    seconds: float
    basis: str


def pilot(
    study: Study, generator: StyleGAN2, scorer: Predictor, device: str, precision: Wish
) -> dict[str, Guess]:
    """Times a few batches of each stage, and returns what each will take in all.

    It writes to a folder of its own, which is removed.
    """
    limit = SECONDS * study.scale / len(STAGES)
    sampling, reading = _sampling(study, generator, scorer, precision, limit)
    return {
        "sample": sampling,
        "fit": _fitting(study, generator, device, reading),
        "verify": _verifying(study, generator, scorer, precision, limit),
    }


def _sampling(
    study: Study, generator: StyleGAN2, scorer: Predictor, precision: Wish, limit: float
) -> tuple[Guess, float]:
    """Times shards after the first one, which prepares weights and records graphs, and their reading.

    Returns:
        A guess, and the seconds in which the codes and scores of one sample are read.
    """
    shard = max(64, min(SHARD, study.samples // 16 // 64 * 64))
    with tempfile.TemporaryDirectory() as folder:

        def sample(num: int) -> None:
            hf.sample(
                generator, scorer, num, Path(folder), shard_size=shard, precision=precision, progress=False
            )

        _seconds(lambda: sample(shard))
        seconds, num, goal = 0.0, shard, 2 * shard
        while num == shard or (seconds < limit / 2 and goal <= study.samples):
            seconds += _seconds(lambda: sample(goal))  # noqa: B023 (called at once)
            num, goal = goal, 2 * goal
        reading = _seconds(lambda: hf.Samples.open(folder).w) / num
    rate = (num - shard) / seconds
    basis = f"{num - shard:,} samples at {rate:,.1f}/s, written to the disk"
    return Guess(study.samples / rate, basis), reading


def _fitting(study: Study, generator: StyleGAN2, device: str, reading: float) -> Guess:
    """Times machines on as many codes as the study's have, with labels by a noisy direction.

    Args:
        reading: the seconds that it takes to read a sample.
    """
    num = study.learnt_from
    machines = min(MACHINES["cpu" if device == "cpu" else "cuda"], study.attributes)
    with torch.inference_mode():
        codes = make_codes(generator, 2, 0, num).w.double().cpu().numpy()
    random = np.random.default_rng(0)
    scores = codes @ random.normal(size=(codes.shape[1], machines))
    scores = scores / scores.std(axis=0) + random.normal(size=scores.shape)
    labels = np.where(scores > np.median(scores, axis=0), 1, -1).astype(np.int8).T.copy()
    given = (codes, labels) if device == "cpu" else (_on(device, codes), _on(device, labels))
    seconds = _seconds(lambda: fit_linear_svms(*given))
    of_all = random.normal(size=study.samples).astype(np.float32)
    sorting = _seconds(lambda: choose_sides(of_all, study.per_side, HELD_OUT, 0, False))
    parts = reading * study.samples, sorting * study.attributes, seconds * study.attributes / machines
    return Guess(
        sum(parts),
        f"reading samples {parts[0]:.2f} s, sorting their scores {parts[1]:.2f} s, machines {parts[2]:.2f} s "
        f"as {machines} on {num:,} codes took {seconds:.2f} s",
    )


def _verifying(study: Study, generator: StyleGAN2, scorer: Predictor, precision: Wish, limit: float) -> Guess:
    """Times a fixed verification along random directions; the images of a sequential one are guessed."""
    boundaries = random_boundaries(generator, scorer.names[:2])

    def verify(num: int, seed: int) -> int:
        return hf.verify(
            generator, scorer, boundaries, num=num, num_null=2, precision=precision, seed=seed, progress=False
        ).images

    verify(2, 3)
    seconds, images, num = 0.0, 0, 2
    while not images or (seconds < limit / 2 and num < 64):
        begin = time.perf_counter()
        images += verify(num, num + 4)
        seconds += time.perf_counter() - begin
        num *= 2
    rate = images / seconds
    likely = _likely_images(study)
    return Guess(
        likely / rate,
        f"{images:,} images at {rate:,.1f}/s, and {likely:,} images: all directions on "
        f"{min(GIVEN_UP_AFTER, study.most_samples)} samples, layers on the first rounds",
    )


def _likely_images(study: Study) -> int:
    """As ``higan-fast verify`` foretells them, and the boundaries that are freed of others."""
    layers = study.num_layers
    together = study.directions * min(GIVEN_UP_AFTER, study.most_samples)
    each = layers * (study.attributes * FIRST_ROUND + 2 * study.null * LAYER_NULL_SAMPLES)
    pairs = min(MOST_PAIRS, study.attributes * (study.attributes - 1))
    return 2 * (together + each + pairs * FREED_SAMPLES)


def _seconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def _on(device: str, array: np.ndarray) -> torch.Tensor:  # type: ignore[type-arg]
    return torch.from_numpy(array).to(device)
