"""The effects of directions, measured on paired images and kept file by file as each direction is done."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.boundaries.boundary import Space
from higan_fast.boundaries.displacement import displacements
from higan_fast.engine.engine import Engine
from higan_fast.engine.estimate import Estimate, Rate
from higan_fast.engine.plan import Plan, all_and_each
from higan_fast.files import write_whole
from higan_fast.generators.base import Generator
from higan_fast.probing.tally import Effects, Tally
from higan_fast.progress import progress as show_progress
from higan_fast.sampling.latents import (
    VERIFICATION,
    Codes,
    labelled_latents,
    labelled_moves,
    make_codes,
    map_labelled_latents,
)

Array = NDArray[np.float64]

# A few directions share each walk of the base samples; more would share it better, and would have
# an interrupted run lose more.
DIRECTIONS_AT_ONCE = 8

# Base samples are drawn, mapped and scored so many at a time.
SAMPLES_AT_ONCE = 256


class Direction(NamedTuple):
    """A boundary, or a random direction of its norm."""

    name: str
    file: str  # in the folder of the results
    normal: Array  # [D] or [L, D]


class Measurement:
    """Measures directions on base samples, which are a pure function of the seed; their scores are kept."""

    def __init__(
        self,
        engine: Engine,
        seed: int,
        space: Space,
        step: float,
        truncation_psi: float,
        truncation_layers: int | None,
        label: int | None = None,
    ) -> None:
        self.engine, self.space, self.step = engine, space, step
        self.seed, self.truncation, self.label = seed, (truncation_psi, truncation_layers), label
        self.layer_sets = _layer_sets(space, engine.generator)
        self._rate: Rate | None = None
        self._base: Tensor | None = None  # scores of the base samples so far, [n, S]

    def draw(self, start: int, stop: int) -> Codes:
        """The codes of the base samples ``start`` to ``stop - 1``."""
        generator, (psi, truncated) = self.engine.generator, self.truncation
        return make_codes(generator, self.seed, start, stop, psi, truncated, VERIFICATION, self.label)

    def tally(
        self,
        directions: Sequence[Direction],
        samples: range,
        chosen: NDArray[np.bool_] | None = None,
        columns: Sequence[int] = (),
        advance: Callable[[int], None] = lambda count: None,
    ) -> Tally:
        """Moves base samples one step forth and one back along directions.

        Args:
            samples: which of the base samples.
            chosen: which direction on which set of layers, ``[M, sets]``; None: all.
            columns: as ``Tally`` wants them.
            advance: hears of every perturbed image that has been scored.

        Raises:
            ValueError: when a score is not finite.
        """
        generator, (psi, truncated) = self.engine.generator, self.truncation
        to_codes = partial(map_labelled_latents, generator, truncation_psi=psi, truncation_layers=truncated)
        base = self._base_scores(samples.stop)[samples.start :]
        plan = self._plan(directions, chosen)
        tally = Tally(len(samples), len(directions), len(self.layer_sets), columns, base)
        for part in _parts(samples):
            drawn = self.draw(part.start, part.stop)
            moved = labelled_latents(generator, drawn) if plan.in_latents else drawn.codes
            for found in self.engine.perturbed_scores(moved, plan, to_codes):
                where = slice(
                    *(part.start - samples.start + end for end in (found.samples.start, found.samples.stop))
                )
                tally.add(found._replace(samples=where))
                advance(found.values[..., 0].numel())
        return tally

    def estimate(
        self, directions: Sequence[Direction], num: int, chosen: NDArray[np.bool_] | None = None
    ) -> Estimate:
        """What the first ``num`` base samples would take; the first call times a few images."""
        if self._rate is None:
            self._rate = Rate(self.engine)
        return self._rate.estimate(self._plan(directions, chosen), num)

    def each(
        self,
        directions: Sequence[Direction],
        num: int,
        folder: Path | None,
        settings: dict[str, Any],
        progress: bool,
    ) -> Effects:
        """Effects of each direction on the first ``num`` base samples, on every set of layers.

        What lies in ``folder`` and was measured with the same settings is not measured again.
        """
        keys = [json.dumps(settings | {"num": num, "normal": hash_of(d.normal)}) for d in directions]
        found: dict[int, Effects] = {}
        for index, direction in enumerate(directions):
            if folder and (kept := load_effects(folder / direction.file, keys[index])):
                found[index] = kept[0]
        missing = [index for index in range(len(directions)) if index not in found]
        if progress and missing:
            say(f"verifying: {self.estimate([directions[index] for index in missing], num)}")
        each = 2 * num * len(self.layer_sets)
        done = (len(directions) - len(missing)) * each
        with show_progress("verifying", len(directions) * each, done=done, enabled=progress) as advance:
            for start in range(0, len(missing), DIRECTIONS_AT_ONCE):
                chunk = missing[start : start + DIRECTIONS_AT_ONCE]
                together = [directions[index] for index in chunk]
                effects = self.effects(together, self.tally(together, range(num), advance=advance))
                for row, index in enumerate(chunk):
                    found[index] = effects.of(row)
                    if folder:
                        save_effects(folder / directions[index].file, found[index], keys[index])
        ordered = zip(*(found[index] for index in range(len(directions))), strict=True)
        num_samples, *others = (np.concatenate(parts) for parts in ordered)
        return Effects(num_samples, *others)

    def effects(self, directions: Sequence[Direction], tally: Tally) -> Effects:
        """What a tally has taken in.

        Raises:
            ValueError: when a score was not finite.
        """
        effects = tally.effects()
        broken = np.argwhere(~(np.isfinite(effects.mean) & np.isfinite(effects.higan_delta)))
        if len(broken):
            row, _, column = broken[0]
            predictor = self.engine.predictor
            assert predictor is not None
            raise ValueError(
                f"scores: the predictor gave NaN or infinity for semantic {predictor.names[column]!r} "
                f"on images moved along {directions[row].name}; what was measured before is kept"
            )
        return effects

    def _base_scores(self, stop: int) -> Tensor:
        """Of the base samples as they are, up to ``stop``: ``[stop, S]``."""
        for part in _parts(range(0 if self._base is None else len(self._base), stop)):
            scores = self.engine.scores(self.draw(part.start, part.stop).codes)
            self._base = scores if self._base is None else torch.cat([self._base, scores])
        assert self._base is not None
        return self._base[:stop]

    def _plan(self, directions: Sequence[Direction], chosen: NDArray[np.bool_] | None) -> Plan:
        steps = torch.tensor([self.step, -self.step], dtype=torch.float64)
        if chosen is None:
            chosen = np.ones((len(directions), len(self.layer_sets)), np.bool_)
        return Plan(self._moves(directions), self.layer_sets, steps, chosen)

    def _moves(self, directions: Sequence[Direction]) -> Tensor:
        """What a step of 1 along each direction adds: to codes ``[M, L, D]``, or to labelled latents in z."""
        generator = self.engine.generator
        normals = [direction.normal for direction in directions]
        if self.space == "z":
            return labelled_moves(generator, normals)
        psi, truncated = self.truncation
        return displacements(generator, self.space, normals, truncation_psi=psi, truncation_layers=truncated)


def say(text: str) -> None:
    """A line for whoever watches the progress."""
    print(text, file=sys.stderr, flush=True)


def save_effects(path: Path, effects: Effects, key: str, **more: Array) -> None:
    """Writes effects, and whatever goes with them, under a key that says what they are of."""
    with write_whole(path) as file:
        np.savez_compressed(file, allow_pickle=False, key=np.array(key), **effects._asdict(), **more)


def load_effects(path: Path, key: str) -> tuple[Effects, dict[str, Array]] | None:
    """What was kept under the same key; None when there is no such file, or it is another run's."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["key"]) != key:
                return None
            more = {name: file[name] for name in file.files if name not in ("key", *Effects._fields)}
            return Effects(*(file[name] for name in Effects._fields)), more
    except (FileNotFoundError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def hash_of(*arrays: NDArray[Any]) -> str:
    """A hash of what is in arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def _parts(samples: range) -> list[range]:
    return [samples[start : start + SAMPLES_AT_ONCE] for start in range(0, len(samples), SAMPLES_AT_ONCE)]


def _layer_sets(space: Space, generator: Generator) -> tuple[tuple[int, ...], ...]:
    """What is measured: all layers together, and each alone where there are several. In z all move."""
    if space == "z":
        return ((),)
    return all_and_each(generator.num_layers) if generator.num_layers > 1 else ((0,),)
