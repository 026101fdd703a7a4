"""How often directions that name nothing would be claimed, against random directions of two kinds."""

from __future__ import annotations

from typing import Any, NamedTuple

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
from higan_fast.statistics.nulls import NullGeometry

Array = NDArray[np.float64]

RUNS, TESTS, NULL, CONFIDENCE = 2_000, 14, 32, 0.99  # 14 tests of the demo, with its 32 random directions
CHOSEN = 1_000
NULLS = {"isotropic": ("isotropic",), "covariance": ("covariance",), "both": ("isotropic", "covariance")}


class Moved(NamedTuple):
    """Directions and what they do on the same codes.

    Attributes:
        moves: ``[M, D]``.
        effects: ``[N, M, S]``.
    """

    moves: Array
    effects: Array


def claims_of_shuffled(
    effects: Effects, samples: Samples, method: Any, weight: Any, num: int, step: float
) -> str:
    """How many of 2,000 resampled runs would claim at least one boundary of shuffled scores, in words.

    A boundary of shuffled scores has nothing to do with any semantic, so each counts as one of every
    semantic. A run draws 14 of these pairs and random directions; all effects are those on the same codes.
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
        of_each.append(Moved(moves, effects.of(f"shuffled {method}", moves)))
    return _in_words(of_each, random_directions(effects, samples, 2 * NULL, step), samples, random)


def claims_of_random(effects: Effects, samples: Samples, kind: str, num: int, step: float) -> str:
    """The same of random directions, which are what boundaries are compared with."""
    drawn = random_directions(effects, samples, 2 * NULL + num, step)
    others = {name: Moved(found.moves[num:], found.effects[:, num:]) for name, found in drawn.items()}
    candidates = Moved(drawn[kind].moves[:num], drawn[kind].effects[:, :num])
    return _in_words([candidates], others, samples, np.random.default_rng(1))


def random_directions(effects: Effects, samples: Samples, num: int, step: float) -> dict[str, Moved]:
    """``num`` of each kind, and their effects."""
    noise = np.random.default_rng(2).normal(size=(num, samples.w.shape[1]))
    values, vectors = np.linalg.eigh(covariance(samples.w))
    found = {}
    for name, root in (
        ("isotropic", np.eye(len(values))),
        ("covariance", np.sqrt(values.clip(min=0))[:, None] * vectors.T),
    ):
        moves = noise @ root
        moves *= step / np.linalg.norm(moves, axis=1, keepdims=True)
        found[name] = Moved(moves, effects.of(f"random, {name}", moves))
    return found


def _in_words(
    candidates: list[Moved], drawn: dict[str, Moved], samples: Samples, random: np.random.Generator
) -> str:
    unit = np.where(samples.deviation > 0, samples.deviation, 1.0)
    words = []
    for null, kinds in NULLS.items():
        share = claimed(candidates, [drawn[kind] for kind in kinds], unit, random)
        words.append(f"{100 * share:.2f} % against {null}")
    return f"claims in {', '.join(words)}"


def claimed(candidates: list[Moved], drawn: list[Moved], unit: Array, random: np.random.Generator) -> float:
    """The share of runs that claim something.

    Args:
        candidates: of several strengths; a run takes the one that is best on half of the codes, and tests it
            on the others.
        drawn: the random directions, of each kind.
        unit: standard deviation of each score, ``[S]``.
    """
    found = np.stack([each.effects for each in candidates])  # [C, N, M, S]
    several, num_codes, num, columns = found.shape
    half = num_codes // 2 if several > 1 else 0
    mean = found[:, half:].mean(axis=1)  # [C, M, S]
    error = found[:, half:].std(axis=1, ddof=1) / np.sqrt(num_codes - half)
    low, _ = student_interval(mean, error, num_codes - half, CONFIDENCE)
    null = [each.effects[half:].mean(axis=0) for each in drawn]  # [R, S]
    claims = 0
    for _ in range(RUNS):
        rows, semantics = random.integers(num, size=TESTS), random.integers(columns, size=TESTS)
        taken = 0
        if several > 1:
            chosen_on = found[:, :half, rows, semantics] / unit[semantics]  # [C, n, 14]
            taken = best(chosen_on.swapaxes(1, 2))
        chosen = [random.choice(len(each), NULL, replace=False) for each in null]
        pairs = list(zip(drawn, null, chosen, strict=True))
        moves = np.concatenate([candidates[taken].moves[rows], *(each.moves[c] for each, _, c in pairs)])
        geometry = NullGeometry.of(moves, TESTS, len(drawn))
        random_effects = np.concatenate([effects[c] for _, effects, c in pairs])[:, semantics]
        p_values = geometry.p_values(mean[taken][rows, semantics], random_effects, one_sided=True)
        sure = low[taken][rows, semantics] > 0
        claims += bool(((holm(p_values) <= 1 - CONFIDENCE) & sure).any())
    return claims / RUNS
