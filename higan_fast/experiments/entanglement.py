"""What boundaries move of each other's semantics, and whether the scores or the normals have it in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.cluster.hierarchy as clustering
from numpy.typing import NDArray
from scipy.spatial.distance import squareform
from scipy.stats import beta

from higan_fast.boundaries.boundary import Boundary
from higan_fast.experiments.finding import plain
from higan_fast.probing.results import Verification
from higan_fast.sampling.samples import Samples
from higan_fast.statistics.correlation import Correlations, correlations

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Why a boundary moves another semantic: whether their scores surely go together as it moves them, and whether
# their normals do, more than random directions would.
REASONS = {
    (True, True): "scores and normals",
    (True, False): "scores",
    (False, True): "normals",
    (False, False): "neither",
}


@dataclass(frozen=True)
class Entanglement:
    """Of B boundaries, in the order of the verification.

    Attributes:
        names: the boundaries, each named after its semantic.
        effect: of a step along each boundary (row) on the semantic of each, in standard deviations of its
            score, ``[B, B]``; NaN where it was not measured, or the score does not vary ...
        low: ... the lower end of its own interval, ``[B, B]`` ...
        high: ... and the upper one.
        moves: whether it surely is not 0, after correction for all, ``[B, B]``; never on the diagonal.
        scores: correlations of the scores over samples, after correction for all pairs.
        cosines: of the normals, ``[B, B]``.
        random: cosines of as many pairs of random directions all lie within ± this, at the same confidence.
    """

    names: tuple[str, ...]
    effect: Array
    low: Array
    high: Array
    moves: BoolArray
    scores: Correlations
    cosines: Array
    random: float

    @classmethod
    def of(
        cls,
        samples: Samples,
        boundaries: Mapping[str, Boundary],
        verification: Verification,
        confidence: float,
    ) -> Entanglement:
        """
        Args:
            samples: whose scores are correlated.
            boundaries: those that were verified.
            verification: has the effects.
            confidence: of all correlations together.
        """
        names = verification.boundary_names
        columns = [[each.name for each in verification.semantics].index(name) for name in names]
        known = [each.name for each in samples.semantics]
        scores = samples.scores[:, [known.index(name) for name in names]]
        pairs = len(names) * (len(names) - 1) // 2
        normals = np.stack([boundaries[name].normal.ravel() for name in names])
        normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        size = int((normals != 0).any(axis=0).sum())
        parts = (verification.in_deviations(part)[:, 0][:, columns] for part in ("effect", "low", "high"))
        effect, low, high = (np.where(np.isfinite(part), part, np.nan) for part in parts)
        moves = verification.moves[:, columns] & np.isfinite(effect)
        # The square of a cosine with a random direction of D numbers is Beta(1/2, (D − 1)/2).
        random = float(np.sqrt(beta.isf((1 - confidence) / pairs, 0.5, max(size - 1, 1) / 2)))
        of_scores = correlations(scores, (1 - confidence) / pairs / 2)
        return cls(names, effect, low, high, moves, of_scores, normals @ normals.T, random)

    @property
    def relative(self) -> Array:
        """Each effect for one of the boundary on its own semantic, in size, at most 1: ``[B, B]``."""
        own = np.abs(np.diag(self.effect))[:, None]
        sizes = np.abs(np.nan_to_num(self.effect))
        return np.minimum(np.divide(sizes, own, out=np.zeros_like(sizes), where=own > 0), 1)

    @cached_property
    def tree(self) -> Array:
        """SciPy's linkage of the boundaries, by average distances.

        Two are as far apart as 1 less the mean of what each moves of the other, for one of its own effect.
        """
        distance = 1 - (self.relative + self.relative.T) / 2
        np.fill_diagonal(distance, 0)
        return np.asarray(clustering.linkage(squareform(distance, checks=False), "average", True))

    @property
    def order(self) -> list[int]:
        """The boundaries, so that those that move each other stand side by side."""
        return [int(place) for place in clustering.leaves_list(self.tree)]

    def reason(self, row: int, column: int) -> str | None:
        """What goes with a sure effect, one of ``REASONS``; None where it is not sure."""
        if not self.moves[row, column]:
            return None
        sign = np.sign(self.effect[row, column])
        cosine = self.cosines[row, column]
        together = bool(self.scores.signs[row, column] == sign)
        return REASONS[together, bool(abs(cosine) > self.random and np.sign(cosine) == sign)]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each boundary and semantic, in order."""
        return [
            {
                "boundary": self.names[row],
                "semantic": self.names[column],
                "effect_in_deviations": plain(self.effect[row, column]),
                "low": plain(self.low[row, column]),
                "high": plain(self.high[row, column]),
                "surely_moves": bool(self.moves[row, column]) if row != column else None,
                "score_correlation": plain(self.scores.value[row, column]),
                "score_low": plain(self.scores.low[row, column]),
                "score_high": plain(self.scores.high[row, column]),
                "cosine_of_normals": plain(self.cosines[row, column]),
                "goes_with": self.reason(row, column),
            }
            for row in self.order
            for column in self.order
        ]
