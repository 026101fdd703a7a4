"""The effects of directions, measured on paired images and kept file by file as each direction is done."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.files import remove_leftovers, write_whole
from higan_fast.generators.base import Generator
from higan_fast.predictors.base import Predictor
from higan_fast.probing.boundaries import Space
from higan_fast.probing.engine import (
    PairedScores,
    offset,
    paired_scores,
    paired_scores_of_latents,
    strengths,
)
from higan_fast.probing.latents import Codes
from higan_fast.probing.statistics import Moments, higan_rise, paired_effect
from higan_fast.progress import progress as show_progress

Array = NDArray[np.float64]


# A few directions share each walk of the base samples; more would share it better, and would have
# an interrupted run lose more.
DIRECTIONS_AT_ONCE = 4


class Direction(NamedTuple):
    """A boundary, or a random direction of its norm."""

    name: str
    file: str  # in the folder of the results
    normal: Array  # [D] or [L, D]


class Effects(NamedTuple):
    """Sufficient statistics of the effects of one direction on S semantics, for each set of layers."""

    num: int
    mean: Array  # [1 + L, S]
    m2: Array  # [1 + L, S], sum of squared deviations
    higan_delta: Array  # [1 + L, S]


@dataclass(frozen=True)
class Measurement:
    """What is the same for all directions of a verification."""

    generator: Generator
    predictor: Predictor
    base: Codes
    space: Space
    step: float
    truncation: tuple[float, int | None]  # psi, layers
    batch_size: int

    @property
    def num_layer_sets(self) -> int:
        """All layers together and each alone; a boundary in z can only move all of them."""
        return 1 if self.space == "z" else 1 + self.generator.num_layers

    @property
    def images_per_direction(self) -> int:
        return 2 * len(self.base.z) * self.num_layer_sets

    def effects(
        self,
        directions: Sequence[Direction],
        folder: Path | None,
        settings: dict[str, Any],
        progress: bool,
    ) -> list[Effects]:
        """Effects of each direction; read from ``folder`` where they were measured with the same settings."""
        if folder:
            remove_leftovers(folder)
        keys = [json.dumps(settings | {"normal": _hash(direction.normal)}) for direction in directions]
        found = [
            _load(folder / d.file, key) if folder else None for d, key in zip(directions, keys, strict=True)
        ]
        missing = [index for index, effects in enumerate(found) if effects is None]
        per_direction = self.images_per_direction
        done = (len(directions) - len(missing)) * per_direction
        with show_progress(
            "verifying", len(directions) * per_direction, done=done, enabled=progress
        ) as advance:
            for start in range(0, len(missing), DIRECTIONS_AT_ONCE):
                chunk = missing[start : start + DIRECTIONS_AT_ONCE]
                measured = self._measure([directions[index] for index in chunk], advance)
                for index, effects in zip(chunk, measured, strict=True):
                    found[index] = effects
                    if folder:
                        _save(folder / directions[index].file, effects, keys[index])
        return [effects for effects in found if effects is not None]

    def _measure(self, directions: Sequence[Direction], advance: Callable[[int], None]) -> list[Effects]:
        effect: Moments | None = None
        rise: Moments | None = None
        for scores in self._paired_scores([direction.normal for direction in directions], advance):
            effects = Moments.of(paired_effect(scores.plus, scores.minus), dim=2)  # [M, 1 + L, S]
            rises = Moments.of(higan_rise(scores.plus, scores.base), dim=2)
            effect = effect.merge(effects) if effect else effects
            rise = rise.merge(rises) if rise else rises
        assert effect is not None and rise is not None  # there is at least one base sample
        broken = (~(effect.mean.isfinite() & rise.mean.isfinite())).nonzero()
        if len(broken):
            index, _, column = broken[0].tolist()
            raise ValueError(
                f"scores: the predictor gave NaN or infinity for semantic {self.predictor.names[column]!r} "
                f"on images moved along {directions[index].name}; directions before it are kept"
            )
        arrays = (effect.mean.cpu().numpy(), effect.m2.cpu().numpy(), rise.mean.cpu().numpy())
        return [Effects(effect.count, *parts) for parts in zip(*arrays, strict=True)]

    def _paired_scores(
        self, normals: Sequence[Array], advance: Callable[[int], None]
    ) -> Iterator[PairedScores]:
        """Batch by batch of base samples; both signs of a step are synthesised together."""
        generator, predictor, num = self.generator, self.predictor, max(1, self.batch_size // 2)
        z, _, codes = self.base
        psi, truncated = self.truncation
        if self.space == "z":
            offsets = torch.stack([torch.as_tensor(self.step * normal) for normal in normals]).to(z)
            to_codes = partial(generator.map, truncation_psi=psi, truncation_layers=truncated)
            for batch in z.split(num):
                yield paired_scores_of_latents(generator, predictor, batch, offsets, to_codes, advance)
        else:
            layers = range(generator.num_layers)
            strength = strengths(self.space, len(layers), psi, truncated)
            offsets = torch.stack([offset(normal, layers, self.step, strength, codes) for normal in normals])
            for batch in codes.split(num):
                yield paired_scores(generator, predictor, batch, offsets, advance)


def _save(path: Path, effects: Effects, key: str) -> None:
    with write_whole(path) as file:
        np.savez(file, allow_pickle=False, key=np.array(key), **effects._asdict())


def _load(path: Path, key: str) -> Effects | None:
    """What was measured with the same settings; None when there is no such file, or it is another run's."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["key"]) != key:
                return None
            return Effects(int(file["num"]), file["mean"], file["m2"], file["higan_delta"])
    except (FileNotFoundError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _hash(normal: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(normal).tobytes()).hexdigest()[:32]
