"""The result of a verification: effects, their intervals, the null's band, and what they say of layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.generators.base import Layer
from higan_fast.predictors.base import LEVELS, Semantic
from higan_fast.probing.ranking_table import ranking_table
from higan_fast.probing.result_files import read_fields, write_fields
from higan_fast.probing.screening import profile_correlation
from higan_fast.statistics.corrections import holm

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


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
        low: lower end of the effect's interval, ``[B, 1 + L, S]``: Student's for a fixed number of samples,
            and a confidence sequence's for as many as it took.
        high: upper end of the effect's interval, ``[B, 1 + L, S]``.
        even: mean of the even part, ``[B, 1 + L, S]``.
        even_error: standard error of the even part, ``[B, 1 + L, S]``.
        even_low: lower end of the even part's interval, of the same kind as the effect's, ``[B, 1 + L, S]``.
        even_high: upper end, ``[B, 1 + L, S]``.
        even_sure: whether the even part is surely not 0, by an interval that is corrected for the number of
            even parts, ``[B, 1 + L, S]``.
        higan_delta: HiGAN's one-sided clipped mean, ``[B, 1 + L, S]``.
        null_low: the effects of random directions lie above this, ``[1 + L, S]`` ...
        null_high: ... and below this, with the probability ``settings["confidence"]``.
        p_values: of each boundary's effect on its own semantic on all layers, against the null, ``[B]``.
        beats_null: whether the boundary raises its semantic by more than the null does, after correction for
            B tests, ``[B]``: for a fixed number of samples its interval lies above 0; a sequential
            verification was sure of the sign in some round, of which the last interval need not tell.
        layer_beats_null: whether a layer alone changes it, up or down, by more than the null does, after
            correction for B · L tests, ``[B, L]``; with one layer, as ``beats_null``.
        samples: how many each effect was measured on, ``[B, 1 + L]``.
        top_layer: the layer with the largest effect of either sign on the boundary's own semantic, ``[B]``;
            −1: not known.
        screening: first-order guesses of every layer's effect on the boundary's own semantic, from
            gradients, ``[B, L]``; NaN where there is none. No effects.
        images: how many different images were synthesised for these figures.
        images_fixed: how many the same question would have taken with a fixed number of samples.
        settings: how they were made.
        undecided: boundaries of which a sequential verification ran out of samples before its question
            was answered, ``[B]``.
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
    higan_delta: Array
    null_low: Array
    null_high: Array
    p_values: Array
    beats_null: BoolArray
    layer_beats_null: BoolArray
    samples: IntArray
    top_layer: IntArray
    screening: Array
    images: int
    images_fixed: int
    undecided: BoolArray
    settings: dict[str, Any]
    order: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return ranking_table(self).text()

    def _repr_html_(self) -> str:
        return ranking_table(self).html()

    def rank(self) -> list[str]:
        """Boundaries by effect on their own semantic, largest first; those that beat the null come first."""
        if self.order:
            return [self.boundary_names[row] for row in self.order]
        own = [self.effect[row, 0, column] for row, column in enumerate(self._columns())]
        rows = sorted(range(len(own)), key=lambda row: (not self.beats_null[row], -own[row]))
        return [self.boundary_names[row] for row in rows]

    def adjusted_p_values(self) -> Array:
        """The p-values after Holm's correction for B tests: ``[B]``."""
        return holm(self.p_values)

    def why_not(self, name: str) -> str:
        """Why a boundary does not count as beating the null; empty where it does."""
        row = self.row(name)
        if self.beats_null[row]:
            return ""
        p = float(self.adjusted_p_values()[row])
        figure = f"p {'<' if p < 0.0001 else '='} {max(p, 0.0001):.2g} after Holm"
        if self.undecided[row]:
            return f"not decided ({figure})"
        if p <= 1 - self.settings["confidence"] and not self.low[row, 0, self._columns()[row]] > 0:
            return f"not surely above 0 ({figure})"
        return f"not beyond the null ({figure})"

    def layer_profile(self, name: str) -> Array:
        """Effect of a boundary on its own semantic, for each layer alone: ``[L]``."""
        row = self.row(name)
        return self.effect[row, 1:, self._columns()[row]]

    def best_layer(self, name: str) -> int | None:
        """The layer with the largest effect, of either sign; None where that is not known."""
        layer = int(self.top_layer[self.row(name)])
        return None if layer < 0 else layer

    def screening_correlation(self, name: str) -> float | None:
        """Between the screened profile of a boundary and the measured one; None where one is missing."""
        row = self.row(name)
        screened, measured = self.screening[row], self.layer_profile(name)
        both = np.isfinite(screened) & np.isfinite(measured)
        if both.sum() < 3:
            return None
        correlation = float(profile_correlation(screened[both], measured[both]))
        return correlation if math.isfinite(correlation) else None

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
        weights = np.where(self.layer_beats_null[row], np.abs(self.layer_profile(name)), 0.0)
        if not (self.beats_null[row] and weights.any()):
            return None
        return float(np.average(np.arange(len(weights)), weights=weights))

    def mean_layer_by_level(self) -> dict[str, float | None]:
        """The mean of the mean layers of each level's semantics; None where none of them has one.

        Semantics count alike, because the scores of each have their own unit.
        """
        means: dict[str, list[float]] = {level: [] for level in LEVELS}
        for name, column in zip(self.boundary_names, self._columns(), strict=True):
            if (mean := self.mean_layer(name)) is not None:
                means[self.semantics[column].level].append(mean)
        return {level: float(np.mean(values)) if values else None for level, values in means.items()}

    def to_json(self) -> dict[str, Any]:
        """One object of plain values, as ``higan-fast verify --json`` prints it; semantics as ranked."""
        entries, adjusted = [], self.adjusted_p_values()
        for name in self.rank():
            row = self.row(name)
            column = self._columns()[row]
            profile = [
                {"layer": layer.index, "screened": _plain(self.screening[row, place])}
                | self._figures(row, 1 + place, column)
                for place, layer in enumerate(self.layers)
            ]
            entries.append(
                {
                    "name": name,
                    "level": self.semantics[column].level,
                    **self._figures(row, 0, column),
                    "null_low": _plain(self.null_low[0, column]),
                    "null_high": _plain(self.null_high[0, column]),
                    "p_adjusted": float(adjusted[row]),
                    "beats_null": bool(self.beats_null[row]),
                    "best_layer": self.best_layer(name),
                    "samples": int(self.samples[row].max()),
                    "screening_correlation": self.screening_correlation(name),
                    "profile": profile,
                }
            )
        return {
            "semantics": entries,
            "mean_layer_by_level": self.mean_layer_by_level(),
            "images": self.images,
            "images_fixed": self.images_fixed,
            "settings": self.settings,
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
        return cls(**read_fields(path))

    def _figures(self, row: int, layer_set: int, column: int) -> dict[str, float | None]:
        names = ["effect", "standard_error", "low", "high", "higan_delta"]
        names += ["even", "even_error", "even_low", "even_high"]
        return {name: _plain(getattr(self, name)[row, layer_set, column]) for name in names}

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
