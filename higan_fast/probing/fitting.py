"""Fits boundaries to samples: HiGAN's recipe."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from higan_fast.predictors.base import Semantic
from higan_fast.probing.boundaries import SPACES, Boundaries, Boundary, Space
from higan_fast.probing.checks import check_names, check_seed
from higan_fast.probing.samples import Samples
from higan_fast.progress import progress as show_progress

MIN_PER_SIDE = 50

Array = NDArray[np.float64]


def fit_boundaries(
    samples: Samples,
    semantics: str | Sequence[str] | None = None,
    *,
    chosen_num: int | float = 2000,
    space: Space = "w",
    held_out: float = 0.3,
    C: float = 1.0,  # noqa: N803 (the field's name for it)
    seed: int = 0,
    progress: bool = True,
) -> Boundaries:
    """Fits a boundary for each semantic, as HiGAN does (arXiv 1911.09267).

    The samples with the highest and the lowest scores are the two classes; a part is held out; a linear
    support vector machine with hinge loss separates the rest; its unit normal is the boundary.

    Args:
        semantics: names, or one name; None: all that the samples have scores for.
        chosen_num: samples per class: a count, or a ratio of all in (0, 1]. At most half of all.
        space: "w" and "z" give normals ``[D]``; "layers" gives one normal per layer, ``[L, D]``.
        held_out: the part of each class on which the accuracy is measured.
        C: the weight of the hinge loss.
        seed: of the shuffle.
        progress: whether to show it.

    Returns:
        The boundaries that can be fitted, and in ``skipped`` the reasons why others cannot.

    Raises:
        ValueError: when an argument is out of range, a semantic is unknown, or a code or score is not finite.
    """
    known = tuple(semantic.name for semantic in samples.semantics)
    names = known if semantics is None else (semantics,) if isinstance(semantics, str) else tuple(semantics)
    check_names(names, known, "the predictor of these samples")
    check_seed(seed)
    if not 0 < held_out < 1:
        raise ValueError(f"held_out: got {held_out!r}, expected a part between 0 and 1")
    if not C > 0:
        raise ValueError(f"C: got {C!r}, expected a positive number")
    num = _num_per_side(chosen_num, len(samples))
    codes, scores = _codes(samples, space), samples.scores
    for what, values in ((f"the codes in {space}", codes), ("the scores", scores)):
        if not np.isfinite(values).all():
            raise ValueError(f"samples: {what} are not all finite (NaN or infinite)")
    fitted, skipped = [], {}
    with show_progress("fitting", len(names), unit="boundaries", enabled=progress) as advance:
        for name in names:
            column = known.index(name)
            try:
                sides = _choose(scores[:, column], num, held_out, seed)
                fitted.append(_fit(samples.semantics[column], space, codes, sides, C))
            except _CannotFitError as reason:
                skipped[name] = str(reason)
            advance(1)
    settings = {
        "chosen_num": float(chosen_num) if chosen_num <= 1 else int(chosen_num),
        "space": space,
        "held_out": float(held_out),
        "C": float(C),
        "seed": int(seed),
        "num_samples": len(samples),
        "samples": samples.settings,
    }
    return Boundaries(tuple(fitted), skipped, settings)


class _CannotFitError(Exception):
    """Why a semantic gets no boundary."""


class _Sides(NamedTuple):
    """Rows of the samples and on which side of the boundary they belong (True: high scores)."""

    num: int
    train: tuple[NDArray[np.intp], NDArray[np.bool_]]
    test: tuple[NDArray[np.intp], NDArray[np.bool_]]
    remaining: tuple[NDArray[np.intp], NDArray[np.bool_]]


def _choose(scores: NDArray[np.float32], num: int, held_out: float, seed: int) -> _Sides:
    """Splits samples into training, held-out and remaining ones by their scores ``[N]``."""
    if num < MIN_PER_SIDE:
        raise _CannotFitError(f"{num} samples a side, and at least {MIN_PER_SIDE} are needed")
    if scores.min() == scores.max():
        raise _CannotFitError(f"all samples have the same score, {scores[0]:g}")
    order = np.argsort(scores, kind="stable")
    bottom, middle, top = order[:num], order[num : len(order) - num], order[len(order) - num :]
    if scores[top[0]] <= scores[bottom[-1]]:
        raise _CannotFitError(
            f"top and bottom are not separated: both of {num} samples reach the score {scores[top[0]]:g}"
        )
    random = np.random.default_rng(seed)
    num_test = max(1, round(num * held_out))
    high, low = random.permutation(top), random.permutation(bottom)
    rows = np.concatenate([high[num_test:], low[num_test:]])
    test_rows = np.concatenate([high[:num_test], low[:num_test]])
    middle_score = (scores[order[0]] + scores[order[-1]]) / 2  # as HiGAN divides what remains
    return _Sides(
        num,
        (rows, np.arange(len(rows)) < num - num_test),
        (test_rows, np.arange(len(test_rows)) < num_test),
        (middle, scores[middle] > middle_score),
    )


def _fit(
    semantic: Semantic, space: Space, codes: NDArray[np.float32], sides: _Sides, weight: float
) -> Boundary:
    """Codes ``[N, D]`` or ``[N, L, D]`` → a boundary of their space."""
    layers = codes[:, None] if codes.ndim == 2 else codes  # [N, L or 1, D]
    planes: list[_Plane] = []
    for index in range(layers.shape[1]):
        if index > 0 and np.array_equal(layers[:, index], layers[:, index - 1]):
            planes.append(planes[-1])  # a StyleGAN feeds all layers the same code
        else:
            planes.append(_separate(layers[:, index], sides, weight))
    normals = np.stack([plane.normal for plane in planes])
    remaining = [plane.remaining_accuracy for plane in planes]
    return Boundary(
        name=semantic.name,
        level=semantic.level,
        space=space,
        normal=normals if codes.ndim == 3 else normals[0],
        accuracy=float(np.mean([plane.accuracy for plane in planes])),
        remaining_accuracy=float(np.mean(remaining)) if len(sides.remaining[0]) else None,
        num_per_side=sides.num,
        converged=all(plane.converged for plane in planes),
    )


class _Plane(NamedTuple):
    normal: Array  # [D]
    accuracy: float
    remaining_accuracy: float
    converged: bool


def _separate(codes: NDArray[np.float32], sides: _Sides, weight: float) -> _Plane:
    """The separating hyperplane in codes ``[N, D]``."""
    from sklearn.exceptions import ConvergenceWarning  # here, because scikit-learn is slow to import
    from sklearn.svm import LinearSVC

    rows, labels = sides.train
    centre = codes[rows].mean(axis=0, dtype=np.float64)
    data = codes[rows] - centre  # [rows, D], float64
    spread = data.std()
    if not spread > 1e-9:
        raise _CannotFitError("the codes do not vary")
    # LinearSVC shrinks the intercept like a weight, which the machine it stands for does not. With the
    # data centred the intercept is small, and scaled up it costs next to nothing; a larger scale would
    # slow the solver. So the normal agrees with SVC(kernel="linear") to a cosine of 0.999.
    machine = LinearSVC(
        loss="hinge", C=weight, intercept_scaling=3 * spread, tol=1e-2, max_iter=10_000, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is recorded instead
        machine.fit(data, labels)
    length = np.linalg.norm(machine.coef_)
    if not length > 0:
        raise _CannotFitError("the two sides cannot be told apart")

    def accuracy(rows: NDArray[np.intp], labels: NDArray[np.bool_]) -> float:
        return float((machine.predict(codes[rows] - centre) == labels).mean()) if len(rows) else math.nan

    converged = machine.n_iter_ < machine.max_iter
    return _Plane(machine.coef_[0] / length, accuracy(*sides.test), accuracy(*sides.remaining), converged)


def _codes(samples: Samples, space: Space) -> NDArray[np.float32]:
    if space not in SPACES:
        raise ValueError(f"space: got {space!r}, expected one of {', '.join(SPACES)}")
    return samples.codes if space == "layers" else samples.w if space == "w" else samples.z


def _num_per_side(chosen_num: int | float, num_samples: int) -> int:
    """A count, or a ratio in (0, 1] of the samples, as a count of at most half of them."""
    if not chosen_num > 0 or (chosen_num > 1 and chosen_num != int(chosen_num)):
        raise ValueError(f"chosen_num: got {chosen_num!r}, expected a whole number, or a ratio in (0, 1]")
    count = num_samples * chosen_num if chosen_num <= 1 else chosen_num
    return min(int(count), num_samples // 2)
