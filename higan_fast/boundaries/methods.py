"""The methods of finding a direction: what each is, what it learns from, and one way to call them.

==============  ======================================================  ============================
method          normal                                                  learns from
==============  ======================================================  ============================
``svm``         linear support vector machine, as HiGAN's (``svm.py``)  the two sides
``logistic``    logistic regression of the score (``logistic.py``)      all samples
``ridge``       ridge regression of the score (``linear.py``)           all samples
``lda``         Fisher's linear discriminant (``linear.py``)            the two sides
``difference``  mean code of the upper side less that of the lower one  the two sides
``pattern``     covariance of the codes times the normal of ``svm``     the two sides, and all codes
``gradient``    mean gradient of the score (``gradient.py``)            the networks
==============  ======================================================  ============================

The two sides are the samples with the highest and the lowest scores. Those that regress see every sample but
the held-out ones, and as target its score, scaled so that the lowest of all is 0 and the highest 1: no
threshold has to be chosen, a probability stays about what it is, and the unit of a score does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.boundaries.linear import Array, Bools, class_means, discriminants, patterns, ridge
from higan_fast.boundaries.logistic import fit_logistic
from higan_fast.boundaries.svm import LinearSVMs, Loss, fit_linear_svms

Method = Literal["svm", "logistic", "ridge", "lda", "difference", "pattern", "gradient"]
METHODS: tuple[Method, ...] = get_args(Method)
Recipe = Literal["higan"]
RECIPES: tuple[Recipe, ...] = get_args(Recipe)

ON_ALL: tuple[Method, ...] = ("logistic", "ridge")  # that learn from what lies between the two sides too
MACHINES: tuple[Method, ...] = ("svm", "pattern")  # that have a loss to choose
ITERATED: tuple[Method, ...] = ("svm", "pattern", "logistic")  # by a solver that may stop early
REGULARISED: tuple[Method, ...] = ("svm", "logistic", "ridge", "lda", "pattern")

DEFAULT: Method = "logistic"
# C where none is named: HiGAN's; but with 0.1 the default moves further than HiGAN's machines on the embedded
# world (``python -m benchmarks.boundaries``), and as far where scores are free of noise.
WEIGHTS: Mapping[Method, float] = {"svm": 1.0, "logistic": 0.1, "ridge": 1.0, "lda": 1.0, "pattern": 1.0}


def method_of(method: Method | None, recipe: Recipe | None) -> Method:
    """The method that is meant: HiGAN's of its recipe, or the default, where none is named."""
    return method or ("svm" if recipe else DEFAULT)


def chooses_weight(method: Method, C: float | str | None) -> bool:  # noqa: N803 (the field's name for it)
    """Whether C is chosen by what moves most, if the networks are there: where that or nothing is said."""
    return C == "auto" or (C is None and method == DEFAULT)


IN_WORDS: dict[str, str] = {
    "svm": "A linear support vector machine separates them; the unit normal of its hyperplane is the "
    "boundary.",
    "logistic": "A logistic regression of the score, scaled to lie between 0 and 1, on the code of every "
    "sample gives the boundary: its weights, divided by their length.",
    "ridge": "A ridge regression of the score on the code of every sample gives the boundary: its weights, "
    "divided by their length.",
    "lda": "Fisher's linear discriminant between them, divided by its length, is the boundary.",
    "difference": "The mean code of one less that of the other, divided by its length, is the boundary.",
    "pattern": "A linear support vector machine separates them; the covariance of the codes times its "
    "normal, divided by its length, is the boundary (Haufe et al. 2014).",
    "gradient": "The mean gradient of the score with respect to the code, over fresh samples and with long "
    "ones clipped, is the boundary once divided by its length; the two classes tell its accuracy.",
}


def is_recipe(settings: Mapping[str, Any]) -> bool:
    """Whether boundaries with these settings were fitted as HiGAN fits them."""
    return (settings.get("method"), settings.get("C"), settings.get("loss")) == ("svm", 1.0, "hinge")


def parse_method(text: str) -> tuple[Method, float | Literal["auto"] | None]:
    """``"svm=0.01"`` → a method and its C; without ``=``, 1 where it has one, else None.

    Raises:
        ValueError: when there is no such method, its C is no positive number and not "auto", or it has none.
    """
    name, equals, weight = text.strip().partition("=")
    method = next((known for known in METHODS if known == name), None)
    if method is None:
        raise ValueError(
            f"methods (--methods): got {text!r}, expected one of {', '.join(METHODS)}, with C "
            "behind '=', such as svm=0.01"
        )
    if method not in REGULARISED:
        if equals:
            raise ValueError(
                f"methods (--methods): got {text!r}, but {method!r} has nothing to regularise; write {method}"
            )
        return method, None
    if weight == "auto":
        return method, "auto"
    try:
        found = float(weight) if equals else 1.0
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise ValueError(
            f"methods (--methods): got {text!r}, expected a positive C behind '=', such as {method}=0.01"
        )
    return method, found


def method_name(method: str, C: float | str | None) -> str:  # noqa: N803 (the field's name for it)
    """What ``parse_method`` reads: ``"svm=0.01"``, ``"svm=auto"``, ``"difference"``."""
    if C is None or isinstance(C, str):
        return method if C is None else f"{method}={C}"
    short = f"{C:g}"
    return f"{method}={short if float(short) == C else repr(float(C))}"


class Task(NamedTuple):
    """What the directions of S semantics are learnt from, among N samples.

    Attributes:
        sides: 1 for the upper side, −1 for the lower one, 0 for the others, int8 ``[S, N]``.
        used: what a method that learns from all samples may see, ``[S, N]``.
        scores: ``[S, N]``.
    """

    sides: NDArray[np.int8]
    used: Bools
    scores: NDArray[np.float32]


class Planes(NamedTuple):
    """S planes: a sample lies on the upper side where ``codes @ weights + intercept > 0``.

    Attributes:
        weights: ``[S, D]``; 0 where no direction could be told.
        intercepts: ``[S]``. That of ``svm`` is the machine's; any other plane goes through the middle between
            the means of both sides.
        converged: ``[S]``; where there is nothing to iterate, True.
    """

    weights: Array
    intercepts: Array
    converged: Bools


def fit_planes(
    method: Method,
    codes: NDArray[np.float32],
    task: Task,
    *,
    weight: float | None,
    loss: Loss,
    gradients: Array | None = None,
    device: torch.device | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> Planes:
    """Fits a plane for each semantic, all in float64.

    Args:
        codes: ``[N, D]``.
        weight: C, the weight of the data against ½‖w‖²; None for methods that are not ``REGULARISED``.
        loss: of the ``MACHINES``.
        gradients: mean gradients of the scores, ``[S, D]``, for ``gradient``.
        device: where torch solves the ``MACHINES``; None: NumPy does, on the CPU.
        advance: called with the number of planes that are done since the last call.
    """
    high, low = task.sides > 0, task.sides < 0
    converged = np.ones(len(task.sides), np.bool_)
    if method in MACHINES:
        assert weight is not None
        machines = _machines(codes, task.sides, device, C=weight, loss=loss, advance=advance)
        if method == "svm":
            return Planes(*(machines.weights, machines.intercepts, machines.converged))
        weights, converged = patterns(codes, machines.weights), machines.converged
    elif method == "logistic":
        assert weight is not None
        weights, _, converged = fit_logistic(codes, _targets(task), task.used, C=weight, advance=advance)
    else:
        weights = _in_closed_form(method, codes, task, weight, gradients)
        advance(len(weights))
    upper, lower = class_means(codes, high, low)
    return Planes(weights, -(weights * (upper + lower)).sum(axis=1) / 2, converged)


def _machines(
    codes: NDArray[np.float32], sides: NDArray[np.int8], device: torch.device | None, **options: Any
) -> LinearSVMs:
    """As ``fit_linear_svms``, on a device, from where the machines come back as NumPy arrays."""
    if device is None:
        return fit_linear_svms(codes, sides, **options)
    there = (torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in (codes, sides))
    return LinearSVMs(*(part.cpu().numpy() for part in fit_linear_svms(*there, **options)))


def _in_closed_form(
    method: Method, codes: NDArray[np.float32], task: Task, weight: float | None, gradients: Array | None
) -> Array:
    high, low = task.sides > 0, task.sides < 0
    if method == "gradient":
        assert gradients is not None
        return gradients
    if method == "difference":
        upper, lower = class_means(codes, high, low)
        return upper - lower
    assert weight is not None
    if method == "lda":
        return discriminants(codes, high, low, weight)
    return ridge(codes, _targets(task), task.used, weight)


def _targets(task: Task) -> Array:
    """The scores, from 0 for the lowest of a semantic to 1 for the highest."""
    scores = task.scores.astype(np.float64)
    lowest, highest = (edge(scores, axis=1, keepdims=True) for edge in (np.min, np.max))
    return np.asarray((scores - lowest) / (highest - lowest))
