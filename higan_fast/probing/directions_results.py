"""The result of verifying directions: which semantics each surely moves, and on which layer most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.generators.base import Layer
from higan_fast.predictors.base import Semantic
from higan_fast.probing.result_files import load_result, replace_result
from higan_fast.statistics.effects import in_deviations
from higan_fast.tables import Table, csv_text, shown

Array = NDArray[np.float64]

# In a run folder: of directions in codes, and in styles.
DIRECTIONS_FILES = ("directions.npz", "channels.npz")

CLAIMS = ("p_value", "p_adjusted", "p_required", "moves", "undecided", "top_layer", "top_layer_sure")
COLUMNS = (
    *("direction", "layers", "semantic", "level", "effect", "low", "high", "effect_in_deviations", "samples"),
    *CLAIMS,
)

# Said wherever a style layer has a number, which is not that of its code.
STYLE_LAYERS = (
    "style layers are numbered through all that read a style, to-RGB layers too; these are not the numbers "
    "of layer codes, which layers and show give"
)


@dataclass(frozen=True, eq=False, repr=False)
class Directions:
    """What B directions do to S semantics, on all layers together and on each of L alone.

    Attributes:
        boundary_names: of the directions.
        semantics: all that the predictor scores.
        layers: of the generator; none where one moves all.
        effect: of one step on each score, ``[B, 1 + L, S]``, all layers first; NaN where it was not measured.
        low: lower end of each one's own interval, of ``settings["confidence"]`` ...
        high: ... and upper end.
        p_values: of the effect on all layers against random directions, two-sided, ``[B, S]``, at the last
            look at it ...
        p_adjusted: ... by Holm's rule over all pairs ...
        p_required: ... and what that must not exceed.
        sign: 1 or −1 where a direction surely moves a semantic, beyond random ones; else 0, ``[B, S]``.
        undecided: whether more samples might tell more, ``[B, S]``.
        top_layer: on which layer alone the effect is largest in magnitude, ``[B, S]``; −1: none was
            measured.
        top_layer_sure: whether it surely is.
        deviation: standard deviation of each score, ``[S]``.
        samples: on how many each effect was measured, ``[B, 1 + L]``.
        images: how many were scored.
        settings: how it was made.
    """

    boundary_names: tuple[str, ...]
    semantics: tuple[Semantic, ...]
    layers: tuple[Layer, ...]
    effect: Array
    low: Array
    high: Array
    p_values: Array
    p_adjusted: Array
    p_required: Array
    sign: NDArray[np.int8]
    undecided: NDArray[np.bool_]
    top_layer: NDArray[np.int64]
    top_layer_sure: NDArray[np.bool_]
    deviation: Array
    samples: NDArray[np.int64]
    images: int
    settings: dict[str, Any]

    @property
    def most_samples(self) -> int:
        """How many base samples were moved."""
        return int(self.samples.max())

    @property
    def samples_in_words(self) -> str:
        """``"64"``, or ``"at most 512"`` where some effects took fewer."""
        fewest = self.samples[self.samples > 0].min()
        return f"{'at most ' if fewest < self.most_samples else ''}{self.most_samples:,}"

    def moved_by(self, name: str) -> list[str]:
        """The semantics that a direction surely moves, the largest effect in standard deviations first."""
        row = self.boundary_names.index(name)
        relative = np.abs(in_deviations(self.effect[row, 0], self.deviation))
        columns = np.flatnonzero(self.sign[row])
        return [self.semantics[column].name for column in columns[np.argsort(-relative[columns])]]

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_html_(self) -> str:
        return self.table().html()

    def to_json(self) -> dict[str, Any]:
        """One object of plain values, as ``higan-fast directions --json`` prints it."""
        rows = list(self.rows())
        return {
            "directions": [
                {
                    "name": name,
                    "moves": self.moved_by(name),
                    "effects": [{k: v for k, v in row.items() if k != "direction"} for row in rows
                                if row["direction"] == name],
                }
                for name in self.boundary_names
            ],
            "samples": self.most_samples,
            "undecided": int(self.undecided.sum()),
            "images": self.images,
            "settings": self.settings,
        }  # fmt: skip

    def to_csv(self) -> str:
        """A row for each direction, set of layers and semantic."""
        return csv_text(COLUMNS, self.rows())

    @property
    def of_styles(self) -> bool:
        """Whether the directions are in the style space, and the layers those that read styles."""
        return bool(self.settings["space"] == "styles")

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row of plain values for each direction, set of layers and semantic, named as in ``COLUMNS``."""
        relative = in_deviations(self.effect, self.deviation)
        for row, name in enumerate(self.boundary_names):
            for place in range(self.effect.shape[1]):
                for column, semantic in enumerate(self.semantics):
                    where = row, place, column
                    yield {
                        "direction": name,
                        "layers": "all" if place == 0 else str(place - 1),
                        "semantic": semantic.name,
                        "level": semantic.level,
                        "effect": _finite(self.effect[where]),
                        "low": _finite(self.low[where]),
                        "high": _finite(self.high[where]),
                        "effect_in_deviations": _finite(relative[where]),
                        "samples": int(self.samples[row, place]),
                        **(self._claims(row, column) if place == 0 else dict.fromkeys(CLAIMS)),
                    }

    def _claims(self, row: int, column: int) -> dict[str, Any]:
        top = int(self.top_layer[row, column])
        return {
            "p_value": float(self.p_values[row, column]),
            "p_adjusted": float(self.p_adjusted[row, column]),
            "p_required": float(self.p_required[row, column]),
            "moves": int(self.sign[row, column]),
            "undecided": bool(self.undecided[row, column]),
            "top_layer": None if top < 0 else top,
            "top_layer_sure": bool(self.top_layer_sure[row, column]),
        }

    def table(self) -> Table:
        """What each surely moves, the largest effects first."""
        where = "on style layer" if self.of_styles else "most on layer"
        head = ("direction", "moves", "in SD", "interval", "p (Holm)", where)
        rows, still = [], []
        names = [semantic.name for semantic in self.semantics]
        with np.errstate(invalid="ignore", divide="ignore"):
            effect, low, high = (
                in_deviations(part[:, 0], self.deviation) for part in (self.effect, self.low, self.high)
            )
        for row, name in enumerate(self.boundary_names):
            moved = self.moved_by(name)
            still += [] if moved else [name]
            for semantic in moved:
                at = row, names.index(semantic)
                top = int(self.top_layer[at])
                layer = "–" if top < 0 else f"{top} {self.layers[top].name}"
                layer += "" if top < 0 or self.top_layer_sure[at] else ", not for sure"
                ends = f"[{shown(low[at], '+.2f')}, {shown(high[at], '+.2f')}]"
                p = f"{self.p_adjusted[at]:.2g}"
                rows.append((name, semantic, shown(effect[at], "+.2f"), ends, p, layer))
        how = f"a step of {self.settings['step']:g} in {self.settings['step_unit']}"
        caption = (
            f"{len(self.boundary_names)} direction{'s' * (len(self.boundary_names) != 1)}, "
            f"{len(names)} semantics, {how}, {self.samples_in_words} "
            f"samples, {self.images:,} images; beyond {self.settings['num_null']} random directions of each "
            f"kind, corrected for all pairs at {1 - self.settings['confidence']:.2g}"
        )
        notes = [f"nothing is shown to be moved by {', '.join(still)}"] if still else []
        if self.undecided.any():
            num = int(self.undecided.sum())
            notes.append(f"{num} pair{'s are' if num > 1 else ' is'} open: more samples might tell more")
        if self.of_styles:
            notes.append(STYLE_LAYERS)
        return Table(caption, head, rows, notes)

    def save(self, path: str | Path) -> None:
        """Writes an .npz file with every field; says what is lost of one that was there."""
        replace_result(path, self, "")

    @classmethod
    def load(cls, path: str | Path) -> Directions:
        """Reads what ``save`` wrote.

        Raises:
            DamagedError: if the file does not hold such a result of this version, or is damaged.
        """
        return load_result(cls, path, "directions", "directions")


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
