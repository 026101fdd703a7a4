"""What a move does to scores on average, where that was measured: the expectation beside the live scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from higan_fast.boundaries.boundary import StepUnit
from higan_fast.explore.drawing import Active
from higan_fast.probing import Sweep, Verification

Expected = dict[str, Any]


@dataclass(frozen=True)
class Expectations:
    """Mean changes of scores by moves, from a sweep where there is one, else from the verification.

    A sweep has measured many steps, and is interpolated between them. An effect of the verification is that
    of one step, both ways: it is scaled to shorter ones, and says nothing of longer ones.

    Attributes:
        verification: None: there is none.
        sweep: likewise.
        unit: of the steps.
    """

    verification: Verification | None
    sweep: Sweep | None
    unit: StepUnit

    def of(self, moves: Sequence[Active]) -> dict[str, Expected]:
        """What is expected of each score, by its name; what was not measured on these layers is left out.

        Of one move, what it does to every score; of several, what each alone does to its own.
        """
        joined: dict[tuple[str, tuple[int, ...]], float] = {}
        for move in moves:
            key = move.semantic, move.layers
            joined[key] = joined.get(key, 0.0) + move.step
        found: dict[str, Expected] = {}
        names = [name for name, _ in joined]
        for (name, layers), step in joined.items():
            changes = self._changes(name, layers, step)
            if len(joined) > 1:
                changes = {name: changes[name]} if name in changes and names.count(name) == 1 else {}
            found |= changes
        return found

    def _changes(self, name: str, layers: tuple[int, ...], step: float) -> dict[str, Expected]:
        return self._of_sweep(name, layers, step) or self._of_verification(name, layers, step)

    def _of_sweep(self, name: str, layers: tuple[int, ...], step: float) -> dict[str, Expected]:
        sweep = self.sweep
        if sweep is None or sweep.settings["step_unit"] != self.unit:
            return {}
        moved = (np.flatnonzero(sweep.moved[c]).tolist() for c in range(len(sweep.boundary_names)))
        curve = next(
            (c for c, on in enumerate(moved) if sweep.boundary_names[c] == name and on == list(layers)), None
        )
        if curve is None or not sweep.steps[0] <= step <= sweep.steps[-1]:
            return {}
        figures = [
            [float(np.interp(step, sweep.steps, column)) for column in getattr(sweep, figure)[curve].T]
            for figure in ("change", "low", "high")
        ]
        names = [semantic.name for semantic in sweep.semantics]
        return _entries(names, figures, {"from": "dose", "interpolated": bool((sweep.steps != step).all())})

    def _of_verification(self, name: str, layers: tuple[int, ...], step: float) -> dict[str, Expected]:
        verification = self.verification
        if verification is None or name not in verification.boundary_names:
            return {}
        num, at = len(verification.layers), float(verification.settings["step"])
        if abs(step) > abs(at) or len(layers) not in (1, num):
            return {}
        row = verification.row(name)
        layer_set = 0 if len(layers) == num else 1 + layers[0]
        ends = ("low", "high") if step * at > 0 else ("high", "low")
        figures = [step / at * getattr(verification, figure)[row, layer_set] for figure in ("effect", *ends)]
        names = [semantic.name for semantic in verification.semantics]
        return _entries(names, figures, {"from": "verify", "interpolated": abs(step) != abs(at)})


def _entries(names: Sequence[str], figures: Sequence[Any], how: Expected) -> dict[str, Expected]:
    """One for each score that was measured; an end that its interval does not have is None."""
    return {
        name: {"mean": float(mean), "low": plain(low), "high": plain(high), **how}
        for name, mean, low, high in zip(names, *figures, strict=True)
        if math.isfinite(mean)
    }


def plain(value: float) -> float | None:
    """A number for JSON, which has none for what was not measured."""
    return float(value) if math.isfinite(value) else None
