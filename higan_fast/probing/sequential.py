"""Sequential verification: rounds of samples, each without what the rounds before have decided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.probing.effect_files import Measured, hash_of, key_of, name_of
from higan_fast.probing.intervals import Intervals, layers_that_act, sign_level
from higan_fast.probing.measurement import Direction, Measurement
from higan_fast.probing.outlook import LAYER_NULL_SAMPLES, outlook
from higan_fast.probing.side_effects import SIDE_SAMPLES, open_rows
from higan_fast.probing.tally import Effects
from higan_fast.progress import overall, say
from higan_fast.progress import progress as show_progress
from higan_fast.statistics.decisions import Decisions, Goal, Verdict
from higan_fast.statistics.decisions import rounds as count_rounds
from higan_fast.statistics.nulls import NullGeometry

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def measure_until_decided(
    measurement: Measurement,
    directions: Sequence[Direction],
    columns: Sequence[int],
    geometry: NullGeometry,
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
        geometry: of the random directions with each boundary, on each set of layers.
        deviation: of each score, ``[S]``, in which effects and even parts are compared.

    Raises:
        ValueError: when an argument is out of range, or a score is not finite or out of its range.
    """
    num, sets = len(columns), len(measurement.layer_sets)
    num_null = len(directions) - num
    decisions = Decisions(
        goal,
        num,
        sets - 1,
        num_null,
        geometry=geometry.on(0),
        confidence=confidence,
        max_samples=max_samples,
        reach=(measurement.ranges[:, 1] - measurement.ranges[:, 0])[list(columns)] / 2,
        unit=np.where(deviation > 0, deviation, 1.0)[list(columns)],
    )
    rounds = Rounds(measurement, directions, columns, folder, settings, progress)
    if progress:
        say(f"verifying: {outlook(measurement, directions, num, goal, max_samples)}")
    on_first = np.zeros((num, sets - 1))  # effects of layers alone on the first samples
    first = range(min(LAYER_NULL_SAMPLES, max_samples))
    unit = "boundaries decided" if num > 1 else "boundary decided"
    with overall("verifying", num, unit, enabled=progress) as report:
        while samples := decisions.next_samples:
            chosen = np.zeros((num + num_null, sets), np.bool_)
            chosen[:num], chosen[num:, 0] = decisions.active, decisions.null_active
            found = rounds.measure(samples, chosen)
            own = found.own
            decisions.update(own, found.null)
            decided = num - int(_undecided(goal, decisions.verdict()).sum())
            what = "each layer alone, " if chosen[:num, 1:].any() else ""
            report(decided, f"{what}{samples.stop:,} of at most {max_samples:,} samples")
            if samples.start == 0 and chosen[:num, 1:].any():
                on_first = own[: len(first), :, 1:].mean(axis=0)
        _settle_side_effects(rounds, decisions, columns, confidence, max_samples, deviation)
    verdict = decisions.verdict()
    known = verdict.has_effect if goal == "top-layer" else np.zeros(num, np.bool_)
    if known.any():
        chosen = np.zeros((num + num_null, sets), np.bool_)
        chosen[num:, 1:] = True
        rounds.measure(first, chosen, "comparing layers with random directions")
    assert rounds.effects is not None  # there is a first round
    figures = _figures(rounds.effects, columns, geometry, decisions, known, on_first, measurement, confidence)
    return figures | {
        "undecided": _undecided(goal, verdict),
        "images": rounds.num_base + 2 * int(rounds.effects.num.sum()),
        "images_fixed": max_samples * (1 + 2 * int(rounds.whole(goal).sum())),
    }


class Rounds:
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

    def measure(self, samples: range, chosen: BoolArray, doing: str | None = None) -> Measured:
        """A round: which directions on which sets of layers, ``[M, sets]``, on which samples; what for."""
        self.num_base = max(self.num_base, samples.stop)
        asked = {"first": samples.start, "last": samples.stop - 1, "chosen": hash_of(chosen)}
        key = key_of(settings=self.settings, **asked)
        file = self.folder / "rounds" / f"{name_of(key)}.npz" if self.folder else None
        each = 2 * int(chosen.sum())
        done = self.measurement.images_kept(file, key, samples, each)
        what = "layers on samples" if chosen[:, 1:].any() else "samples"
        label = doing or f"verifying {what} {samples.start} to {samples.stop - 1}"
        total = each * len(samples)
        with show_progress(label, total, done=done, enabled=self.progress) as advance:
            found = self.measurement.measure(
                self.directions, samples, chosen, self.columns, file=file, key=key, advance=advance
            )
        self.effects = found.effects if self.effects is None else self.effects.merge(found.effects)
        return found


def _figures(
    effects: Effects,
    columns: Sequence[int],
    geometry: NullGeometry,
    decisions: Decisions,
    known: BoolArray,
    on_first: Array,
    measurement: Measurement,
    confidence: float,
) -> dict[str, Any]:
    """What a ``Verification`` shows.

    The interval of a boundary's effect on its own semantic is that of its sequence, which decides too. Of the
    other semantics only moments are kept.

    Args:
        known: boundaries whose layers were compared with the null's, ``[B]`` ...
        on_first: ... by their effects on the first samples, ``[B, L]``.
    """
    verdict, shape = decisions.verdict(), decisions.active.shape
    found = Intervals(
        effects, measurement.ranges, measurement.logits, columns, confidence, fixed=False,
        null_kinds=len(geometry.degrees),
    )  # fmt: skip
    figures, own = found.figures(), (range(len(columns)), slice(None), columns)
    for name, end in zip(("low", "high"), decisions.effects.bounds((1 - confidence) / 2), strict=True):
        figures[name][own] = np.where(figures["samples"] == 0, np.nan, end.reshape(shape))
    acting = np.zeros_like(on_first, np.bool_)
    if known.any():
        level = decisions.acting_level
        signs = decisions.effects.signs(sign_level(level, *on_first.shape)).reshape(shape)[:, 1:]
        tested = np.where(known[:, None], on_first, np.nan)
        acting = layers_that_act(
            tested, found.null_effects[:, :, 1:], geometry.on(slice(1, None)), signs, level
        )
    return figures | {
        "sign": verdict.sign,
        "p_values": verdict.p_values,
        "p_adjusted": verdict.p_adjusted,
        "p_required": verdict.p_required,
        "tested_on": verdict.tested_on,
        "beats_null": verdict.has_effect,
        "layer_beats_null": acting,
        "top_layer": verdict.top_layer,
        "order": verdict.order,
    }


def _settle_side_effects(
    rounds: Rounds,
    decisions: Decisions,
    columns: Sequence[int],
    confidence: float,
    max_samples: int,
    deviation: Array,
) -> None:
    """Goes on, on all layers together, with boundaries whose side effects are open.

    What is sure of an effect after a few samples leaves open what else the boundary moves or wrecks.
    """
    measurement, num, stops = rounds.measurement, len(columns), count_rounds(min(SIDE_SAMPLES, max_samples))
    while rounds.effects is not None:
        count, shown = rounds.effects.num[:num, 0], decisions.verdict().has_effect
        found = Intervals(
            rounds.effects, measurement.ranges, measurement.logits, columns, confidence, fixed=False
        )
        open_ones = open_rows(found, deviation, shown) & (count < stops[-1])
        if not open_ones.any():
            return
        start = int(count[open_ones].min())
        rows = np.flatnonzero(open_ones & (count == start))
        chosen = np.zeros(rounds.effects.num.shape, np.bool_)
        chosen[rows, 0] = True
        stop = next(stop for stop in stops if stop > start)
        own = rounds.measure(range(start, stop), chosen).own
        decisions.effects.update(own[:, rows, 0], rows * own.shape[2])


def _undecided(goal: Goal, verdict: Verdict) -> BoolArray:
    """Boundaries whose part of the answer is open, ``[B]``."""
    if goal == "top-layer":
        return verdict.undecided | (verdict.has_effect & (verdict.top_layer < 0))
    if goal == "ranking":
        ranked = verdict.has_effect | verdict.undecided
        return verdict.undecided | (ranked & (ranked & ~verdict.ordered).any(axis=1))
    return verdict.undecided
