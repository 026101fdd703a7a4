"""What moving codes changed: scores of their images before and after, beside what a verification expects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundary, StepUnit
from higan_fast.engine.engine import Engine
from higan_fast.engine.inputs import as_codes
from higan_fast.generators.base import Generator
from higan_fast.predictors.base import Predictor
from higan_fast.probing.layers import Layers, parse_layers
from higan_fast.probing.manipulation import moves_along
from higan_fast.probing.results import Verification

Array = NDArray[np.float64]

CHANGED = 0.25  # standard deviations of a score over samples, from which on it counts as changed


@dataclass(frozen=True, eq=False)
class Moved:
    """Scores of N images before and after one step along a boundary, or along several at once.

    Attributes:
        boundary_names: along which.
        semantics: names of the scores.
        step: how far.
        before: ``[N, S]``.
        after: ``[N, S]``.
        deviation: standard deviation of each score over samples, ``[S]``; 0: it is the same for all.
        expected: mean change of each score in samples, by the verification's effects, ``[S]``; NaN: unknown.
    """

    boundary_names: tuple[str, ...]
    semantics: tuple[str, ...]
    step: float
    before: Array
    after: Array
    deviation: Array
    expected: Array

    @classmethod
    def joined(cls, parts: Sequence[Moved]) -> Moved:
        """Those of several sets of images, one after the other."""
        before, after = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("before", "after")
        )
        return replace(parts[0], before=before, after=after)

    @property
    def change(self) -> Array:
        """Of each score in its standard deviations, ``[N, S]``; NaN where it is the same for all samples."""
        return self._in_deviations(self.after - self.before)

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Which images each boundary changed on its own score, in the direction of the step, ``[N, B]``."""
        own = [self.semantics.index(name) for name in self.boundary_names if name in self.semantics]
        return np.asarray(np.sign(self.step) * self.change[:, own] >= CHANGED)

    def lines(self, images: Sequence[str]) -> list[str]:
        """A line for each image, and one for all of them."""
        targets = [name for name in self.boundary_names if name in self.semantics]
        expected = self._in_deviations(self.expected)
        others = [name for name in self.semantics if name not in targets]
        found = []
        for row, image in enumerate(images):
            own = "; ".join(self._of_target(name, row, expected) for name in targets)
            beside = [
                f"{name} {_signed(self.change[row, column])}{_of_samples(expected[column])}"
                for name in others
                if abs(self.change[row, column := self.semantics.index(name)]) >= CHANGED
            ]
            found.append(
                f"{image}: {own}" + (f"; beside: {', '.join(beside)}" if beside else "; nothing beside")
            )
        for place, name in enumerate(targets):
            count = int(self.changed[:, place].sum())
            found.append(
                f"{name}: moved {CHANGED:g} SD or more the way of the step in {count} of "
                f"{len(self.before)} images"
            )
        return found

    def _of_target(self, name: str, row: int, expected: Array) -> str:
        column = self.semantics.index(name)
        return (
            f"{name} {self.before[row, column]:.3f} → {self.after[row, column]:.3f} at {self.step:+g}, "
            f"{_signed(self.change[row, column])} SD{_of_samples(expected[column])}"
        )

    def _in_deviations(self, scores: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(self.deviation > 0, scores / self.deviation, np.nan))


@torch.no_grad()
def measure_move(
    generator: Generator,
    predictor: Predictor,
    codes: Any,
    boundaries: Sequence[Boundary],
    verification: Verification | None,
    deviation: Array,
    layers: Layers = "all",
    step: float = 3.0,
    *,
    drawn_by: Generator | None = None,
    step_unit: StepUnit = "norm",
    truncation_psi: float | None = None,
    truncation_layers: int | None = None,
    batch_size: int | None = None,
) -> Moved:
    """Scores images before and after a step along boundaries.

    Args:
        codes: layer codes ``[N, L, D]``.
        verification: what says how far samples move; None: nothing does.
        deviation: of each score over samples, ``[S]``.
        drawn_by: as of ``manipulate``, as are the others.

    Raises:
        ValueError: as ``manipulate``.
    """
    codes = as_codes(codes, generator)
    chosen = parse_layers(layers, generator.num_layers)
    moves = moves_along(generator, boundaries, chosen, step_unit, truncation_psi, truncation_layers)
    engine = Engine(drawn_by or generator, predictor, batch_size=batch_size)
    moved = (codes.double() + step * moves.sum(dim=0)).to(codes)
    before, after = (engine.scores(each).double().cpu().numpy() for each in (codes, moved))
    names = tuple(predictor.names)
    expected = _expected(verification, boundaries, chosen, step, step_unit, generator.num_layers, len(names))
    return Moved(tuple(b.name for b in boundaries), names, step, before, after, deviation, expected)


def _expected(
    verification: Verification | None,
    boundaries: Sequence[Boundary],
    layers: Sequence[int],
    step: float,
    step_unit: StepUnit,
    num_layers: int,
    num_semantics: int,
) -> Array:
    """What the effects of boundaries on these layers add up to, ``[S]``; NaN where one was not measured."""
    known = None if verification is None else verification.settings
    row = 0 if len(layers) == num_layers else 1 + layers[0] if len(layers) == 1 else None
    names = [boundary.name for boundary in boundaries]
    if (
        verification is None or known is None or row is None or known["step_unit"] != step_unit
        or not set(names) <= set(verification.boundary_names) or row >= verification.effect.shape[1]
    ):  # fmt: skip
        return np.full(num_semantics, math.nan)
    of_each = [verification.effect[verification.boundary_names.index(name), row] for name in names]
    return np.asarray(np.sum(of_each, axis=0) * (step / known["step"]))


def _signed(change: float) -> str:
    return f"{change:+.2f}".replace("-", "−")


def _of_samples(expected: float) -> str:
    return "" if math.isnan(expected) else f" (samples {_signed(expected)})"
