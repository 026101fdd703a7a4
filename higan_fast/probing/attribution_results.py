"""The result of attributing scores to layers: total indices, their intervals, and the top layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.generators.base import Layer
from higan_fast.predictors.base import LEVELS, Semantic
from higan_fast.probing.layers import format_layers
from higan_fast.probing.result_files import kept_result, load_result, replace_result
from higan_fast.tables import Table, csv_text, shown

Array = NDArray[np.float64]

FIGURES = ("index", "standard_error", "low", "high")
COLUMNS = ("semantic", "level", "layer", *FIGURES, "may_be_top", "samples")


@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
    """Total Sobol indices of L layers for S semantics.

    An index is half the mean squared change of a score when one layer is fed the code of another sample, as
    a share of the variance of the score over samples. Indices of layers may add up to more or less than 1:
    layers may act together, and they are fed codes of the same ``w``. One alone may exceed 1, because
    the generator was not trained to draw samples with a foreign code on one layer.

    Attributes:
        semantics: all that the predictor scores.
        layers: the layers.
        index: ``[S, L]``; NaN for a score that does not vary.
        standard_error: of the index, ``[S, L]``.
        low: lower end of the index's interval, ``[S, L]``; not corrected for the number of intervals.
        high: upper end, ``[S, L]``.
        possible_top: which layers may have the largest index, ``[S, L]``. For all semantics together the
            layer that truly has is among them, with the probability ``settings["confidence"]``.
        deviation: standard deviation of each score, ``[S]``.
        samples: how many there were.
        images: how many were synthesised.
        settings: how they were made.
    """

    semantics: tuple[Semantic, ...]
    layers: tuple[Layer, ...]
    index: Array
    standard_error: Array
    low: Array
    high: Array
    possible_top: NDArray[np.bool_]
    deviation: Array
    samples: int
    images: int
    settings: dict[str, Any]

    def __repr__(self) -> str:
        return _table(self).text()

    def _repr_html_(self) -> str:
        return _table(self).html()

    def row(self, name: str) -> int:
        """Where a semantic stands in the arrays."""
        names = [semantic.name for semantic in self.semantics]
        if name not in names:
            raise KeyError(f"{name!r} was not scored; there are {', '.join(names)}")
        return names.index(name)

    def layer_profile(self, name: str) -> Array:
        """The index of each layer for a semantic: ``[L]``."""
        return self.index[self.row(name)]

    def top_layers(self, name: str) -> tuple[int, ...]:
        """The layers that may have the largest index: one where that is known, none for a steady score."""
        return tuple(int(layer) for layer in np.flatnonzero(self.possible_top[self.row(name)]))

    def best_layer(self, name: str) -> int | None:
        """The layer with the largest index; None where that is not known."""
        tops = self.top_layers(name)
        return tops[0] if len(tops) == 1 else None

    def mean_layer(self, name: str) -> float | None:
        """The mean of the layers, weighted by their indices; None for a score that does not vary."""
        profile = self.layer_profile(name)
        if not profile.sum() > 0:
            return None
        return float(np.average(np.arange(len(profile)), weights=profile))

    def mean_layer_by_level(self) -> dict[str, float | None]:
        """The mean of the mean layers of each level's semantics; None where none of them has one."""
        means: dict[str, list[float]] = {level: [] for level in LEVELS}
        for semantic in self.semantics:
            if (mean := self.mean_layer(semantic.name)) is not None:
                means[semantic.level].append(mean)
        return {level: float(np.mean(values)) if values else None for level, values in means.items()}

    def to_json(self) -> dict[str, Any]:
        """One object of plain values, as ``higan-fast layers --json`` prints it."""
        return {
            "semantics": [
                {
                    "name": semantic.name,
                    "level": semantic.level,
                    "best_layer": self.best_layer(semantic.name),
                    "top_layers": list(self.top_layers(semantic.name)),
                    "mean_layer": self.mean_layer(semantic.name),
                    "deviation": float(self.deviation[row]),
                    "profile": [
                        {
                            "layer": layer.index,
                            **{name: _plain(getattr(self, name)[row, place]) for name in FIGURES},
                            "may_be_top": bool(self.possible_top[row, place]),
                        }
                        for place, layer in enumerate(self.layers)
                    ],
                }
                for row, semantic in enumerate(self.semantics)
            ],
            "mean_layer_by_level": self.mean_layer_by_level(),
            "samples": self.samples,
            "images": self.images,
            "settings": self.settings,
        }

    def to_csv(self) -> str:
        """CSV text with a header, and a row for each semantic and layer; what there is not is empty."""
        rows: list[dict[str, Any]] = []
        for semantic in self.to_json()["semantics"]:
            for entry in semantic["profile"]:
                figures = {name: entry[name] for name in FIGURES}
                row = {"semantic": semantic["name"], "level": semantic["level"], "samples": self.samples}
                may_be_top = "true" if entry["may_be_top"] else "false"
                rows.append(row | {"layer": entry["layer"], **figures, "may_be_top": may_be_top})
        return csv_text(COLUMNS, rows)

    def save(self, path: str | Path, key: str = "") -> None:
        """Writes an .npz file with every field, and a key; says what is lost of one that was there."""
        replace_result(path, self, key)

    @classmethod
    def load(cls, path: str | Path) -> Attribution:
        """Reads what ``save`` wrote.

        Raises:
            DamagedError: when the file does not hold an attribution of this version, or is damaged.
        """
        return load_result(cls, path, "an attribution", "layers")

    @classmethod
    def kept(cls, path: Path, key: str) -> Attribution | None:
        """As ``kept_result``."""
        return kept_result(cls, path, key, "num")


def top_in_words(found: Attribution, name: str) -> str:
    """``"1 (b8.conv0)"``; ``"one of 4-5,7"`` where these cannot be told apart; a dash for a steady score."""
    tops = found.top_layers(name)
    if not tops:
        return "–"
    return f"{tops[0]} ({found.layers[tops[0]].name})" if len(tops) == 1 else f"one of {format_layers(tops)}"


def _table(found: Attribution) -> Table:
    """One row for each semantic: its top layer, with its index, and the layer that comes next."""
    rows = []
    for row, semantic in enumerate(found.semantics):
        profile = found.index[row]
        cells = ["–"] * 3
        if np.isfinite(profile).all():
            first, second = np.argsort(-profile, kind="stable")[:2]
            ends = f"{shown(float(found.low[row, first]))} to {shown(float(found.high[row, first]))}"
            cells = [shown(float(profile[first])), ends, f"{second} ({shown(float(profile[second]))})"]
        rows.append((semantic.name, semantic.level, top_in_words(found, semantic.name), *cells))
    known = sum(found.best_layer(semantic.name) is not None for semantic in found.semantics)
    num = len(found.semantics)
    caption = (
        f"Layers without a direction: the top layer of {known} of {num} semantic{'s' * (num != 1)} at "
        f"{found.settings['confidence']:.4g} ({found.samples:,} samples, {found.images:,} images)"
    )
    notes = [
        f"{name}: the score is the same for every sample"
        for name in (semantic.name for semantic in found.semantics)
        if not found.top_layers(name)
    ]
    return Table(caption, ("semantic", "level", "top layer", "index", "interval", "next layer"), rows, notes)


def _plain(value: float) -> float | None:
    """A number for JSON, which has none for what does not exist."""
    return float(value) if math.isfinite(value) else None
