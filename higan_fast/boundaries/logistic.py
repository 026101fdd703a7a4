"""Logistic regressions in bulk: S of them on shared samples, with targets anywhere between 0 and 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from higan_fast.boundaries.linear import Array, Bools, Floats, blocks, centre_of

SINE = 1e-6  # of the largest angle between a normal and the exact one
MAX_ITERATIONS = 50  # 6 to 12 are usual
SHORTEST = 2.0**-20  # a part of Newton's step; where even that is too long, rounding has the last word


class Logistic(NamedTuple):
    """S regressions: a sample has the probability ``expit(codes @ weights + intercept)``.

    Attributes:
        weights: ``[S, D]``.
        intercepts: ``[S]``.
        converged: whether the normal lies within ``SINE`` of the exact one, ``[S]``.
    """

    weights: Array
    intercepts: Array
    converged: Bools


def fit_logistic(
    codes: Floats,
    targets: Array,
    used: Bools,
    *,
    C: float,  # noqa: N803 (the field's name for it)
    advance: Callable[[int], None] = lambda count: None,
) -> Logistic:
    """Minimises ½‖w‖² + C Σ [log(1 + exp(m)) - target · m], where m = w·x + b and b is free.

    With targets of 0 and 1 that is scikit-learn's ``LogisticRegression(C=C)``; with others, its
    quasi-likelihood (Papke and Wooldridge 1996). Newton's method goes on with all S at once, and halves a
    step that does not lower the objective. With the best b for each w the objective is 1-strongly convex in
    w, so the distance to the exact w is at most the length of its gradient there: a regression is done when
    that length is at most ``SINE · ‖w‖``.

    Args:
        codes: ``[N, D]``; computed with in float64.
        targets: from 0 to 1, ``[S, N]``.
        used: which samples count, ``[S, N]``.
        C: the weight of the data.
        advance: called with the number of regressions that are done since the last call.
    """
    problem = _Problem(codes, targets, used, C)
    w = problem.start()
    converged = np.zeros(len(w), np.bool_)
    going = np.arange(len(w))
    for _ in range(MAX_ITERATIONS):
        slope, curvature = problem.derivatives(w[going], going)
        # The gradient where b is the best one, which a Newton step of b alone leads to.
        of_best = slope - curvature[:, :, -1] * (slope[:, -1] / curvature[:, -1, -1])[:, None]
        done = np.linalg.norm(of_best[:, :-1], axis=1) <= SINE * np.linalg.norm(w[going, :-1], axis=1)
        converged[going[done]] = True
        advance(int(done.sum()))
        going, slope, curvature = going[~done], slope[~done], curvature[~done]
        if not len(going):
            break
        move = -np.linalg.solve(curvature, slope[..., None])[..., 0]
        w[going] = problem.moved(w[going], move, (slope * move).sum(axis=1), going)
    advance(int((~converged).sum()))
    return Logistic(w[:, :-1], w[:, -1] - w[:, :-1] @ problem.centre, converged)


class _Problem:
    """The objective of every regression: of ``w`` ``[K, D + 1]``, which ends with the intercept."""

    def __init__(self, codes: Floats, targets: Array, used: Bools, weight: float) -> None:
        self.codes, self.targets, self.used, self.weight = codes, targets, used, weight
        self.centre = centre_of(codes)

    def start(self) -> Array:
        """No weights, and the intercept that is best without any: ``[S, D + 1]``."""
        mean = (self.targets * self.used).sum(axis=1) / self.used.sum(axis=1)
        w = np.zeros((len(self.targets), self.codes.shape[1] + 1))
        w[:, -1] = np.log(mean / (1 - mean))
        return w

    def moved(self, w: Array, move: Array, fall: Array, going: NDArray[np.intp]) -> Array:
        """Points after a step that lowers each objective by a part of the ``fall`` that its slope tells."""
        before, length = self.values(w, going), np.ones((len(w), 1))
        while True:
            after = w + length * move
            high = self.values(after, going) > before + 1e-4 * length[:, 0] * fall + 1e-13 * np.abs(before)
            high &= length[:, 0] > SHORTEST
            if not high.any():
                return after
            length[high] /= 2

    def values(self, w: Array, going: NDArray[np.intp]) -> Array:
        """The objectives of the regressions ``going``, ``[K]``."""
        loss = np.zeros(len(w))
        for rows, margins, _ in self._margins(w):
            of_each = np.logaddexp(0, margins) - self.targets[going, rows] * margins
            loss += (of_each * self.used[going, rows]).sum(axis=1)
        return (w[:, :-1] ** 2).sum(axis=1) / 2 + self.weight * loss

    def derivatives(self, w: Array, going: NDArray[np.intp]) -> tuple[Array, Array]:
        """Their gradients ``[K, D + 1]`` and Hessians ``[K, D + 1, D + 1]``."""
        penalty = np.append(np.ones(w.shape[1] - 1), 0.0)
        slope, curvature = penalty * w, np.zeros((*w.shape, w.shape[1])) + np.diag(penalty)
        for rows, margins, x in self._margins(w):
            chance, counts = expit(margins), self.weight * self.used[going, rows]
            slope += (counts * (chance - self.targets[going, rows])) @ x
            spread = counts * chance * (1 - chance)
            for row in range(len(w)):
                curvature[row] += x.T @ (spread[row, :, None] * x)
        return slope, curvature

    def _margins(self, w: Array) -> Iterator[tuple[slice, Array, Array]]:
        """Yields slices of the samples, their margins ``[K, n]``, and their codes and ones ``[n, D + 1]``."""
        for rows, codes in blocks(self.codes, self.centre):
            x = np.concatenate([codes, np.ones((len(codes), 1))], axis=1)
            yield rows, w @ x.T, x
