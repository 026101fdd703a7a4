"""How often boundaries of shuffled scores would be claimed, against two kinds of random directions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import higan_fast as hf
from benchmarks.boundaries.effects import Effects
from higan_fast.boundaries.choice import STRENGTHS, best
from higan_fast.boundaries.linear import covariance
from higan_fast.probing import Samples
from higan_fast.sampling.store import Held
from higan_fast.statistics.corrections import holm
from higan_fast.statistics.effects import student_interval
from higan_fast.statistics.nulls import null_p_values, null_scale

Array = NDArray[np.float64]

RUNS, TESTS, NULL, CONFIDENCE = 2_000, 14, 32, 0.99  # 14 tests of the demo, with its 32 random directions
CHOSEN = 1_000


def claims_of_shuffled(
    effects: Effects, samples: Samples, method: Any, weight: Any, num: int, step: float
) -> str:
    """How many of 2,000 resampled runs would claim at least one boundary, in words.

    A boundary of shuffled scores has nothing to do with any semantic, so each counts as one of every
    semantic. A run draws 14 of these pairs and 32 random directions; all effects are those on the same codes.
    """
    random = np.random.default_rng(0)
    column = samples.scores[:, :1]
    shuffled = np.concatenate([random.permutation(column) for _ in range(num)], axis=1)
    settings = samples.settings | {"semantics": [[f"shuffled {row}", "attribute"] for row in range(num)]}
    arrays = {name: getattr(samples, name) for name in ("z", "w", "codes")} | {"scores": shuffled}
    of_nothing = Samples(Held(settings, arrays), len(samples))
    of_each = []
    for strength in STRENGTHS if weight == "auto" else (weight,):
        fitted = hf.fit_boundaries(of_nothing, method=method, C=strength, chosen_num=CHOSEN, progress=False)
        moves = np.stack([step * each.normal for each in fitted.values()])
        of_each.append(effects.of(f"shuffled {method}", moves))  # [N, M, S]
    found = np.stack(of_each)  # [C, N, M, S]
    noise = random.normal(size=(2 * NULL, samples.w.shape[1]))
    unit = np.where(samples.deviation > 0, samples.deviation, 1.0)
    words = []
    for name, root in (("isotropic", np.eye(len(noise.T))), ("covariance", _root(covariance(samples.w)))):
        directions = noise @ root
        directions *= step / np.linalg.norm(directions, axis=1, keepdims=True)
        null = effects.of(f"random, {name}", directions).mean(axis=0)  # [R, S]
        words.append(f"{100 * _claimed(found, null, unit, random):.2f} % against {name} random directions")
    return f"claims in {', '.join(words)}"


def _root(matrix: Array) -> Array:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(np.sqrt(values.clip(min=0))[:, None] * vectors.T)


def _claimed(found: Array, null: Array, unit: Array, random: np.random.Generator) -> float:
    """The share of runs that claim something.

    Args:
        found: effects ``[C, N, M, S]``; of several strengths a run takes the one that is best on half of the
            codes, and tests it on the others.
        null: effects of random directions, ``[R, S]``.
        unit: standard deviation of each score, ``[S]``.
    """
    several, num_codes, num, columns = found.shape
    half = num_codes // 2 if several > 1 else 0
    mean = found[:, half:].mean(axis=1)  # [C, M, S]
    error = found[:, half:].std(axis=1, ddof=1) / np.sqrt(num_codes - half)
    low, _ = student_interval(mean, error, num_codes - half, CONFIDENCE)
    claims = 0
    for _ in range(RUNS):
        pairs = random.integers(num, size=TESTS), random.integers(columns, size=TESTS)
        taken = 0
        if several > 1:
            chosen_on = found[:, :half, pairs[0], pairs[1]] / unit[pairs[1]]  # [C, n, 14]
            taken = best(chosen_on.swapaxes(1, 2))
        scale = null_scale(null[random.choice(len(null), NULL, replace=False)])[pairs[1]]
        p_values = holm(null_p_values(mean[taken][pairs], scale, NULL))
        claims += bool(((p_values <= 1 - CONFIDENCE) & (low[taken][pairs] > 0)).any())
    return claims / RUNS
