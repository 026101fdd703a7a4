"""What is known of a run's semantics, for the page: verified effects, own layers, and what is not there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from higan_fast.boundaries.boundary import Boundaries, Boundary, StepUnit
from higan_fast.explore.expectations import Expectations, plain
from higan_fast.explore.heats import heats
from higan_fast.predictors.base import Semantic
from higan_fast.probing import Attribution, Sweep, Verification
from higan_fast.probing.layers import parse_layers
from higan_fast.run_folder import RunFolder
from higan_fast.sampling.samples import Samples
from higan_fast.wording import argument

T = TypeVar("T")

STEP = 3.0  # of a click, and as far as sliders go, where nothing that was measured says otherwise
ENOUGH = 20_000  # samples, that tell between what scores lie
UNITS = {"norm": "length", "sd": "SD of the codes"}


@dataclass(frozen=True)
class Facts:
    """What a run has found, of which nothing is stale.

    Attributes:
        boundaries: of the run.
        num_layers: of its generator.
        verification: None: there is none, or it is stale; so are the others.
        attribution: of layers without a direction.
        sweep: the dose-response.
        notes: why some of these are missing, and which command makes them.
    """

    boundaries: Boundaries
    num_layers: int
    verification: Verification | None
    attribution: Attribution | None
    sweep: Sweep | None
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, run: RunFolder) -> Facts:
        """Reads what is in a run folder.

        Raises:
            FileNotFoundError: when there are no boundaries.
            ValueError: when there are none that move layer codes, or they are not of the samples.
        """
        boundaries, num_layers = run.boundaries, run.generator.num_layers
        if not boundaries:
            why = "".join(f" ({name}: {reason})" for name, reason in [*boundaries.skipped.items()][:1])
            raise ValueError(
                f"{run.boundaries_file}: has no boundaries{why}; "
                f"run higan-fast fit {argument(run.path)} otherwise"
            )
        notes: list[str] = []

        def known(read: Callable[[], T | None], missing: str) -> T | None:
            try:
                found = read()
            except (FileNotFoundError, ValueError) as error:
                notes.append(str(error))
                return None
            if found is None:
                notes.append(missing)
            return found

        verification = known(lambda: run.verification, "") if run.scored_boundaries else None
        if not run.scored_boundaries:
            notes.append("The predictor scores none of the boundaries, so that no effect is verified.")
        layers = f"Layers were not measured without a direction; higan-fast layers {argument(run.path)} does."
        dose = f"Steps were not measured one by one; higan-fast dose {argument(run.path)} does."
        attribution = known(lambda: run.attribution, layers) if num_layers > 1 else None
        sweep = known(lambda: run.sweep, dose) if run.scored_boundaries else None
        if verification is not None and verification.layers and not verification.layers_measured:
            notes.append(
                "No layer was moved alone; "
                f"higan-fast verify {argument(run.path)} --decide top-layer does that."
            )
        facts = cls(boundaries, num_layers, verification, attribution, sweep, notes)
        if not facts.movable:
            raise ValueError(facts._why_still(next(iter(boundaries.values()))))
        return facts

    @property
    def unit(self) -> StepUnit:
        """Of all steps: that of the verification; without one that of the sweep."""
        for found in (self.verification, self.sweep):
            if found is not None:
                unit: StepUnit = found.settings.get("step_unit", "norm")
                return unit
        return "norm"

    @property
    def movable(self) -> list[str]:
        """Names of the boundaries along which steps in this unit are known."""
        return [name for name, each in self.boundaries.items() if self._why_still(each) is None]

    def _why_still(self, boundary: Boundary) -> str | None:
        try:
            boundary.per_step(self.unit)
        except ValueError as error:
            return str(error)
        return None

    @property
    def expectations(self) -> Expectations:
        return Expectations(self.verification, self.sweep, self.unit)

    def own_layers(self, name: str) -> list[int]:
        """The layers that a semantic's slider moves at first: see ``_own_layers``."""
        return self._own_layers(self.boundaries[name])[0]

    def described(self, samples: Samples) -> dict[str, Any]:
        """What the page shows of semantics and their scores, as JSON values."""
        semantics = samples.semantics
        scored = {semantic.name for semantic in semantics}
        return {
            "unit": self.unit,
            "unit_words": UNITS[self.unit],
            "semantics": [
                *(self._with_boundary(name, name in scored) for name in self._in_order()),
                *(self._still(semantic) for semantic in semantics if semantic.name not in self.boundaries),
            ],
            "scores": _typical(samples),
            "heats": heats(self.verification, self.attribution),
            "confidence": {
                "verify": self.verification and self.verification.settings.get("confidence"),
                "dose": self.sweep and self.sweep.settings.get("confidence"),
            },
            "notes": self.notes,
        }

    def _in_order(self) -> list[str]:
        """The boundaries: as the verification ranks them, and then the others."""
        ranked = [] if self.verification is None else self.verification.rank()
        return [*ranked, *(name for name in self.boundaries if name not in ranked)]

    def _with_boundary(self, name: str, scored: bool) -> dict[str, Any]:
        boundary, verification = self.boundaries[name], self.verification
        still = self._why_still(boundary)
        status, why = "not verified", "It was not verified; higan-fast verify does that."
        if verification is not None and name in verification.boundary_names:
            status, why = verification.status(name), verification.reason(name)
        elif not scored:
            why = "Nothing scores it, so that its own effect cannot be verified."
        layers, layers_from = self._own_layers(boundary)
        reach, step, step_from = self._steps(name)
        return {
            "name": name,
            "level": boundary.level,
            "movable": still is None,
            "scored": scored,
            "status": status,
            "why": still or why,
            "layers": layers,
            "layers_from": layers_from,
            "range": [-reach, reach],
            "step": step,
            "step_from": step_from,
            "effect": self._effect(name),
        }

    def _still(self, semantic: Semantic) -> dict[str, Any]:
        """A semantic that is scored, and has no boundary."""
        return {
            "name": semantic.name,
            "level": semantic.level,
            "movable": False,
            "scored": True,
            "status": "no boundary",
            "why": self.boundaries.skipped.get(semantic.name, "No boundary was fitted for it."),
            "layers": [],
            "layers_from": "all",
            "range": [-STEP, STEP],
            "step": STEP,
            "step_from": None,
            "effect": None,
        }

    def _own_layers(self, boundary: Boundary) -> tuple[list[int], str]:
        """The layers that surely act alone; else those that its author recommends; else all."""
        verification = self.verification
        if verification is not None and boundary.name in verification.boundary_names:
            acting = np.flatnonzero(verification.layer_beats_null[verification.row(boundary.name)])
            if len(acting):
                return acting.tolist(), "verified"
        if boundary.layers is not None:
            try:
                return list(parse_layers(boundary.layers, self.num_layers)), "boundary"
            except ValueError:  # of another generator
                pass
        return list(range(self.num_layers)), "all"

    def _steps(self, name: str) -> tuple[float, float, str | None]:
        """How far a slider goes either way, how far a click, and from what: ``dose``, ``verify``, or nothing.

        A sweep suggests a step; where it does not, a click goes as far as the verification did.
        """
        sweep, verification, reach = self.sweep, self.verification, STEP
        if sweep is not None and name in sweep.boundary_names and sweep.settings["step_unit"] == self.unit:
            curves = [curve for acting in (True, False) if (curve := sweep.curve(name, acting)) is not None]
            suggested = next(filter(None, map(sweep.suggested_step, curves)), None)
            reach = float(np.abs(sweep.steps).max())
            if suggested is not None:
                return reach, suggested, "dose"
        if verification is not None and name in verification.boundary_names:
            verified = abs(float(verification.settings["step"]))
            return max(reach, verified), verified, "verify"
        return reach, min(STEP, reach), None

    def _effect(self, name: str) -> dict[str, Any] | None:
        """The verified effect of all layers together on its own score."""
        verification = self.verification
        if verification is None or name not in verification.boundary_names:
            return None
        row = verification.row(name)
        column = [semantic.name for semantic in verification.semantics].index(name)
        figures = {
            "mean": verification.effect[row, 0, column],
            "low": verification.low[row, 0, column],
            "high": verification.high[row, 0, column],
            "deviations": verification.in_deviations()[row, 0, column],
        }
        if not math.isfinite(figures["mean"]):
            return None
        at = float(verification.settings["step"])
        return {"at": at, **{key: plain(value) for key, value in figures.items()}}


def _typical(samples: Samples) -> list[dict[str, Any]]:
    """Between what scores lie in 98 of 100 samples, their means and standard deviations."""
    some = samples.part(0, min(len(samples), ENOUGH))
    low, high = np.percentile(some.scores, (1, 99), axis=0)
    means = some.scores.mean(axis=0, dtype=np.float64)
    figures = zip(some.semantics, low, high, means, some.deviation, strict=True)
    return [
        {"name": semantic.name, "level": semantic.level, "low": float(below), "high": float(above),
         "mean": float(mean), "deviation": float(deviation)}
        for semantic, below, above, mean, deviation in figures
    ]  # fmt: skip
