"""The result of a verification: effects, their intervals, the null's band, and what they say of layers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.generators.base import Layer
from higan_fast.predictors.base import LEVELS, Semantic
from higan_fast.probing.claims import Status, check_profile, reason_for, status_of
from higan_fast.probing.hierarchy import judged, mean_layer_error
from higan_fast.probing.ranking_table import ranking_table
from higan_fast.probing.result_files import read_fields, write_fields
from higan_fast.probing.screening import known_correlation
from higan_fast.probing.side_effects import prices
from higan_fast.statistics.effects import in_deviations
from higan_fast.statistics.hierarchy import Hierarchy

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

# What there is for every boundary, set of layers and semantic.
FIGURES = (
    *("effect", "standard_error", "low", "high"),
    *("even", "even_error", "even_low", "even_high"),
    "higan_delta",
    *("logit_effect", "logit_error", "logit_low", "logit_high"),
)


@dataclass(frozen=True, eq=False, repr=False)
class Verification:
    """Effects of B boundaries on S semantics: all layers together (row 0), layer l alone (row 1 + l).

    An effect is the mean paired change of a score under one step along the boundary: half the difference
    between a step forth and a step back. The even part is what both steps change alike: their mean, less the
    score of the sample as it is. A sequential verification measures what its question needs, and leaves NaN
    everywhere else. Where a generator has one layer, both rows are of the same measurement.

    Attributes:
        semantics: the columns: everything that the predictor scores.
        boundary_names: the boundaries, each named after its own semantic.
        layers: the layers; none for boundaries in z, which can only move all of them.
        effect: ``[B, 1 + L, S]``.
        standard_error: of the effect, ``[B, 1 + L, S]``.
        low: lower end of the effect's interval, ``[B, 1 + L, S]``. Where the range of the score is known, it
            is by betting, and holds for every distribution; elsewhere it is Student's, for a fixed number
            of samples or for as many as it took, and ``asymptotic``.
        high: upper end of the effect's interval, ``[B, 1 + L, S]``; infinite, as low is, where too few
            samples changed an unbounded score to say anything (see ``statistics.student.DISTINCT``).
        even: mean of the even part, ``[B, 1 + L, S]``.
        even_error: standard error of the even part, ``[B, 1 + L, S]``.
        even_low: lower end of the even part's interval, of the same kind as the effect's, ``[B, 1 + L, S]``.
        even_high: upper end, ``[B, 1 + L, S]``.
        even_sure: whether the even part of all layers together is surely not 0, ``[B, S]``, after the same
            correction.
        moves: whether all layers together surely move a semantic other than the boundary's own, ``[B, S]``,
            after correction for all of them and for the even parts.
        freed: pairs of boundaries, ``[P, 2]``: the first surely moves the semantic of the second too, by 0.25
            standard deviations or more, and was freed of it (``Boundary.conditional_on``).
        freed_effect: effects of the freed boundaries, as long as they were, on all layers, ``[P, S]`` ...
        freed_low: ... lower ends of their intervals, ``[P, S]`` ...
        freed_high: ... and upper ends, ``[P, S]``.
        higan_delta: HiGAN's one-sided clipped mean, ``[B, 1 + L, S]``.
        logit_effect: the effect on the logit of a score that has one, ``[B, 1 + L, S]``; NaN for others. A
            probability that is near 0 or 1 in most samples hardly moves there; its logit does.
        logit_error: standard error of that, ``[B, 1 + L, S]``.
        logit_low: lower end of its interval, which is always asymptotic, ``[B, 1 + L, S]``.
        logit_high: upper end, ``[B, 1 + L, S]``.
        null_low: the effects of random directions lie above this, ``[1 + L, S]`` ...
        null_high: ... and below this, with the probability ``settings["confidence"]``.
        sign: of each boundary's effect on its own semantic on all layers, where that is sure, ``[B]``: 1, −1,
            or 0. That is decided by an interval that is corrected for the number of boundaries, and wider
            than the one shown; a sequential verification was sure of it in some round, of which the last
            interval need not tell.
        p_values: of the same effect against the null, ``[B]``; in a sequential verification at the look that
            decided, or at the last one.
        p_adjusted: the same after Holm's correction, ``[B]`` ...
        p_required: ... which it must not exceed, ``[B]``: 1 − confidence is shared between the effects and
            the layers, between the null and the signs, and in a sequential verification between the looks ...
        tested_on: ... and on how many samples this was compared, ``[B]``.
        beats_null: whether the boundary raises its semantic by more than the null does, ``[B]``: the sign is
            1, and ``p_adjusted`` at most ``p_required``.
        layer_beats_null: whether a layer alone surely changes it, up or down, and by more than the null does,
            after correction for B · L tests, ``[B, L]``; with one layer, as ``beats_null``.
        samples: how many each effect was measured on, ``[B, 1 + L]``.
        top_layer: the layer with the largest effect of either sign on the boundary's own semantic, ``[B]``;
            −1: not known.
        screening: first-order guesses of every layer's effect on the boundary's own semantic, from
            gradients, ``[B, L]``; NaN where there is none. No effects.
        images: how many different images were synthesised for these figures.
        images_fixed: how many the same question would have taken with a fixed number of samples.
        settings: how they were made.
        ranges: between what each score always lies, ``[S, 2]``; −inf and inf where that is not known.
        undecided: boundaries of which a sequential verification ran out of samples, or of looks at the null,
            before its question was answered, ``[B]``.
        accuracy: of each boundary on held-out samples, ``[B]``; NaN where it is not known.
        remaining_accuracy: of each on the samples between the top and the bottom ones, ``[B]``; likewise.
        deviation: standard deviation of each score over the samples that its boundary was fitted to, ``[S]``;
            where no boundary knows it, over the first base samples, 256 at most. It is the unit in which
            effects on different scores compare; 0: the score is the same for all samples.
        order: boundaries as a sequential verification ranks them; empty: by effect.
    """

    semantics: tuple[Semantic, ...]
    boundary_names: tuple[str, ...]
    layers: tuple[Layer, ...]
    effect: Array
    standard_error: Array
    low: Array
    high: Array
    even: Array
    even_error: Array
    even_low: Array
    even_high: Array
    even_sure: BoolArray
    moves: BoolArray
    freed: IntArray
    freed_effect: Array
    freed_low: Array
    freed_high: Array
    higan_delta: Array
    logit_effect: Array
    logit_error: Array
    logit_low: Array
    logit_high: Array
    null_low: Array
    null_high: Array
    sign: NDArray[np.int8]
    p_values: Array
    p_adjusted: Array
    p_required: Array
    tested_on: IntArray
    beats_null: BoolArray
    layer_beats_null: BoolArray
    samples: IntArray
    top_layer: IntArray
    screening: Array
    images: int
    images_fixed: int
    undecided: BoolArray
    accuracy: Array
    remaining_accuracy: Array
    deviation: Array
    settings: dict[str, Any]
    ranges: Array
    order: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return ranking_table(self).text()

    @property
    def asymptotic(self) -> BoolArray:
        """Whose intervals hold only as samples grow many, ``[S]``: those of scores without a known range."""
        return np.asarray(~np.isfinite(self.ranges).all(axis=1))

    def _repr_html_(self) -> str:
        return ranking_table(self).html()

    def rank(self) -> list[str]:
        """Returns all boundaries by effect on their own semantic, in standard deviations of its score.

        Those whose effect is shown (``beats_null``) come first, then the others; each from the largest down.
        ``status`` says which are shown. Where a score is the same for all samples, an effect on it has no
        such unit, and comes last among its like. With HiGAN's recipe, by ``higan_delta`` alone.
        """
        own = [self.in_deviations()[row, 0, column] for row, column in enumerate(self._columns())]
        without = np.isnan(own)
        by_effect = sorted(range(len(own)), key=lambda row: -np.nan_to_num(own[row]))
        if self.settings.get("recipe") == "higan":
            deltas = [self.higan_delta[row, 0, column] for row, column in enumerate(self._columns())]
            return [self.boundary_names[row] for row in np.argsort(-np.array(deltas), kind="stable")]
        rows = sorted(self.order or by_effect, key=lambda row: (not self.beats_null[row], without[row]))
        return [self.boundary_names[row] for row in rows]

    def in_deviations(self, figure: str = "effect") -> Array:
        """Returns one of the figures ``[B, 1 + L, S]`` in standard deviations of each score.

        NaN: a score that is the same for all samples, or what was not measured.
        """
        return in_deviations(getattr(self, figure), self.deviation)

    def status(self, name: str) -> Status:
        """Returns whether the boundary's effect on its own semantic was shown, not shown, or is undecided.

        "shown" is ``beats_null``. "not shown" does not prove that there is none. "undecided" means that a
        sequential verification would have gone on with more samples.
        """
        return status_of(self, self.row(name))

    def reason(self, name: str) -> str:
        """Returns why the boundary has its status, with the p-value that was required."""
        return reason_for(self, self.row(name))

    def layer_profile(self, name: str) -> Array:
        """Effect of a boundary on its own semantic, for each layer alone: ``[L]``; NaN: not measured.

        Raises:
            ValueError: when this boundary was moved on no layer alone.
        """
        profile = self._profile(name)
        check_profile(self, name, profile)
        return profile

    def _profile(self, name: str) -> Array:
        row = self.row(name)
        return self.effect[row, 1:, self._columns()[row]]

    @property
    def layers_measured(self) -> bool:
        """Whether any layer was moved alone: the question "effect" needs none."""
        return bool(np.isfinite(self.effect[:, 1:]).any())

    def best_layer(self, name: str) -> int | None:
        """The layer with the largest effect, of either sign; None where that is not known."""
        layer = int(self.top_layer[self.row(name)])
        return None if layer < 0 else layer

    def screening_correlation(self, name: str) -> float | None:
        """Between the screened profile of a boundary and the measured one; None where one is missing."""
        return known_correlation(self.screening[self.row(name)], self._profile(name))

    def step_in_sd(self, name: str, layer_set: int = 0) -> float:
        """How many standard deviations of the codes along a boundary the verified step is long.

        Args:
            name: of the boundary.
            layer_set: 0: all layers; 1 + l: layer l.

        Returns:
            NaN where the standard deviation is not known, or all layers move and theirs differ.
        """
        step, lengths = float(self.settings["step"]), (self.settings.get("code_deviations") or {}).get(name)
        if self.settings.get("step_unit") == "sd":
            return step
        if lengths is None:
            return math.nan
        own = lengths if len(lengths) == 1 or layer_set == 0 else lengths[layer_set - 1 :][:1]
        return step / own[0] if own[0] > 0 and np.ptp(own) <= 1e-6 * own[0] else math.nan

    def num_undecided(self) -> int:
        """For how many boundaries the samples did not suffice to answer the question."""
        return int(self.undecided.sum())

    def entanglement(self) -> Array:
        """Effect of each boundary on every semantic, all layers together: ``[B, S]``."""
        return self.effect[:, 0]

    def mean_layer(self, name: str) -> float | None:
        """The mean of the layers that beat the null, weighted by the size of their effects.

        None where the boundary does not beat the null, or no layer alone does: the mean over all layers
        would then be one of noise, which lies in the middle.
        """
        row = self.row(name)
        weights = np.where(self.layer_beats_null[row], np.abs(self._profile(name)), 0.0)
        if not (self.beats_null[row] and weights.any()):
            return None
        return float(np.average(np.arange(len(weights)), weights=weights))

    def mean_layer_error(self, name: str) -> float | None:
        """The standard error of ``mean_layer``, to first order; None where there is no mean layer."""
        if self.mean_layer(name) is None:
            return None
        row, counted = self.row(name), self.layer_beats_null[self.row(name)]
        errors = self.standard_error[row, 1:, self._columns()[row]]
        return mean_layer_error(*(np.where(counted, part, 0.0) for part in (self._profile(name), errors)))

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """What the mean layers say of the order of levels: tests, intervals, and what is established."""
        return judged(self)

    def mean_layer_by_level(self) -> dict[str, float | None]:
        """The mean of the mean layers of each level's semantics; None where none of them has one.

        Semantics count alike, however large their effects are; those of one axis count as one (see
        ``probing.hierarchy``).
        """
        means = {level.name: level.mean for level in self.hierarchy.levels}
        return {level: means.get(level) for level in LEVELS}

    def to_json(self) -> dict[str, Any]:
        """One object of plain values, as ``higan-fast verify --json`` prints it; semantics as ranked."""
        entries = []
        for name in self.rank():
            row = self.row(name)
            column = self._columns()[row]
            profile = [
                {
                    "layer": layer.index,
                    **self._figures(row, 1 + place, column),
                    "beats_null": bool(self.layer_beats_null[row, place]),
                    "samples": int(self.samples[row, 1 + place]),
                    "screened": _plain(self.screening[row, place]),
                }
                for place, layer in enumerate(self.layers)
            ]
            entries.append(
                {
                    "name": name,
                    "level": self.semantics[column].level,
                    "asymptotic": bool(self.asymptotic[column]),
                    **self._figures(row, 0, column),
                    "effect_in_deviations": _plain(self.in_deviations()[row, 0, column]),
                    "deviation": float(self.deviation[column]),
                    "step_in_sd": _plain(self.step_in_sd(name)),
                    "null_low": _plain(self.null_low[0, column]),
                    "null_high": _plain(self.null_high[0, column]),
                    "status": self.status(name),
                    "reason": self.reason(name),
                    "p_adjusted": float(self.p_adjusted[row]),
                    "p_required": float(self.p_required[row]),
                    "p_samples": int(self.tested_on[row]),
                    "beats_null": bool(self.beats_null[row]),
                    "undecided": bool(self.undecided[row]),
                    "accuracy": _plain(self.accuracy[row]),
                    "remaining_accuracy": _plain(self.remaining_accuracy[row]),
                    "best_layer": self.best_layer(name),
                    "mean_layer": self.mean_layer(name),
                    "mean_layer_error": self.mean_layer_error(name),
                    "samples": int(self.samples[row].max()),
                    "screening_correlation": self.screening_correlation(name),
                    "profile": profile,
                }
            )
        return {
            "semantics": entries,
            "entanglement": self._matrix(),
            "freed": [price.to_json() for price in prices(self)],
            "mean_layer_by_level": self.mean_layer_by_level(),
            "hierarchy": {"order": list(LEVELS), **asdict(self.hierarchy)},
            "images": self.images,
            "images_fixed": self.images_fixed,
            "settings": self.settings,
        }

    def _matrix(self) -> dict[str, Any]:
        """The entanglement matrix in plain lists: boundaries × semantics, all layers together."""
        figures = {
            name: [[_plain(value) for value in values] for values in getattr(self, name)[:, 0]]
            for name in FIGURES
        }
        return {
            "rows": list(self.boundary_names),
            "columns": [semantic.name for semantic in self.semantics],
            "deviation": self.deviation.tolist(),
            **figures,
            "asymptotic": self.asymptotic.tolist(),
            "even_sure": self.even_sure.tolist(),
            "moves": self.moves.tolist(),
            "samples": self.samples[:, 0].tolist(),
        }

    def save(self, path: str | Path) -> None:
        """Writes an .npz file with every field."""
        write_fields(path, self)

    @classmethod
    def load(cls, path: str | Path) -> Verification:
        """Reads what ``save`` wrote.

        Raises:
            ValueError: when the file does not hold a verification.
        """
        values = read_fields(path)
        names = {field.name for field in fields(cls)}
        if values.keys() != names:
            raise ValueError(
                f"{path}: not a file of a verification of this version "
                f"({', '.join(sorted(names ^ values.keys()))}); verify again"
            )
        return cls(**values)

    def _figures(self, row: int, layer_set: int, column: int) -> dict[str, float | None]:
        return {name: _plain(getattr(self, name)[row, layer_set, column]) for name in FIGURES}

    def row(self, name: str) -> int:
        """Where a boundary stands in the arrays."""
        if name not in self.boundary_names:
            raise KeyError(f"{name!r} was not verified; there are {', '.join(self.boundary_names)}")
        return self.boundary_names.index(name)

    def _columns(self) -> list[int]:
        """The column of each boundary's own semantic."""
        names = [semantic.name for semantic in self.semantics]
        return [names.index(name) for name in self.boundary_names]


def _plain(value: float) -> float | None:
    """A number for JSON, which has none for what was not measured."""
    return float(value) if math.isfinite(value) else None
