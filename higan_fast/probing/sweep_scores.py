"""The scores of a sweep: samples moved by every step along curves, part by part, each kept as it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.boundaries.boundary import Boundary
from higan_fast.boundaries.displacement import displacements
from higan_fast.engine.engine import Engine
from higan_fast.engine.estimate import Rate
from higan_fast.engine.journal import Journal
from higan_fast.engine.plan import Plan
from higan_fast.engine.scoring import in_range
from higan_fast.pictures import shrunk, shrunk_size
from higan_fast.probing.effect_files import hash_of, key_of, load_arrays, name_of, save_arrays
from higan_fast.progress import progress as show_progress
from higan_fast.progress import say
from higan_fast.sampling.latents import (
    DOSE,
    Codes,
    codes_of,
    labelled_latents,
    labelled_moves,
    map_labelled_latents,
)

Array = NDArray[np.float64]

# So many samples are moved along so many curves, and then what they gave is kept.
SAMPLES_AT_ONCE, CURVES_AT_ONCE = 32, 8


class Scores(NamedTuple):
    """Scores of n samples as they are, ``[n, S]``, and moved by T steps along C curves, ``[n, C, T, S]``.

    The T steps are those other than 0.
    """

    base: NDArray[Any]
    moved: NDArray[Any]

    @classmethod
    def load(cls, path: Path | None, key: str) -> Scores | None:
        """Reads what was kept under a key; returns None where there is no such file."""
        arrays = load_arrays(path, key) if path else None
        return None if arrays is None else cls(arrays["base"], arrays["moved"])

    def ends(self) -> tuple[Array, Array]:
        """The least and the greatest of each score, ``[S]`` each."""
        parts = [self.base, self.moved.reshape(-1, self.base.shape[1])]
        return (
            np.min([part.min(axis=0) for part in parts], axis=0).astype(np.float64),
            np.max([part.max(axis=0) for part in parts], axis=0).astype(np.float64),
        )


class Curve(NamedTuple):
    """A boundary to move along, and on which layers; None: on all."""

    boundary: Boundary
    layers: tuple[int, ...] | None = None


class Curves:
    """Boundaries on some layers or on all, each moved by the same steps.

    Attributes:
        names: the boundary of each curve.
        moved: which layers each moves, ``[C, L]``; in z ``[C, 0]``.
    """

    def __init__(
        self,
        engine: Engine,
        curves: Sequence[Curve],
        settings: Mapping[str, Any],
        stream: int = DOSE,
        doing: str = "sweeping",
    ) -> None:
        """
        Args:
            curves: what is moved along.
            settings: how samples are drawn, ``space``, ``step_unit`` and ``steps``, as the result has them.
            stream: of the samples.
            doing: what the progress calls this.
        """
        self.engine, self.generator = engine, engine.generator
        self.semantics = engine.predictor.semantics if engine.predictor else ()
        self.settings, self.stream, self.doing = settings, stream, doing
        self._boundaries = [curve.boundary for curve in curves]
        self.names = tuple(boundary.name for boundary in self._boundaries)
        num_layers = 0 if settings["space"] == "z" else self.generator.num_layers
        self.moved = np.ones((len(self.names), num_layers), np.bool_)
        for place, curve in enumerate(curves):
            if curve.layers is not None:
                self.moved[place] = np.isin(np.arange(num_layers), curve.layers)
        self._steps = torch.tensor([step for step in settings["steps"] if step], dtype=torch.float64)

    def measure(
        self, samples: Sequence[int], folder: Path | None, kept: dict[str, Any], progress: bool
    ) -> Scores:
        """Scores samples of the stream, part by part.

        Args:
            samples: which of them.
            folder: keeps each part as it is done.
            kept: says what the parts are of.

        Raises:
            ValueError: when a score is not finite.
        """
        work: list[list[tuple[Sequence[int], range, str, Path | None, Scores | None]]] = []
        for first in range(0, len(samples), SAMPLES_AT_ONCE):
            some = samples[first : first + SAMPLES_AT_ONCE]
            row = []
            for start in range(0, max(1, len(self.names)), CURVES_AT_ONCE):
                curves = range(start, min(start + CURVES_AT_ONCE, len(self.names)))
                key = self._key(some, curves, kept)
                path = folder / f"{name_of(key)}.npz" if folder else None
                row.append((some, curves, key, path, Scores.load(path, key)))
            work.append(row)
        missing = [part for row in work for part in row if part[-1] is None]
        total = len(samples) * (1 + len(self.names) * len(self._steps))
        done = total - sum(self._images_of(some, curves) for some, curves, *_ in missing)
        if progress and missing:
            say(f"{self.doing}: {self._estimate(missing)}")
        rows = []
        with show_progress(self.doing, total, done=done, enabled=progress) as advance:
            for row in work:
                parts = []
                for some, curves, key, path, found in row:
                    if found is None:
                        journal = self.engine.journal(path, key) if path else None
                        found = self._score(some, curves, journal, advance)
                        if path and journal:
                            save_arrays(path, key, **found._asdict())
                            journal.drop()
                    parts.append(found)
                rows.append(Scores(parts[0].base, np.concatenate([part.moved for part in parts], axis=1)))
        return Scores(*(np.concatenate(arrays) for arrays in zip(*rows, strict=True)))

    def images(self, samples: Sequence[int], steps: Sequence[float], side: int | None = None) -> Tensor:
        """Images of samples of the stream, moved along each curve.

        Args:
            samples: which of them.
            steps: how far, 0 for a sample as it is.
            side: larger images are scaled down, so that the longer side has so many pixels.

        Returns:
            ``[N, C, T, 3, H, W]`` in [-1, 1], on the CPU: the images as they are seen.
        """
        given = torch.tensor(list(steps), dtype=torch.float64)
        plan = replace(self._plan(range(len(self.names))), steps=given)
        drawn = self.codes(samples)
        shape = len(samples), len(self.names), len(steps), 3
        _, height, width = self.generator.image_shape
        side = max(height, width) if side is None else side
        images = torch.empty(*shape, *shrunk_size(height, width, side))
        for found in self.engine.perturbed_images(self._start(drawn, plan), plan, self._to_codes):
            _, direction, sample, step = (torch.from_numpy(part) for part in found.work)
            images[sample, direction, step] = shrunk(in_range(found.images), side).float().cpu()
        return images

    def codes(self, samples: Sequence[int]) -> Codes:
        """The codes of samples of the stream."""
        settings = self.settings
        truncation = settings["truncation_psi"], settings["truncation_layers"]
        return codes_of(
            self.generator, settings["seed"], samples, *truncation, self.stream, settings.get("label")
        )

    def _start(self, drawn: Codes, plan: Plan) -> Tensor:
        return labelled_latents(self.generator, drawn) if plan.in_latents else drawn.codes

    @property
    def _to_codes(self) -> Callable[[Tensor], Tensor]:
        truncation = {name: self.settings[name] for name in ("truncation_psi", "truncation_layers")}
        return partial(map_labelled_latents, self.generator, **truncation)

    def _score(
        self,
        samples: Sequence[int],
        curves: range,
        journal: Journal | None,
        advance: Callable[[int], None],
    ) -> Scores:
        """Scores some samples as they are, and along some curves."""
        drawn = self.codes(samples)
        base = self.engine.scores(drawn.codes)
        moved = base.new_empty(len(samples), len(curves), len(self._steps), base.shape[1])
        if curves:
            plan = self._plan(curves)
            start = self._start(drawn, plan)
            advance(len(samples) if curves.start == 0 else 0)
            for found in self.engine.perturbed_scores(start, plan, self._to_codes, journal):
                moved[found.samples, found.directions.to(moved.device)] = found.values
                num = found.values[..., 0].numel()
                advance(journal.fresh(num) if journal else num)
        self._check_finite(base, moved, samples, curves)
        return Scores(base.cpu().numpy(), moved.cpu().numpy())

    def _check_finite(self, base: Tensor, moved: Tensor, samples: Sequence[int], curves: range) -> None:
        for scores, where in ((base, None), (moved, curves)):
            broken = (~scores.isfinite()).nonzero()
            if len(broken):
                row, *place, column = broken[0].tolist()
                how = ""
                if where is not None:
                    how = f", moved by {float(self._steps[place[1]]):g} along {self.names[where[place[0]]]}"
                raise ValueError(
                    "scores: the predictor gave NaN or infinity for semantic "
                    f"{self.semantics[column].name!r} at sample {samples[row]}{how}; what was "
                    "measured before is kept"
                )

    def _plan(self, curves: range) -> Plan:
        """Every step along some curves, each on the layers that it moves."""
        settings = self.settings
        normals = [self._boundaries[curve].per_step(settings["step_unit"]) for curve in curves]
        if settings["space"] == "z":
            return Plan(labelled_moves(self.generator, normals), ((),), self._steps)
        moves = displacements(
            self.generator, settings["space"], normals,
            truncation_psi=settings["truncation_psi"], truncation_layers=settings["truncation_layers"],
        )  # fmt: skip
        sets = [tuple(map(int, np.flatnonzero(self.moved[curve]))) for curve in curves]
        different = tuple(sorted(set(sets)))
        chosen = np.array([[own == each for each in different] for own in sets])
        return Plan(moves, different, self._steps, chosen)

    def _key(self, samples: Sequence[int], curves: range, kept: dict[str, Any]) -> str:
        """What a part is of: also which curves are measured together, which decides how sums are rounded."""
        unit = self.settings["step_unit"]
        normals = [hash_of(self._boundaries[curve].per_step(unit)) for curve in curves]
        layers = [np.flatnonzero(self.moved[curve]).tolist() for curve in curves]
        of_curves: dict[str, Any] = {"normals": normals, "layers": layers}
        other = {} if self.stream == DOSE else {"stream": self.stream}
        first, last = samples[0], samples[-1]
        if list(samples) != list(range(first, last + 1)):
            of_curves["samples"] = list(samples)
        return key_of(settings=kept | other, first=first, last=last, **of_curves)

    def _images_of(self, samples: Sequence[int], curves: range) -> int:
        """What a part adds; samples as they are count once, though every part of curves scores them."""
        return len(samples) * ((curves.start == 0) + len(curves) * len(self._steps))

    def _estimate(self, missing: Sequence[tuple[Sequence[int], range, Any, Any, Any]]) -> str:
        """What is missing takes: images, and time by a short probe of the machine."""
        rate, found = Rate(self.engine), None
        for samples, curves, *_ in missing:
            part = rate.estimate(self._plan(curves), len(samples))
            part = part._replace(images=self._images_of(samples, curves))
            found = part if found is None else found.plus(part)
        return str(found)
