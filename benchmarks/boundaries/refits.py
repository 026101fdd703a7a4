"""In how many refits a boundary has an effect, by the test of a verification at so many samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import higan_fast as hf
from benchmarks.boundaries.claims import CHOSEN, CONFIDENCE, NULL, NULLS, Moved, random_directions
from benchmarks.boundaries.effects import Effects
from higan_fast.statistics.corrections import holm
from higan_fast.statistics.effect_test import null_looks
from higan_fast.statistics.effects import student_interval
from higan_fast.statistics.nulls import NullGeometry

Array = NDArray[np.float64]


def shown_in_refits(
    effects: Effects, method: Any, weight: Any, num: int, samples: int, step: float, folder: Path
) -> str:
    """Fits to ``num`` sets of samples of other seeds; says of each semantic in how many its effect is shown.

    All are moved on the same codes, and compared with 32 random directions of each of both kinds, drawn anew
    for each refit from 64, at the level that a verification at 0.99 has for its look at so many samples.
    """
    engine, random = effects.engine, np.random.default_rng(0)
    networks: dict[str, Any] = {"generator": engine.generator, "predictor": engine.predictor}
    drawn: dict[str, Moved] = {}
    names: list[str] = []
    shown, found = [], []
    looks = null_looks(effects.num)
    level = (1 - CONFIDENCE) / 4 * looks[max(looks)]
    for seed in range(1, num + 1):
        part = hf.sample(**networks, num=samples, seed=seed, out=folder / f"refit{seed}")
        drawn = drawn or random_directions(effects, part, 2 * NULL, step)
        fitted = hf.fit_boundaries(part, method=method, C=weight, chosen_num=CHOSEN, **networks)
        moves = step * np.stack([boundary.normal for boundary in fitted.values()])
        own = np.diagonal(effects.of(f"refit {seed}", moves), axis1=1, axis2=2)  # [N, S]
        mean, error = own.mean(axis=0), own.std(axis=0, ddof=1) / np.sqrt(len(own))
        rows = random.choice(2 * NULL, NULL, replace=False)
        kinds = [drawn[kind] for kind in NULLS["both"]]
        geometry = NullGeometry.of(
            np.concatenate([moves, *(kind.moves[rows] for kind in kinds)]), len(moves), len(kinds)
        )
        null = np.concatenate([kind.effects[:, rows].mean(axis=0) for kind in kinds])
        p_values = holm(geometry.p_values(mean, null, one_sided=True))
        low, _ = student_interval(mean, error, len(own), CONFIDENCE)
        is_shown = (p_values <= level) & (low > 0)
        shown.append(is_shown)
        found.append(mean / part.deviation)
        names = list(fitted)
    spread = zip(names, np.sum(shown, axis=0), np.mean(found, axis=0), np.std(found, axis=0), strict=True)
    return ", ".join(f"{name} {count} ({effect:+.2f} ± {sd:.2f} SD)" for name, count, effect, sd in spread)
