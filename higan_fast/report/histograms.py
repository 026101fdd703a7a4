"""How the scores of the samples are spread: one small histogram for each semantic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundaries
from higan_fast.report.numerals import decimals, number
from higan_fast.sampling.samples import Samples

BINS = 40


@dataclass(frozen=True)
class Histogram:
    """The bars of one semantic as three paths: the bottom samples of its boundary, the rest, the top ones."""

    name: str
    level: str
    low: str
    high: str
    mean: str
    deviation: str
    constant: bool
    bottom: str
    middle: str
    top: str


def histograms(samples: Samples, boundaries: Boundaries) -> list[Histogram]:
    """A histogram of each semantic's scores."""
    result = []
    of_scores = "labels" not in boundaries.settings  # sides of labels lie anywhere among the scores
    for column, semantic in enumerate(samples.semantics):
        scores = samples.scores[:, column].astype(np.float64)
        boundary = boundaries.get(semantic.name)
        places = decimals([scores.std()], 2)
        bottom, middle, top = _paths(
            np.sort(scores), boundary.num_per_side if boundary and of_scores else None
        )
        result.append(
            Histogram(
                name=semantic.name,
                level=semantic.level,
                low=number(scores.min(), places),
                high=number(scores.max(), places),
                mean=number(scores.mean(), places),
                deviation=number(scores.std(), places),
                constant=bool(scores.min() == scores.max()),
                bottom=bottom,
                middle=middle,
                top=top,
            )
        )
    return result


def _paths(scores: NDArray[np.float64], per_side: int | None) -> tuple[str, str, str]:
    """Sorted scores → SVG paths in a box of ``BINS`` × 100, stacked so that each bar shows its parts."""
    edges = np.histogram_bin_edges(scores, BINS)
    sides = per_side or 0
    parts = (scores[:sides], scores[sides : len(scores) - sides], scores[len(scores) - sides :])
    counts = np.stack([np.histogram(part, edges)[0] for part in parts])  # [3, BINS]
    tallest = counts.sum(axis=0).max()
    heights = np.round(100 * counts / tallest, 1)
    floors = 100 - np.cumsum(heights, axis=0)  # [3, BINS], the upper end of each part, from above
    paths = []
    for part in range(3):
        bars = [
            f"M{index} {floors[part, index]:.1f}h1v{heights[part, index]:.1f}h-1z"
            for index in range(BINS)
            if heights[part, index] > 0
        ]
        paths.append("".join(bars))
    return paths[0], paths[1], paths[2]
