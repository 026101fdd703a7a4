"""Sequential verification: rounds of samples, each without what the rounds before have decided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.predictors.base import Predictor
from higan_fast.probing.effect_files import Measured, hash_of, key_of, name_of
from higan_fast.probing.measurement import Direction, Measurement
from higan_fast.probing.outlook import LAYER_NULL_SAMPLES, outlook
from higan_fast.probing.tally import Effects
from higan_fast.progress import overall, say
from higan_fast.progress import progress as show_progress
from higan_fast.statistics.confidence import bounds_of_moments
from higan_fast.statistics.corrections import holm
from higan_fast.statistics.decisions import Decisions, Goal, Verdict
from higan_fast.statistics.decisions import rounds as count_rounds
from higan_fast.statistics.effects import LARGE_EVEN, in_deviations
from higan_fast.statistics.nulls import null_band, null_p_values, null_scale

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# A large even part is worth going on for, on so many samples at most.
EVEN_SAMPLES = 256


def measure_until_decided(
    measurement: Measurement,
    directions: Sequence[Direction],
    columns: Sequence[int],
    goal: Goal,
    confidence: float,
    max_samples: int,
    deviation: Array,
    folder: Path | None,
    settings: dict[str, Any],
    progress: bool,
) -> dict[str, Any]:
    """Measures in rounds until the goal is reached: the figures of a ``Verification``.

    Every round is kept as it is done. It follows from the rounds before it, so that a verification which was
    killed measures the same rounds again, and reads those that are there.

    Args:
        directions: the boundaries, and then the random ones.
        columns: the semantic of each boundary.
        deviation: of each score, ``[S]``, in which effects and even parts are compared.

    Raises:
        ValueError: when an argument is out of range, or a score is not finite or out of its range.
    """
    num, sets = len(columns), len(measurement.layer_sets)
    num_null = len(directions) - num
    assert measurement.engine.predictor is not None
    decisions = Decisions(
        goal,
        num,
        sets - 1,
        num_null,
        confidence=confidence,
        max_samples=max_samples,
        reach=_reach(measurement.engine.predictor, columns),
        unit=np.where(deviation > 0, deviation, 1.0)[list(columns)],
    )
    rounds = _Rounds(measurement, directions, columns, folder, settings, progress)
    if progress:
        say(f"verifying: {outlook(measurement, directions, num, goal, max_samples)}")
    on_first = np.zeros((num, sets - 1))  # effects of layers alone on the first samples
    first = range(min(LAYER_NULL_SAMPLES, max_samples))
    with overall("verifying", num, "boundaries decided", enabled=progress) as report:
        while samples := decisions.next_samples:
            chosen = np.zeros((num + num_null, sets), np.bool_)
            chosen[:num], chosen[num:, 0] = decisions.active, decisions.null_active
            own, null = rounds.measure(samples, chosen)
            decisions.update(own, null)
            decided = num - int(_undecided(goal, decisions.verdict()).sum())
            what = "layers alone: " if chosen[:num, 1:].any() else ""
            report(decided, f"{what}{samples.stop:,} of at most {max_samples:,} samples")
            if samples.start == 0 and chosen[:num, 1:].any():
                on_first = own[: len(first), :, 1:].mean(axis=0)
        _settle_even_parts(rounds, decisions, columns, confidence, max_samples, deviation)
    verdict = decisions.verdict()
    known = verdict.has_effect if goal == "top-layer" else np.zeros(num, np.bool_)
    if known.any():
        chosen = np.zeros((num + num_null, sets), np.bool_)
        chosen[num:, 1:] = True
        rounds.measure(first, chosen)
    assert rounds.effects is not None  # there is a first round
    ends = decisions.effects.bounds((1 - confidence) / 2)
    own_ends = tuple(end.reshape(num, sets) for end in ends)
    return _figures(rounds.effects, columns, own_ends, verdict, known, on_first, confidence) | {
        "undecided": _undecided(goal, verdict),
        "images": rounds.num_base + 2 * int(rounds.effects.num.sum()),
        "images_fixed": max_samples * (1 + 2 * int(rounds.whole(goal).sum())),
    }


class _Rounds:
    """Measures rounds, or reads them where they were kept, and merges what comes of them."""

    def __init__(
        self,
        measurement: Measurement,
        directions: Sequence[Direction],
        columns: Sequence[int],
        folder: Path | None,
        settings: dict[str, Any],
        progress: bool,
    ) -> None:
        self.measurement, self.directions, self.columns = measurement, directions, columns
        self.folder, self.progress = folder, progress
        normals = hash_of(*(direction.normal for direction in directions))
        self.settings = settings | {"normals": normals, "columns": list(columns)}
        self.effects: Effects | None = None
        self.num_base = measurement.num_scored  # the base samples that it took

    def whole(self, goal: Goal) -> BoolArray:
        """Every effect that could bear on the goal, ``[B + R, sets]``."""
        chosen = np.ones((len(self.directions), len(self.measurement.layer_sets)), np.bool_)
        chosen[:, 1:] = goal == "top-layer"
        return chosen

    def measure(self, samples: range, chosen: BoolArray) -> tuple[Array, Array]:
        """A round: effects of boundaries ``[n, B, sets]`` and of random directions ``[n, R, B]``."""
        self.num_base = max(self.num_base, samples.stop)
        asked = {"first": samples.start, "last": samples.stop - 1, "chosen": hash_of(chosen)}
        key = key_of(settings=self.settings, **asked)
        file = self.folder / "rounds" / f"{name_of(key)}.npz" if self.folder else None
        kept = Measured.load(file, key) if file else None
        done = 2 * int(chosen.sum()) * (kept.num if kept else 0)
        what = "layers on samples" if chosen[:, 1:].any() else "samples"
        label = f"verifying {what} {samples.start} to {samples.stop - 1}"
        total = 2 * int(chosen.sum()) * len(samples)
        with show_progress(label, total, done=done, enabled=self.progress) as advance:
            found = self.measurement.measure(
                self.directions, samples, chosen, self.columns, file=file, key=key, advance=advance
            )
        self.effects = found.effects if self.effects is None else self.effects.merge(found.effects)
        return found.own, found.null


def _figures(
    effects: Effects,
    columns: Sequence[int],
    own_ends: tuple[Array, ...],
    verdict: Verdict,
    known: BoolArray,
    on_first: Array,
    confidence: float,
) -> dict[str, Any]:
    """What a ``Verification`` shows.

    Args:
        own_ends: (low, high) of the boundaries' effects on their own semantics, ``[B, sets]`` each.
        known: boundaries whose layers were compared with the null's, ``[B]`` ...
        on_first: ... by their effects on the first samples, ``[B, L]``.
    """
    num, rows = len(columns), range(len(columns))
    num_null = len(effects.num) - num
    missing = effects.num[:, :, None] == 0  # [M, sets, 1]
    mean, m2, even, even_m2, higan_delta = (np.where(missing, np.nan, part) for part in effects[1:])
    count = np.broadcast_to(effects.num[:num, :, None], mean[:num].shape)
    level = (1 - confidence) / 2
    low, high = bounds_of_moments(count, mean[:num], m2[:num], level)
    even_low, even_high = bounds_of_moments(count, even[:num], even_m2[:num], level)
    for ends, own in ((low, own_ends[0]), (high, own_ends[1])):
        ends[rows, :, columns] = np.where(missing[:num, :, 0], np.nan, own)
    scale = null_scale(mean[num:])  # [sets, S]
    null_low, null_high = null_band(scale, num_null, confidence)
    layer_beats_null = np.zeros((num, mean.shape[1] - 1), np.bool_)
    if known.any():
        own_scale = scale[1:, columns].T[known]  # [B known, L]
        layer_beats_null[known] = holm(null_p_values(on_first[known], own_scale, num_null)) <= 1 - confidence
    with np.errstate(invalid="ignore", divide="ignore"):
        error, even_error = (np.sqrt(part[:num] / np.maximum(count - 1, 1) / count) for part in (m2, even_m2))
    return {
        "effect": mean[:num],
        "standard_error": error,
        "low": low,
        "high": high,
        "even": even[:num],
        "even_error": even_error,
        "even_low": even_low,
        "even_high": even_high,
        "even_sure": surely_even(effects, num, confidence),
        "higan_delta": higan_delta[:num],
        "null_low": null_low,
        "null_high": null_high,
        "sign": verdict.sign,
        "p_values": verdict.p_values,
        "p_adjusted": verdict.p_adjusted,
        "p_required": verdict.p_required,
        "tested_on": verdict.tested_on,
        "beats_null": verdict.has_effect,
        "layer_beats_null": layer_beats_null,
        "samples": effects.num[:num],
        "top_layer": verdict.top_layer,
        "order": verdict.order,
    }


def _settle_even_parts(
    rounds: _Rounds,
    decisions: Decisions,
    columns: Sequence[int],
    confidence: float,
    max_samples: int,
    deviation: Array,
) -> None:
    """Goes on with boundaries that have a large even part, until it is surely one.

    What is sure of an effect after a few samples leaves open whether the boundary wrecks something else.
    """
    num, stops = len(columns), count_rounds(min(EVEN_SAMPLES, max_samples))
    while rounds.effects is not None:
        count, even = rounds.effects.num[:num, 0], rounds.effects.even[:num, 0]
        large = np.abs(in_deviations(even, deviation)) >= LARGE_EVEN  # NaN is not
        open_ones = (large & ~surely_even(rounds.effects, num, confidence)).any(axis=1) & (count < stops[-1])
        if not open_ones.any():
            return
        start = int(count[open_ones].min())
        rows = np.flatnonzero(open_ones & (count == start))
        chosen = np.zeros(rounds.effects.num.shape, np.bool_)
        chosen[rows, 0] = True
        own, _ = rounds.measure(range(start, next(stop for stop in stops if stop > start)), chosen)
        decisions.effects.update(own[:, rows, 0], rows * own.shape[2])


def surely_even(effects: Effects, num: int, confidence: float) -> BoolArray:
    """Whether the even part of all layers together is surely not 0, for each of the first B directions.

    Its interval is that of a confidence sequence, corrected for the number of them: ``[B, S]``.
    """
    even, m2, count = effects.even[:num, 0], effects.even_m2[:num, 0], effects.num[:num, :1]
    low, high = bounds_of_moments(count, even, m2, (1 - confidence) / 2 / even.size)
    return np.asarray((low > 0) | (high < 0))


def _reach(predictor: Predictor, columns: Sequence[int]) -> list[float] | None:
    """The largest paired effect that each boundary's score can have; None where one of them is not known."""
    ranges = [predictor.score_ranges[column] for column in columns]
    known = [(high - low) / 2 for low, high in (ends for ends in ranges if ends is not None)]
    return known if len(known) == len(ranges) else None


def _undecided(goal: Goal, verdict: Verdict) -> BoolArray:
    """Boundaries whose part of the answer is open, ``[B]``."""
    if goal == "top-layer":
        return verdict.undecided | (verdict.has_effect & (verdict.top_layer < 0))
    if goal == "ranking":
        ranked = verdict.has_effect | verdict.undecided
        return verdict.undecided | (ranked & (ranked & ~verdict.ordered).any(axis=1))
    return verdict.undecided
