"""The result of comparing methods: what the boundaries of each move at equal displacement, and what else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.predictors.base import Semantic
from higan_fast.probing.result_files import kept_result, load_result, replace_result
from higan_fast.tables import Table, csv_text, shown

Array = NDArray[np.float64]

OF_FIT = ("accuracy", "cosine", "step_in_sd")
OF_EACH = (*OF_FIT, "effect", "effect_error", "off_target", "off_target_error", "difference", "low", "high")
OFF_TARGET = ("off_target_difference", "off_target_low", "off_target_high")
COLUMNS = ("method", "semantic", "level", *OF_EACH, *OFF_TARGET, "deviation", "codes")

UNKNOWN = "not told apart"


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What the boundaries of K methods move, for the B semantics that all of them can fit.

    All boundaries were moved by the same step on the same codes, which no fit has seen. Effects, off-target
    changes and their differences are in standard deviations of the scores. A difference is that from the
    first method, paired code by code. All intervals of differences hold together with the probability
    ``settings["confidence"]``, as the number of codes grows: of these boundaries, not of others that the
    methods would give on other samples.

    Attributes:
        methods: "svm=0.01", "difference" and so on; the first is what the others are compared with.
        semantics: all that the predictor scores.
        boundary_names: of the B semantics.
        accuracy: on held-out samples, ``[K, B]``.
        cosine: between the normals fitted to two halves of the samples; NaN for "gradient", which is not
            fitted to samples, and where a half is too small, ``[K, B]``.
        step_in_sd: length of the step in standard deviations of the codes along the normal, ``[K, B]``.
        effect: of the step on the own score, ``[K, B]``.
        effect_error: its standard error.
        off_target: root mean square over all other scores of the true mean change: what noise adds to it is
            subtracted (``squared_means``), so that it can be 0, ``[K, B]``; NaN without other scores.
        off_target_error: its standard error; NaN where that is not known.
        difference: of the effect from the first method's, ``[K, B]``; the first row is NaN.
        low: lower end of its interval; infinite where too few codes changed the score to tell.
        high: upper end.
        means: over the semantics, each ``[K]``: "effect" and the others as above; "off_target" is the root
            of the mean of the squares, and "off_target_difference", "off_target_low" and "off_target_high"
            compare that with the first method's.
        deviation: standard deviation of each of the B scores over the samples.
        codes: how many there were.
        images: how many were synthesised to measure effects.
        skipped: methods, and semantics, that were left out → why.
        settings: how it was made.
    """

    methods: tuple[str, ...]
    semantics: tuple[Semantic, ...]
    boundary_names: tuple[str, ...]
    accuracy: Array
    cosine: Array
    step_in_sd: Array
    effect: Array
    effect_error: Array
    off_target: Array
    off_target_error: Array
    difference: Array
    low: Array
    high: Array
    mean_effect: Array
    mean_effect_error: Array
    mean_off_target: Array
    mean_off_target_error: Array
    mean_difference: Array
    mean_low: Array
    mean_high: Array
    off_target_difference: Array
    off_target_low: Array
    off_target_high: Array
    deviation: Array
    codes: int
    images: int
    skipped: dict[str, str]
    settings: dict[str, Any]

    def __repr__(self) -> str:
        return _table(self).text()

    def _repr_html_(self) -> str:
        return _table(self).html()

    @property
    def level_of(self) -> dict[str, str]:
        """The level of each semantic."""
        return {semantic.name: semantic.level for semantic in self.semantics}

    def moves(self, method: int, row: int | None = None) -> int:
        """1 where a method surely moves more than the first, −1 where less, 0 where that cannot be told.

        Args:
            method: which of the methods.
            row: which of the semantics; None: all, on average.
        """
        if row is None:
            return _sign(self.mean_low[method], self.mean_high[method])
        return _sign(self.low[method, row], self.high[method, row])

    def moves_else(self, method: int) -> int:
        """As ``moves``, of what a method changes off target, all semantics together."""
        return _sign(self.off_target_low[method], self.off_target_high[method])

    def mean_of(self, name: str, method: int) -> float:
        """The mean over the semantics of "accuracy", "cosine" or "step_in_sd"; NaN where there is none."""
        values = getattr(self, name)[method]
        values = values[np.isfinite(values)]
        return float(values.mean()) if len(values) else math.nan

    def to_json(self) -> dict[str, Any]:
        """One object of plain values, as ``higan-fast methods --json`` prints it."""
        return {
            "compared_with": self.methods[0],
            "methods": [
                {
                    "method": name,
                    **{key: _plain(value) for key, value in self._means(place).items()},
                    "moves": _verdict(place, self.moves(place)),
                    "moves_off_target": _verdict(place, self.moves_else(place)),
                    "semantics": [
                        {
                            "name": semantic,
                            **{key: _plain(getattr(self, key)[place, row]) for key in OF_EACH},
                            "moves": _verdict(place, self.moves(place, row)),
                        }
                        for row, semantic in enumerate(self.boundary_names)
                    ],
                }
                for place, name in enumerate(self.methods)
            ],
            "skipped": self.skipped,
            "codes": self.codes,
            "images": self.images,
            "settings": self.settings,
        }

    def to_csv(self) -> str:
        """CSV text with a header, a row for each method, and one for each of its semantics.

        The row of a method has no semantic, and means over all. Effects and changes off target are in
        standard deviations of the scores; ``deviation`` is that of the semantic's. What there is not is
        empty.
        """
        rows: list[dict[str, Any]] = []
        for place, name in enumerate(self.methods):
            about = {"method": name, "codes": self.codes}
            rows.append(about | {key: _cell(value) for key, value in self._means(place).items()})
            for row, semantic in enumerate(self.boundary_names):
                figures = {key: _cell(getattr(self, key)[place, row]) for key in OF_EACH}
                of = {
                    "semantic": semantic,
                    "level": self.level_of[semantic],
                    "deviation": self.deviation[row],
                }
                rows.append(about | of | figures)
        return csv_text(COLUMNS, rows)

    def _means(self, method: int) -> dict[str, float]:
        """The figures of a method over all semantics, as columns of a row."""
        named = {key: f"mean_{key}" for key in OF_EACH if key not in OF_FIT} | {
            key: key for key in OFF_TARGET
        }
        of_effects = {key: float(getattr(self, field)[method]) for key, field in named.items()}
        return {key: self.mean_of(key, method) for key in OF_FIT} | of_effects

    def save(self, path: str | Path, key: str = "") -> None:
        """Writes an .npz file with every field, and a key; says what is lost of one that was there."""
        replace_result(path, self, key)

    @classmethod
    def load(cls, path: str | Path) -> Comparison:
        """Reads what ``save`` wrote.

        Raises:
            DamagedError: when the file does not hold a comparison of this version, or is damaged.
        """
        return load_result(cls, path, "a comparison", "methods")

    @classmethod
    def kept(cls, path: Path, key: str) -> Comparison | None:
        """As ``kept_result``."""
        return kept_result(cls, path, key, "codes")


def in_words(name: str) -> str:
    """``"svm=0.01"`` → ``"svm, C = 0.01"``, which breaks behind the comma alone."""
    return name.replace("=", ", C\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")


def _sign(low: float, high: float) -> int:
    return 1 if low > 0 else -1 if high < 0 else 0


def _verdict(method: int, sign: int) -> str | None:
    return None if method == 0 else {1: "more", -1: "less", 0: UNKNOWN}[sign]


def _table(found: Comparison) -> Table:
    """One row for each method, and a line for each that surely moves single semantics more or less."""
    rows = []
    for place, name in enumerate(found.methods):
        means = found._means(place)
        rows.append(
            (
                name,
                *(
                    shown(means[key], layout)
                    for key, layout in zip(OF_FIT, (".3f", ".2f", ".1f"), strict=True)
                ),
                f"{shown(means['effect'])} ± {shown(means['effect_error'])}",
                _ends(means["low"], means["high"]),
                _verdict(place, found.moves(place)) or "–",
                f"{shown(means['off_target'])} ± {shown(means['off_target_error'])}",
                _ends(means["off_target_low"], means["off_target_high"]),
                _verdict(place, found.moves_else(place)) or "–",
            )
        )
    head = ("method", "accuracy", "cosine", "step in SD", "effect in SD", "less the first's", "moves",
            "off target", "less the first's", "moves off target")  # fmt: skip
    step = f"{found.settings['step']:g} {'SD' if found.settings['step_unit'] == 'sd' else 'in length'}"
    caption = (
        f"{len(found.methods)} methods, a step of {step} along the boundaries of {len(found.boundary_names)} "
        f"semantics, {found.codes:,} fresh codes ({found.images:,} images); the intervals of all differences "
        f"hold together at {found.settings['confidence']:.4g}"
    )
    notes = [sentence for place in range(1, len(found.methods)) if (sentence := single(found, place))]
    return Table(caption, head, rows, [*notes, *(f"{what}: {why}" for what, why in found.skipped.items())])


def single(found: Comparison, method: int) -> str:
    """Which semantics a method surely moves more, or less, than the first one; empty where none."""
    parts = []
    for sign, word in ((1, "more"), (-1, "less")):
        names = [name for row, name in enumerate(found.boundary_names) if found.moves(method, row) == sign]
        if names:
            parts.append(f"{', '.join(names)} {word}")
    first = f" than {found.methods[0]}"
    return f"{found.methods[method]} moves {'; '.join(parts)}{first}" if parts else ""


def _ends(low: float, high: float) -> str:
    return f"{shown(low)} to {shown(high)}" if math.isfinite(low) and math.isfinite(high) else "–"


def _cell(value: float) -> float | str:
    return float(value) if math.isfinite(value) else ""


def _plain(value: float) -> float | None:
    """A number for JSON, which has none for what does not exist."""
    return float(value) if math.isfinite(value) else None
