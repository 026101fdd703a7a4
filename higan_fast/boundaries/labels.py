"""Boundaries from labels that somebody gave some of the samples, in place of scores of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundaries, Boundary, Space
from higan_fast.boundaries.deviations import codes_in, measured_on
from higan_fast.boundaries.fitting import check_fitting, fit_boundaries
from higan_fast.boundaries.label_files import Labels
from higan_fast.boundaries.methods import Method, Recipe, method_of
from higan_fast.boundaries.sides import MIN_PER_SIDE
from higan_fast.boundaries.svm import Loss
from higan_fast.predictors.base import Level
from higan_fast.sampling.samples import Samples
from higan_fast.sampling.store import Held

ARRAYS: dict[Space, str] = {"w": "w", "z": "z", "layers": "codes"}


def fit_to_labels(
    samples: Samples,
    labels: Mapping[str, Labels],
    *,
    method: Method | None = None,
    C: float | None = None,  # noqa: N803 (the field's name for it)
    recipe: Recipe | None = None,
    chosen_num: int | float = 2000,
    space: Space | None = None,
    held_out: float = 0.3,
    loss: Loss = "hinge",
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> Boundaries:
    """Fits a boundary for each semantic that some samples have labels of, whoever gave them.

    Both sides are equally large: of 300 samples with the label 1 and 2,000 with 0, the 300 and as many of the
    others, drawn at random, are learnt from and held out, and no other. The accuracy on what is held out is
    therefore balanced: chance is 0.5 however rare the semantic is, and it is not the share of all samples
    that the boundary would get right. Of labels with more than two values, such as ratings, the highest and
    the lowest are the sides, as large as they can be without a value that both have.

    Args:
        samples: whose codes are learnt from; their scores are not.
        labels: for each semantic, of which samples. One that the predictor scores gets its level and its
            standard deviation from the samples; another is an "attribute", whose deviation is not known.
        method: any but "gradient". None: "logistic".
        C: a number; None: the method's own, see ``fit_boundaries``.
        recipe: see ``fit_boundaries``, as all that follow; ``chosen_num`` is of labelled samples.

    Returns:
        The boundaries; in ``skipped`` why others cannot be fitted, such as fewer than 50 labels on a side.

    Raises:
        ValueError: when an argument is out of range, or a code is not finite.
    """
    check_fitting(
        chosen_num=chosen_num, space=space, method=method, C=C, recipe=recipe, held_out=held_out, loss=loss,
        seed=seed,
    )  # fmt: skip
    if method == "gradient":
        raise ValueError("method (--boundary): got 'gradient', but labels have none; choose another")
    if C is not None and isinstance(C, str):
        raise ValueError(
            "C (--C): got 'auto', which compares what boundaries move by their scores, and labels come with "
            "no scorer; give a number"
        )
    space = space or ("w" if samples.settings.get("shares_code", True) else "layers")
    codes = codes_in(samples, space)
    known = {semantic.name: column for column, semantic in enumerate(samples.semantics)}
    fitted: list[Boundary] = []
    skipped: dict[str, str] = {}
    used: dict[str, dict[str, int]] = {}
    settings: dict[str, Any] = {}
    for name, own in labels.items():
        rows, num = _two_sides(own, chosen_num, seed)
        used[name] = {"labels": len(own.rows), "per_side": num}
        if num < MIN_PER_SIDE:
            skipped[name] = (
                f"of its {len(own.rows)} labels, {num} can stand on each side, and at least {MIN_PER_SIDE} "
                "are needed of either, high and low"
            )
            continue
        level: Level = samples.semantics[known[name]].level if name in known else "attribute"
        arrays = {ARRAYS[space]: codes[own.rows[rows]], "scores": own.values[rows, None]}
        part = Samples(Held(samples.settings | {"semantics": [[name, level]]}, arrays), len(rows))
        found = fit_boundaries(
            part, method=method, C=C, recipe=recipe, chosen_num=num, space=space, held_out=held_out,
            loss=loss, seed=seed, device=device, progress=progress,
        )  # fmt: skip
        skipped |= found.skipped
        deviation = float(samples.deviation[known[name]]) if name in known else None
        fitted += [replace(boundary, deviation=deviation) for boundary in found.values()]
        settings = found.settings
    about: dict[str, Any] = {"method": method_of(method, recipe), "C": C, "space": space} | settings
    about |= {"chosen_num": float(chosen_num) if chosen_num <= 1 else int(chosen_num)}
    about |= {"held_out": float(held_out), "seed": int(seed), "labels": used}
    about |= {"num_samples": len(samples), "num_asked": samples.num_asked, "samples": samples.settings}
    return Boundaries(tuple(measured_on(samples, fitted)), skipped, about)


def _two_sides(labels: Labels, chosen_num: int | float, seed: int) -> tuple[NDArray[np.intp], int]:
    """Which labels are used, those of both sides, and how many each side has.

    It is the largest number, of at most ``chosen_num``, with which every value of the upper side is above
    every one of the lower. Which of several with the same value are used is drawn at random.
    """
    order = np.random.default_rng(seed).permutation(len(labels.rows))
    order = order[np.argsort(labels.values[order], kind="stable")]
    values, half = labels.values[order], len(order) // 2
    asked = len(order) * chosen_num if chosen_num <= 1 else chosen_num
    apart = values[len(order) - half :][::-1] > values[:half]  # the more a side has, the less it is apart
    num = min(int(asked), int(apart.sum()))
    return np.concatenate([order[:num], order[len(order) - num :]]), num
