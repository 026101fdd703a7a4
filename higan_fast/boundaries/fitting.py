"""Fits boundaries to samples: HiGAN's recipe."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import SPACES, Boundaries, Boundary, Space
from higan_fast.boundaries.origin import Origin
from higan_fast.boundaries.svm import LOSSES, Loss, fit_linear_svms
from higan_fast.checks import check_choice, check_names, check_number, check_seed
from higan_fast.predictors.base import Semantic
from higan_fast.progress import progress as show_progress
from higan_fast.sampling.samples import Samples

MIN_PER_SIDE = 50
ROWS_AT_ONCE = 8192  # of codes, when the samples are classified

Array = NDArray[np.float64]


def check_fitting(
    *,
    chosen_num: int | float,
    space: Space | None,
    held_out: float = 0.3,
    C: float = 1.0,  # noqa: N803 (the field's name for it)
    loss: Loss = "hinge",
    seed: int = 0,
) -> None:
    """Raises ValueError when ``fit_boundaries`` would refuse these arguments, whatever the samples are."""
    expected = "a positive whole number, or a ratio in (0, 1]"
    check_number("chosen_num (--chosen-num)", chosen_num, expected, above=0)
    if chosen_num > 1 and chosen_num != int(chosen_num):
        raise ValueError(f"chosen_num (--chosen-num): got {chosen_num!r}, expected {expected}")
    if space is not None:
        check_choice("space (--space)", space, SPACES)
    check_number("held_out", held_out, "a part between 0 and 1", above=0)
    if not held_out < 1:
        raise ValueError(f"held_out: got {held_out!r}, expected a part between 0 and 1")
    check_number("C", C, "a positive number", above=0)
    check_choice("loss", loss, LOSSES)
    check_seed(seed)


def fit_boundaries(
    samples: Samples,
    semantics: str | Sequence[str] | None = None,
    *,
    chosen_num: int | float = 2000,
    space: Space | None = None,
    held_out: float = 0.3,
    C: float = 1.0,  # noqa: N803 (the field's name for it)
    loss: Loss = "hinge",
    seed: int = 0,
    progress: bool = True,
) -> Boundaries:
    """Fits a boundary for each semantic, as HiGAN does (arXiv 1911.09267).

    The samples with the highest and the lowest scores are the two classes; a part is held out; a linear
    support vector machine separates the rest; its unit normal is the boundary. All machines are fitted by
    one solver (``svm.py``), which proves how near each normal comes to the exact one; a boundary for which
    that is not near enough is not ``converged``, and named in a warning.

    Args:
        semantics: names, or one name; None: all that the samples have scores for.
        chosen_num: samples per class: a count, or a ratio of all in (0, 1]. At most half of all.
        space: "w" and "z" give normals ``[D]``; "layers" gives one normal per layer, ``[L, D]``. None: "w"
            where all layers get one and the same code, and "layers" elsewhere, as for BigGAN: there a step
            in w moves each layer by the part of w that it reads.
        held_out: the part of each class on which the accuracy is measured.
        C: the weight of the loss.
        loss: "hinge" or "squared_hinge".
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
    check_fitting(chosen_num=chosen_num, space=space, held_out=held_out, C=C, loss=loss, seed=seed)
    num = _num_per_side(chosen_num, len(samples))
    space = space or ("w" if samples.settings.get("shares_code", True) else "layers")
    codes, scores = _codes(samples, space), samples.scores
    for what, values in ((f"the codes in {space}", codes), ("the scores", scores)):
        if not np.isfinite(values).all():
            raise ValueError(f"samples: {what} are not all finite (NaN or infinite)")
    chosen, skipped = {}, {}
    for name in names:
        try:
            chosen[name] = _choose(scores[:, known.index(name)], num, held_out, seed)
        except _CannotFitError as reason:
            skipped[name] = str(reason)
    fitted = []
    planes = _separate(codes, list(chosen.values()), C, loss, progress) if chosen else []
    for (name, sides), own in zip(chosen.items(), planes, strict=True):
        try:
            fitted.append(_boundary(samples.semantics[known.index(name)], space, codes, sides, own))
        except _CannotFitError as reason:
            skipped[name] = str(reason)
    _warn_of_unconverged(fitted)
    origin, deviation = Origin.of(samples.settings), dict(zip(known, samples.deviation.tolist(), strict=True))
    known_of = tuple(replace(each, origin=origin, deviation=deviation[each.name]) for each in fitted)
    settings = {
        "chosen_num": float(chosen_num) if chosen_num <= 1 else int(chosen_num),
        "space": space,
        "held_out": float(held_out),
        "C": float(C),
        "loss": loss,
        "seed": int(seed),
        "num_samples": len(samples),
        "num_asked": samples.num_asked,
        "samples": samples.settings,
    }
    return Boundaries(known_of, skipped, settings)


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


class _Plane(NamedTuple):
    """A separating hyperplane in the codes of one layer."""

    weights: Array  # [D]
    accuracy: float
    remaining_accuracy: float
    converged: bool


def _separate(
    codes: NDArray[np.float32], chosen: list[_Sides], weight: float, loss: Loss, progress: bool
) -> list[list[_Plane | None]]:
    """The planes of each semantic, one per layer, in codes ``[N, D]`` or ``[N, L, D]``; None: none varies."""
    labels = np.zeros((len(chosen), len(codes)), np.int8)  # [S, N]
    for row, sides in zip(labels, chosen, strict=True):
        rows, high = sides.train
        row[rows] = np.where(high, 1, -1)
    layers = codes[:, None] if codes.ndim == 2 else codes  # [N, L or 1, D]
    # A StyleGAN feeds all layers the same code: what repeats the layer before is not fitted again.
    new = [i == 0 or not np.array_equal(layers[:, i], layers[:, i - 1]) for i in range(layers.shape[1])]
    # A BigGAN may feed its blocks nothing but the class, and that may be the same for all samples.
    vary = [bool((layers[:, i] != layers[:1, i]).any()) for i in range(layers.shape[1])]
    planes: list[list[_Plane | None]] = []  # for each layer, of each semantic
    total = sum(map(all, zip(new, vary, strict=True))) * len(chosen)
    with show_progress("fitting", total, unit="normals", enabled=progress) as advance:
        for index, (is_new, varies) in enumerate(zip(new, vary, strict=True)):
            if not varies:
                planes.append([None] * len(chosen))
            elif is_new:
                planes.append(_separate_layer(layers[:, index], labels, chosen, weight, loss, advance))
            else:
                planes.append(planes[-1])
    return [list(own) for own in zip(*planes, strict=True)]


def _separate_layer(
    codes: NDArray[np.float32],
    labels: NDArray[np.int8],
    chosen: list[_Sides],
    weight: float,
    loss: Loss,
    advance: Callable[[int], None],
) -> list[_Plane | None]:
    """The plane of each semantic in codes ``[N, D]``."""
    machines = fit_linear_svms(codes, labels, C=weight, loss=loss, advance=advance)
    blocks = range(0, len(codes), ROWS_AT_ONCE)
    scores = (codes[i : i + ROWS_AT_ONCE] @ machines.weights.T + machines.intercepts for i in blocks)
    high = np.concatenate([block > 0 for block in scores]).T  # [S, N]
    planes: list[_Plane | None] = []
    for row, sides in enumerate(chosen):
        held_out, remaining = (
            float((high[row, rows] == labels).mean()) if len(rows) else math.nan
            for rows, labels in (sides.test, sides.remaining)
        )
        planes.append(_Plane(machines.weights[row], held_out, remaining, bool(machines.converged[row])))
    return planes


def _boundary(
    semantic: Semantic, space: Space, codes: NDArray[np.float32], sides: _Sides, planes: list[_Plane | None]
) -> Boundary:
    """The planes of one semantic, one for each layer, as a boundary."""
    fitted = [plane for plane in planes if plane is not None]
    if not fitted:
        raise _CannotFitError("the codes do not vary")
    if not all(plane.weights.any() for plane in fitted):
        raise _CannotFitError("the two sides cannot be told apart")
    still = np.zeros(codes.shape[-1])  # where the codes do not vary
    normals = np.stack(
        [still if plane is None else plane.weights / np.linalg.norm(plane.weights) for plane in planes]
    )  # [L or 1, D]
    remaining = [plane.remaining_accuracy for plane in fitted]
    return Boundary(
        name=semantic.name,
        level=semantic.level,
        space=space,
        normal=normals if codes.ndim == 3 else normals[0],
        accuracy=float(np.mean([plane.accuracy for plane in fitted])),
        remaining_accuracy=float(np.mean(remaining)) if len(sides.remaining[0]) else None,
        num_per_side=sides.num,
        converged=all(plane.converged for plane in fitted),
    )


def _warn_of_unconverged(boundaries: list[Boundary]) -> None:
    names = [boundary.name for boundary in boundaries if not boundary.converged]
    if names:
        warnings.warn(
            f"the solver did not converge for {', '.join(names)}; a smaller C makes the problem easier",
            RuntimeWarning,
            stacklevel=3,
        )


def _codes(samples: Samples, space: Space) -> NDArray[np.float32]:
    return samples.codes if space == "layers" else samples.w if space == "w" else samples.z


def _num_per_side(chosen_num: int | float, num_samples: int) -> int:
    """A count, or a ratio in (0, 1] of the samples, as a count of at most half of them."""
    count = num_samples * chosen_num if chosen_num <= 1 else chosen_num
    return min(int(count), num_samples // 2)
