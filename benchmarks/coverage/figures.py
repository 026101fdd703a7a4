"""What many runs show: intervals that miss, decisions that are wrong, images, and widths."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.coverage.effects import Effects
from benchmarks.coverage.runs import MARGIN, Arrays, drawn
from higan_fast.statistics.betting import BettingSequence
from higan_fast.statistics.confidence import bounds_by_moments
from higan_fast.statistics.decisions import rounds
from higan_fast.statistics.student import DISTINCT, SPENT, bounds_of_moments

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

ACCEPTED = 0.017  # of an entry's intervals may miss at 0.99: what 2,000 runs can tell from 1 %
WIDTH_AT, WIDTHS_OF = 64, ("lamp", "window", "bed")


def misses(effects: Effects, runs: Arrays) -> tuple[BoolArray, BoolArray]:
    """Which intervals miss the truth, and which entries were measured: ``[runs, B, 1 + L]`` each."""
    truth, measured = effects.own.mean(axis=0), runs["samples"] > 0
    return ((runs["low"] > truth) | (runs["high"] < truth)) & measured, measured


def rates(missed: BoolArray, measured: BoolArray) -> Array:
    """Each entry's share of intervals that miss; NaN where less than a tenth of the runs measured it."""
    times = measured.sum(axis=0)
    return np.where(times >= len(measured) / 10, missed.sum(axis=0) / np.maximum(times, 1), np.nan)


def wrong(effects: Effects, runs: Arrays) -> BoolArray:
    """Which runs decided anything wrongly, ``[runs]``."""
    truth, size = effects.own.mean(axis=0)[:, 0], np.abs(effects.own.mean(axis=0)[:, 1:])
    rises = runs["has_effect"] & (truth <= 0)
    sign = runs["sign"] * truth < 0
    top = runs["top_layer"]
    of_top = size[np.arange(len(size)), np.maximum(top, 0)]
    layer = (top >= 0) & (of_top < (1 - MARGIN) * size.max(axis=1))
    lost = ~runs["candidates"][:, np.arange(len(size)), size.argmax(axis=1)]
    return np.asarray((rises | sign | layer | lost).any(axis=1))


def summary(effects: Effects, runs: Arrays, confidence: float) -> dict[str, str]:
    """A column of the table."""
    missed, measured = misses(effects, runs)
    rate = rates(missed, measured)
    num, entries = len(missed), int(np.isfinite(rate).sum())
    row, layer_set = np.unravel_index(np.nanargmax(rate), rate.shape)
    where = "all layers" if layer_set == 0 else f"layer {layer_set - 1}"
    return {
        "intervals that miss": f"{missed.sum() / measured.sum():.2%}",
        "entries that miss more often than allowed": f"{int((rate > 1 - confidence).sum())} of {entries}",
        f"entries that miss more often than {ACCEPTED:.1%}": f"{int((rate > ACCEPTED).sum())} of {entries}",
        "worst entry": f"{np.nanmax(rate):.2%} ({effects.names[row]}, {where})",
        "runs with a wrong decision": f"{int(wrong(effects, runs).sum())} of {num}",
        "effects found": f"{runs['has_effect'].sum() / num:.2f}",
        "top layers found": f"{(runs['top_layer'] >= 0).sum() / num:.2f}",
        "images": f"{runs['images'].mean():,.0f}",
        "CPU time of deciding": f"{1e3 * runs['seconds'].mean():.0f} ms",
    }


def missed_by_moments(
    effects: Effects, runs: Arrays, confidence: float, advance: Callable[[int], None]
) -> tuple[Array, Array]:
    """Rates of misses of what is shown from moments: effects on all semantics, and even parts.

    Each is ``[B, 1 + L, S]``; NaN where fewer than a tenth of the runs measured it.
    """
    level, parts = (1 - confidence) / 2, (effects.odd, effects.even)
    reaches = effects.reach, 2 * effects.reach
    truths = [part.mean(axis=0) for part in parts]
    missed = [np.zeros((len(runs["samples"]), *truth.shape), np.bool_) for truth in truths]
    for seed, samples in enumerate(runs["samples"]):
        chosen = drawn(seed, len(effects.own))
        for num in np.unique(samples[samples > 0]):
            rows, sets = np.nonzero(samples == num)
            for part, reach, truth, found in zip(parts, reaches, truths, missed, strict=True):
                values = part[chosen[:num, None], rows, sets]  # [n, entries, S]
                mean, m2 = values.mean(axis=0), values.var(axis=0) * num
                changed = (values != 0).sum(axis=0)
                low, high = bounds_by_moments(num, mean, m2, changed, reach, level)
                found[seed, rows, sets] = (low > truth[rows, sets]) | (high < truth[rows, sets])
        advance(1)
    measured = (runs["samples"] > 0)[..., None]
    odd, even = (rates(each, np.broadcast_to(measured, each.shape)) for each in missed)
    return odd, even


def widths(effects: Effects, confidence: float, num_runs: int = 200) -> dict[str, tuple[float, float]]:
    """Mean width of the bettor's interval and of Student's sequence, on all layers: semantic → both."""
    level, found = (1 - confidence) / 2, {}
    for name in WIDTHS_OF:
        own, reach = effects.own[:, effects.names.index(name), 0], effects.reach[effects.names.index(name)]
        chosen = np.random.default_rng(0).integers(len(own), size=(WIDTH_AT, num_runs))
        values = own[chosen]
        betting = BettingSequence(num_runs, reach)
        betting.update(values)
        student = bounds_of_moments(  # without its margin
            WIDTH_AT, values.mean(axis=0), values.var(axis=0) * WIDTH_AT, DISTINCT, level / SPENT
        )
        mine, theirs = (float((high - low).mean()) for low, high in (betting.bounds(level), student))
        found[name] = mine, theirs
    return found


def jumps(rare: float, level: float, least: int, num_runs: int, seed: int = 0) -> float:
    """How often Student's sequence ever misses the mean of rare jumps, at ``level`` for each side.

    Args:
        rare: the share of samples that jump, by 0.5 to 1.5; the others are 0.
        least: from how many jumps on there is an interval.
    """
    random, ever = np.random.default_rng(seed), np.zeros(num_runs, np.bool_)
    count, total, squares, jumped = 0, np.zeros(num_runs), np.zeros(num_runs), np.zeros(num_runs)
    for stop in rounds(1_000):
        shape = (stop - count, num_runs)
        values = (random.random(shape) < rare) * random.uniform(0.5, 1.5, shape)
        count, total, squares = stop, total + values.sum(axis=0), squares + np.square(values).sum(axis=0)
        jumped += (values != 0).sum(axis=0)
        mean = total / count
        low, high = bounds_of_moments(count, mean, squares - count * mean**2, DISTINCT, level)
        ever |= ((low > rare) | (high < rare)) & (jumped >= least)
    return float(ever.mean())
