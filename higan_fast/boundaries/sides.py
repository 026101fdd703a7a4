"""The two sides that a boundary separates: the samples with the highest and with the lowest scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MIN_PER_SIDE = 50

Rows = NDArray[np.intp]
Bools = NDArray[np.bool_]


class CannotFitError(Exception):
    """Why a semantic gets no boundary."""


class Sides(NamedTuple):
    """Rows of the samples, and on which side of the boundary they belong (True: high scores).

    Attributes:
        num: how many samples each side has, those held out included.
        train: of both sides, those to learn from.
        test: of both sides, those held out.
        remaining: of the samples between the sides, those that nothing is learnt from.
        used: all samples that may be learnt from where the ones in between are, too.
    """

    num: int
    train: tuple[Rows, Bools]
    test: tuple[Rows, Bools]
    remaining: tuple[Rows, Bools]
    used: Rows


def choose_sides(
    scores: NDArray[np.float32], num: int, held_out: float, seed: int, learn_from_all: bool
) -> Sides:
    """Splits samples by their scores ``[N]``, as HiGAN does.

    The held-out ones are the same for every method; where a method learns from all samples, the same part is
    held out of those in between.

    Args:
        num: samples per side.
        held_out: the part of each side that is held out.
        seed: of the shuffle.
        learn_from_all: whether the samples between the sides are learnt from, too.

    Raises:
        CannotFitError: when the sides are too small, or not apart.
    """
    if num < MIN_PER_SIDE:
        raise CannotFitError(f"{num} samples a side, and at least {MIN_PER_SIDE} are needed")
    if scores.min() == scores.max():
        raise CannotFitError(f"all samples have the same score, {scores[0]:g}")
    order = np.argsort(scores, kind="stable")
    bottom, middle, top = order[:num], order[num : len(order) - num], order[len(order) - num :]
    if scores[top[0]] <= scores[bottom[-1]]:
        raise CannotFitError(
            f"top and bottom are not separated: both of {num} samples reach the score {scores[top[0]]:g}"
        )
    random = np.random.default_rng(seed)
    num_test = max(1, round(num * held_out))
    high, low = random.permutation(top), random.permutation(bottom)
    rows = np.concatenate([high[num_test:], low[num_test:]])
    test_rows = np.concatenate([high[:num_test], low[:num_test]])
    middle_score = (scores[order[0]] + scores[order[-1]]) / 2  # as HiGAN divides what remains
    used = rows
    if learn_from_all:
        shuffled = random.permutation(middle)
        num_middle = round(len(middle) * held_out)
        middle, used = shuffled[:num_middle], np.concatenate([rows, shuffled[num_middle:]])
    return Sides(
        num,
        (rows, np.arange(len(rows)) < num - num_test),
        (test_rows, np.arange(len(test_rows)) < num_test),
        (middle, scores[middle] > middle_score),
        used,
    )
