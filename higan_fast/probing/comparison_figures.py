"""From the effects of several methods' boundaries to the figures by which they compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundary
from higan_fast.predictors.base import Predictor
from higan_fast.probing.comparison_fits import Fits
from higan_fast.probing.comparison_results import Comparison
from higan_fast.probing.measurement import ranges_of
from higan_fast.sampling.samples import Samples
from higan_fast.statistics.comparison import (
    differences_from_first,
    means,
    root,
    roots_from_first,
    squared_means,
)
from higan_fast.statistics.effects import in_deviations

Array = NDArray[np.float64]


def compared(
    predictor: Predictor,
    samples: Samples,
    fits: Mapping[str, Fits],
    measured: Array,
    skipped: dict[str, str],
    settings: dict[str, Any],
) -> Comparison:
    """The figures of all methods, from their effects ``[K, n, B, S]``."""
    names = list(next(iter(fits.values())).whole)
    columns = [predictor.names.index(name) for name in names]
    own, squares = own_and_others(measured, samples.deviation, columns)
    reach = np.ptp(ranges_of(predictor), axis=1)[columns] / samples.deviation[columns]
    comparisons, alpha = len(fits) - 1, 1 - settings["confidence"]
    of_means, of_each = alpha / 2 / (2 * comparisons) / 2, alpha / 2 / (comparisons * len(names)) / 2
    effect, mean_effect = means(own), means(own.mean(axis=2))
    off, mean_off = root(means(squares)), root(means(squares.mean(axis=2)))
    each, mean = (
        differences_from_first(own, of_each, reach),
        differences_from_first(own.mean(axis=2), of_means),
    )
    else_ = roots_from_first(differences_from_first(squares.mean(axis=2), of_means), mean_off.mean)
    whole = [own.whole for own in fits.values()]
    return Comparison(
        methods=tuple(fits),
        semantics=predictor.semantics,
        boundary_names=tuple(names),
        accuracy=np.array([[_or_nan(fit[name].accuracy) for name in names] for fit in whole]),
        cosine=np.array([[cosine_of(fit.halves, name) for name in names] for fit in fits.values()]),
        step_in_sd=np.array([[_step_in_sd(fit[name], settings) for name in names] for fit in whole]),
        effect=effect.mean,
        effect_error=effect.error,
        off_target=off.mean,
        off_target_error=off.error,
        difference=each.mean,
        low=each.low,
        high=each.high,
        mean_effect=mean_effect.mean,
        mean_effect_error=mean_effect.error,
        mean_off_target=mean_off.mean,
        mean_off_target_error=mean_off.error,
        mean_difference=mean.mean,
        mean_low=mean.low,
        mean_high=mean.high,
        off_target_difference=else_.mean,
        off_target_low=else_.low,
        off_target_high=else_.high,
        deviation=samples.deviation[columns],
        codes=settings["codes"],
        images=2 * settings["codes"] * len(fits) * len(names),
        skipped=skipped,
        settings=settings,
    )


def own_and_others(measured: Array, deviation: Array, columns: list[int]) -> tuple[Array, Array]:
    """What is averaged over codes, in standard deviations of the scores, each ``[n, K, B]``.

    The effects on the own scores, and what gives the mean square of those on the others (``squared_means``).
    """
    rows = np.arange(len(columns))
    others = np.flatnonzero(deviation > 0)  # a score that is the same for all samples has no such unit
    is_own = others == np.array(columns)[:, None]  # [B, S]
    own, squares = [], []
    for effects in measured:  # one method at a time: the others need not fit into memory twice
        relative = in_deviations(effects, deviation)  # [n, B, S]
        own.append(relative[:, rows, columns])
        off = np.where(is_own, 0.0, relative[:, :, others])
        part = (is_own.shape[1] - 1) / is_own.shape[1]  # the own score is no other one
        squares.append(squared_means(off) / part if part > 0 else np.full(off.shape[:2], np.nan))
    return np.stack(own, axis=1), np.stack(squares, axis=1)


def cosine_of(halves: Sequence[Mapping[str, Boundary]], name: str) -> float:
    """Between the normals of two fits; over layers, the mean. NaN where there are no two."""
    if not halves or not all(name in half for half in halves):
        return float("nan")
    one, other = (np.atleast_2d(half[name].normal) for half in halves)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)  # 0 where a code does not vary
    return float(((one * other).sum(axis=1)[lengths > 0] / lengths[lengths > 0]).mean())


def _step_in_sd(boundary: Boundary, settings: Mapping[str, Any]) -> float:
    """The length of the step in standard deviations of the codes along the normal; over layers, the mean."""
    if settings["step_unit"] == "sd":
        return float(settings["step"])
    lengths = [length for length in boundary.code_deviations or () if length > 0]
    return float(settings["step"] * np.mean([1 / length for length in lengths])) if lengths else float("nan")


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
