"""Verification by a crew: each unit scores a stretch of the walk over some base samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.engine.crew import Crew, task_in
from higan_fast.engine.journal import Journal, kept_scores
from higan_fast.predictors.base import LogitsOf

if TYPE_CHECKING:
    from higan_fast.probing.measurement import Direction, Measurement

# So many images are a unit, or a batch if that is more. Each walks its base samples, of which there are 64 at
# most, up to its layer: with fewer images that would tell, with more a lost unit would.
IMAGES = 1024


def share(
    measurement: Measurement,
    directions: Sequence[Direction],
    chosen: NDArray[np.bool_] | None,
    parts: Sequence[tuple[range, Journal]],
    crew: Crew,
    advance: Callable[[int], None],
) -> None:
    """Has a crew score walks; afterwards their journals have all scores, in the order of one process.

    Args:
        chosen: which direction on which set of layers, ``[M, sets]``; None: all.
        parts: base samples that are walked together, and where the scores of each walk are kept.
        advance: hears of every image that was scored, and of those that were kept beyond a gap.

    Raises:
        ValueError: with the worker's line, when a unit cannot be done.
    """
    engine, plan = measurement.engine, measurement.plan(directions, chosen)
    units: list[tuple[int, int, int, int]] = []  # part, number of its file, first and last image
    for index, (samples, journal) in enumerate(parts):
        ends = engine.batch_ends(plan, len(samples))
        for number, (first, last) in enumerate(_stretches(ends, journal.num_kept), journal.num_files):
            kept = kept_scores(journal.path, journal.key, number, first)
            if kept is not None and len(kept) == last - first:
                advance(last - first)
            else:
                units.append((index, number, first, last))
    if not units:
        return
    run = crew.folder.absolute().parent
    about: dict[str, Any] = {
        "space": measurement.space,
        "step": measurement.step,
        "drawn": list(measurement.drawn),
        "precision": engine.precision,
        "networks": measurement.networks,
        "on_logits": isinstance(engine.predictor, LogitsOf),
        "images": engine.budget.images,
        "parts": [
            (samples.start, samples.stop, str(journal.path.absolute().relative_to(run)), journal.key)
            for samples, journal in parts
        ],
        "units": units,
    }
    normals = np.stack([direction.normal for direction in directions])
    with task_in(crew.folder, "walks", len(units), about, normals=normals, chosen=plan.chosen) as task:
        crew.do(task, len(units), lambda unit: advance(units[unit][3] - units[unit][2]))


def _stretches(ends: Sequence[int], kept: int) -> list[tuple[int, int]]:
    """Cuts a walk at ends of batches, always at the same ones, and leaves out what is kept."""
    cuts = [0]
    for end in ends:
        if end - cuts[-1] >= IMAGES or end == ends[-1]:
            cuts.append(end)
    return [(max(first, kept), last) for first, last in pairwise(cuts) if last > kept]
