"""Sequential decisions on resampled effects, run by run: which intervals miss, what is decided wrongly.

Imports nothing but NumPy and ``higan_fast.statistics``, so that an older version of it can run the same::

    PYTHONPATH=CHECKOUT python benchmarks/coverage/runs.py EFFECTS.npz RUNS.npz NUM CONFIDENCE [--no-range]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.statistics.decisions import Decisions

MAX_SAMPLES = 1_000
MARGIN = 0.1
KEPT_AFTER = 20  # runs

Arrays = dict[str, NDArray[Any]]


def drawn(seed: int, num: int) -> NDArray[np.int64]:
    """Which of ``num`` samples a run sees, in their order."""
    return np.random.default_rng(seed).integers(num, size=MAX_SAMPLES)


def run(own: NDArray[Any], null: NDArray[Any], reach: Any, confidence: float, seed: int) -> Arrays:
    """One verification of samples drawn with replacement, so that the means over all are its truth.

    Args:
        own: paired effects of each boundary on its own semantic, ``[N, B, 1 + L]``.
        null: of random directions on the boundaries' semantics, ``[N, R, B]``.
        reach: as ``Decisions`` takes it.
    """
    chosen, begin = drawn(seed, len(own)), time.process_time()
    decisions = Decisions(
        "top-layer",
        own.shape[1],
        own.shape[2] - 1,
        null.shape[1],
        confidence=confidence,
        max_samples=MAX_SAMPLES,
        margin=MARGIN,
        reach=reach,
    )
    while samples := decisions.next_samples:
        rows = chosen[samples.start : samples.stop]
        decisions.update(own[rows], null[rows] if decisions.null_active else None)
    verdict, (low, high) = decisions.verdict(), decisions.effects.bounds((1 - confidence) / 2)
    return {
        "low": low.reshape(own.shape[1:]),
        "high": high.reshape(own.shape[1:]),
        "samples": verdict.samples,
        "has_effect": verdict.has_effect,
        "sign": verdict.sign,
        "top_layer": verdict.top_layer,
        "candidates": verdict.candidates,
        "images": np.array(verdict.images),
        "seconds": np.array(time.process_time() - begin),
    }


def runs(
    own: NDArray[Any],
    null: NDArray[Any],
    reach: Any,
    confidence: float,
    num: int,
    file: Path | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> Arrays:
    """``num`` runs, stacked; those that the file has are not run again."""
    found: list[Arrays] = []
    if file and file.exists():
        with np.load(file, allow_pickle=False) as kept:
            stacked = {name: kept[name] for name in kept.files}
        found = [{name: part[i] for name, part in stacked.items()} for i in range(len(stacked["images"]))]
    for seed in range(len(found), num):
        found.append(run(own, null, reach, confidence, seed))
        advance(1)
        if file and (len(found) % KEPT_AFTER == 0 or len(found) == num):
            _save(file, _stacked(found))
    return _stacked(found[:num])


def _stacked(found: list[Arrays]) -> Arrays:
    return {name: np.stack([each[name] for each in found]) for name in found[0]}


def _save(file: Path, arrays: Arrays) -> None:
    temporary = file.with_suffix(".partial.npz")
    np.savez_compressed(temporary, allow_pickle=False, **arrays)
    temporary.replace(file)


def main(effects: str, out: str, num: str, confidence: str, *options: str) -> None:
    """Runs in a process of its own, with whichever version of the statistics it finds."""
    with np.load(effects, allow_pickle=False) as file:
        own, null, reach = (file[name] for name in ("own", "null", "reach"))
    # The versions before took a reach for all effects, or none.
    ranges = None if "--no-range" in options else reach
    runs(own, null, ranges, float(confidence), int(num), Path(out), lambda count: print(count, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
