"""The result of a sweep: what every score does along a dose of steps, and what is claimed of that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.generators.base import Layer
from higan_fast.predictors.base import Semantic
from higan_fast.probing.layers import format_layers
from higan_fast.probing.result_files import kept_result, load_result, replace_result
from higan_fast.statistics.dose import LARGE_OFF_TARGET, SIDES, estimated_saturation
from higan_fast.statistics.effects import in_deviations
from higan_fast.tables import csv_text

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

FIGURES = ("change", "low", "high")
COLUMNS = (
    *("boundary", "layers", "step", "step_unit", "semantic", *FIGURES),
    *("asymptotic", "deviation", "change_in_deviations", "samples"),
)


@dataclass(frozen=True, eq=False, repr=False)
class Sweep:
    """Mean changes of S scores at T steps along C curves: a boundary on all layers, or on those that act.

    All claims together hold with the probability ``settings["confidence"]``; where there is none, that is
    NaN, and the samples did not suffice or there is nothing to claim. ``settings["part"]`` is the part of a
    rise that counts as nothing.

    Attributes:
        semantics: all that the predictor scores.
        boundary_names: of each curve; each is named after its own semantic, the target.
        layers: of the generator; none for boundaries in z, which move all.
        moved: which layers move, ``[C, L]``.
        steps: sorted; 0 is the sample as it is, ``[T]``.
        change: mean of the score less that of the sample as it is, ``[C, T, S]``.
        low: lower end of its interval, ``[C, T, S]``, not corrected for their number. By betting where the
            range of the score is known; elsewhere Student's, which is ``asymptotic``, and infinite where
            too few samples changed the score.
        high: upper end, ``[C, T, S]``.
        rises: whether a curve surely rises throughout, ``[C]``: no step back along it is larger than the part
            of its whole rise.
        turns: two steps between which it surely falls by more than that, ``[C, 2]``.
        saturates: from which step back, and from which step forth, further ones surely add less than the part
            of what was reached there, where a straight line would add at least twice as much, ``[C, 2]``.
        reverses: at which step another score surely goes along with the steps, and at which against them,
            ``[C, S, 2]``.
        exceeds: from which step back, and from which step forth, another score surely changes by more than
            half of what the target does, both in standard deviations, ``[C, S, 2]``.
        deviation: standard deviation of each score, ``[S]``; 0: it is the same for all samples.
        ranges: between what each score lies, ``[S, 2]``; −inf and inf where that is not known.
        samples: how many there were.
        images: how many were synthesised.
        settings: how they were made.
    """

    semantics: tuple[Semantic, ...]
    boundary_names: tuple[str, ...]
    layers: tuple[Layer, ...]
    moved: BoolArray
    steps: Array
    change: Array
    low: Array
    high: Array
    rises: BoolArray
    turns: Array
    saturates: Array
    reverses: Array
    exceeds: Array
    deviation: Array
    ranges: Array
    samples: int
    images: int
    settings: dict[str, Any]

    def __repr__(self) -> str:
        from higan_fast.probing.sweep_words import sweep_table  # which knows this module

        return sweep_table(self).text()

    def _repr_html_(self) -> str:
        from higan_fast.probing.sweep_words import sweep_table

        return sweep_table(self).html()

    @property
    def asymptotic(self) -> BoolArray:
        """Whose intervals hold only as samples grow many, ``[S]``: those of scores without a known range."""
        return np.asarray(~np.isfinite(self.ranges).all(axis=1))

    @property
    def columns(self) -> list[int]:
        """The column of each curve's target."""
        names = [semantic.name for semantic in self.semantics]
        return [names.index(name) for name in self.boundary_names]

    def on_all(self, curve: int) -> bool:
        """Whether all layers move."""
        return bool(self.moved[curve].all())

    def curve(self, name: str, acting: bool = False) -> int | None:
        """Where the curve of a boundary stands, on all layers or on those that act; None: there is none.

        Raises:
            KeyError: when no curve is of this boundary.
        """
        if name not in self.boundary_names:
            swept = ", ".join(dict.fromkeys(self.boundary_names))
            raise KeyError(f"{name!r} was not swept; there are {swept}")
        return next((c for c in self.curves(acting) if self.boundary_names[c] == name), None)

    def curves(self, acting: bool = False) -> list[int]:
        """The curves on all layers, or those on the layers that act alone."""
        return [c for c in range(len(self.boundary_names)) if self.on_all(c) != acting]

    def in_deviations(self, figure: str = "change") -> Array:
        """Returns one of the figures ``[C, T, S]`` in standard deviations of each score; NaN: it has none."""
        return in_deviations(getattr(self, figure), self.deviation)

    def target(self, figure: str = "change") -> Array:
        """Returns a figure of each curve's own semantic, in its own unit: ``[C, T]``."""
        return np.asarray(getattr(self, figure)[np.arange(len(self.boundary_names)), :, self.columns])

    def suggested_step(self, curve: int) -> float | None:
        """The largest size of a step that the estimates speak for; None: not even the smallest.

        Neither way does the curve saturate before it, nor does another score change by more than half of the
        target, both in standard deviations. It is an estimate and no claim.
        """
        saturates = estimated_saturation(self.target(), self.steps, self.settings["part"])[curve]
        column, relative = self.columns[curve], np.abs(np.nan_to_num(self.in_deviations()[curve]))
        others = np.delete(relative, column, axis=1).max(axis=1, initial=0.0)
        large = others > LARGE_OFF_TARGET * relative[:, column]
        along = np.sign(self.steps) * self.target()[curve] > 0
        most = []
        for index, side in enumerate(SIDES):
            sizes = np.abs(self.steps[np.sign(self.steps) == side])
            if not sizes.size:
                continue
            ends = abs(saturates[index]) if math.isfinite(saturates[index]) else math.inf
            wrong = (large | ~along) & (np.sign(self.steps) == side)
            bad = np.abs(self.steps[wrong]).min(initial=math.inf)
            good = [size for size in sizes if size <= ends and size < bad]
            most.append(float(max(good, default=0.0)))
        return min(most) or None

    def suggested(self) -> float | None:
        """The largest step that suits at least half of the boundaries that have one, on all layers."""
        found = sorted(filter(None, map(self.suggested_step, self.curves())), reverse=True)
        return found[(len(found) - 1) // 2] if found else None

    def to_json(self) -> dict[str, Any]:
        """One object of plain values, as ``higan-fast dose --json`` prints it."""
        from higan_fast.probing.sweep_words import sentences

        relative, names = self.in_deviations(), [semantic.name for semantic in self.semantics]
        curves = []
        for c, name in enumerate(self.boundary_names):
            others = [k for k, other in enumerate(names) if other != name]
            curves.append(
                {
                    "boundary": name,
                    "layers": self.layers_in_words(c),
                    "rises": bool(self.rises[c]),
                    "turns": _pair(self.turns[c]),
                    "saturates": dict(zip(("back", "forth"), map(_plain, self.saturates[c]), strict=True)),
                    "reverses": {
                        names[k]: {"along": pair[0], "against": pair[1]}
                        for k in others
                        if (pair := _pair(self.reverses[c, k])) is not None
                    },
                    "exceeds": {
                        names[k]: dict(zip(("back", "forth"), map(_plain, self.exceeds[c, k]), strict=True))
                        for k in others
                        if np.isfinite(self.exceeds[c, k]).any()
                    },
                    "suggested_step": self.suggested_step(c),
                    "scores": {
                        other: [
                            {
                                "step": float(step),
                                **{figure: _plain(getattr(self, figure)[c, t, k]) for figure in FIGURES},
                                "change_in_deviations": _plain(relative[c, t, k]),
                            }
                            for t, step in enumerate(self.steps)
                        ]
                        for k, other in enumerate(names)
                    },
                }
            )
        return {
            "curves": curves,
            "sentences": list(sentences(self)),
            "suggested_step": self.suggested(),
            "steps": self.steps.tolist(),
            "deviation": dict(zip(names, map(float, self.deviation), strict=True)),
            "asymptotic": dict(zip(names, map(bool, self.asymptotic), strict=True)),
            "samples": self.samples,
            "images": self.images,
            "settings": self.settings,
        }

    def to_csv(self) -> str:
        """CSV text with a header: a row for each boundary, set of layers, step and semantic.

        An end that an interval does not have is empty, and so is what has no unit.
        """
        rows: list[dict[str, Any]] = []
        relative = self.in_deviations()
        for c, name in enumerate(self.boundary_names):
            for t, step in enumerate(self.steps):
                for k, semantic in enumerate(self.semantics):
                    figures = {figure: getattr(self, figure)[c, t, k] for figure in FIGURES}
                    figures |= {"deviation": self.deviation[k], "change_in_deviations": relative[c, t, k]}
                    rows.append(
                        {
                            "boundary": name,
                            "layers": self.layers_in_words(c),
                            "step": float(step),
                            "step_unit": self.settings["step_unit"],
                            "semantic": semantic.name,
                            **{key: _plain(value) for key, value in figures.items()},
                            "asymptotic": "true" if self.asymptotic[k] else "false",
                            "samples": self.samples,
                        }
                    )
        return csv_text(COLUMNS, rows)

    def layers_in_words(self, curve: int) -> str:
        """``"all"``, or those that move: ``"0-2"``."""
        return "all" if self.on_all(curve) else format_layers(np.flatnonzero(self.moved[curve]).tolist())

    def save(self, path: str | Path, key: str = "") -> None:
        """Writes an .npz file with every field, and a key; says what is lost of one that was there."""
        replace_result(path, self, key)

    @classmethod
    def load(cls, path: str | Path) -> Sweep:
        """Reads what ``save`` wrote.

        Raises:
            DamagedError: when the file does not hold a sweep of this version, or is damaged.
        """
        return load_result(cls, path, "a sweep", "dose")

    @classmethod
    def kept(cls, path: Path, key: str) -> Sweep | None:
        """As ``kept_result``."""
        return kept_result(cls, path, key, "num")


def _plain(value: float) -> float | None:
    """A number for JSON, which has none for what does not exist."""
    return float(value) if math.isfinite(value) else None


def _pair(values: Array) -> list[float] | None:
    return None if not np.isfinite(values).all() else [float(value) for value in values]
