"""Verification: the effect of every boundary on every semantic, on all layers and on each, against a null."""

from __future__ import annotations

import contextlib
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.files import only_writer, write_whole
from higan_fast.generators.base import Generator, Layer
from higan_fast.predictors.base import LEVELS, Predictor, Semantic
from higan_fast.probing.boundaries import Boundary
from higan_fast.probing.checks import check_count, check_names, check_seed, check_truncation
from higan_fast.probing.engine import prepare
from higan_fast.probing.fingerprint import fingerprint
from higan_fast.probing.latents import NULL, VERIFICATION, latents, make_codes
from higan_fast.probing.measurement import Direction, Measurement
from higan_fast.probing.statistics import (
    holm,
    null_band,
    null_p_values,
    null_scale,
    random_directions,
    standard_error,
    student_interval,
)

FOLDER = "verification"

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@torch.inference_mode()
def verify(
    generator: Generator,
    predictor: Predictor,
    boundaries: Mapping[str, Boundary],
    *,
    num: int = 200,
    step: float = 2.0,
    semantics: str | Sequence[str] | None = None,
    num_null: int = 32,
    seed: int = 1,
    truncation_psi: float = 1.0,
    truncation_layers: int | None = None,
    confidence: float = 0.95,
    batch_size: int = 32,
    out: str | Path | None = None,
    progress: bool = True,
) -> Verification:
    """Moves fresh samples along each boundary, on all layers and on each alone, and scores what changes.

    Every boundary is compared with random directions of the same norm, and every effect is paired: the
    same sample, one step forth and one step back. The base samples are drawn from another stream than
    those of ``sample``: a boundary that fits chance in its own samples would look better on them than it
    is. Both networks are put into evaluation mode.

    Args:
        boundaries: from ``fit_boundaries``; their names must be among the predictor's semantics.
        num: how many base samples (HiGAN's K).
        step: how far to move (HiGAN's λ).
        semantics: which boundaries to verify, names or one name; None: all.
        num_null: how many random directions.
        truncation_psi: see ``Generator.map``.
        truncation_layers: see ``Generator.map``.
        confidence: of the intervals and of the null's band; 1 − confidence is the level of the tests.
        batch_size: how many images are synthesised at once, both signs of a step among them.
        out: run folder; each direction goes to its ``verification`` folder as it is done, and is not
            measured again by a run with the same settings.
        progress: whether to show it.

    Raises:
        ValueError: when an argument is out of range, a boundary does not fit the networks, or a score is
            not finite.
        RuntimeError: when another process is writing to ``out``.
        OSError: when ``out`` cannot be written to.
    """
    for name, count, at_least in (("num", num, 2), ("num_null", num_null, 2), ("batch_size", batch_size, 2)):
        check_count(name, count, at_least)
    check_seed(seed)
    check_truncation(truncation_psi, truncation_layers, generator.num_layers)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: got {confidence!r}, expected a number between 0 and 1, such as 0.95")
    if not (math.isfinite(step) and step > 0):
        raise ValueError(f"step: got {step!r}, expected a positive number")
    chosen = _choose(boundaries, semantics, generator, predictor)
    space = chosen[0].space
    prepare(generator, predictor)
    base = make_codes(generator, seed, 0, num, truncation_psi, truncation_layers, VERIFICATION)
    directions = _directions(chosen, num_null, seed)
    measurement = Measurement(
        generator, predictor, base, space, step, (truncation_psi, truncation_layers), batch_size
    )
    settings = {
        "num": int(num),
        "step": float(step),
        "seed": int(seed),
        "space": space,
        "truncation_psi": float(truncation_psi),
        "truncation_layers": None if truncation_layers is None else int(truncation_layers),
        "semantics": list(predictor.names),
        "generator": fingerprint(generator),
        "predictor": fingerprint(predictor),
    }
    with contextlib.nullcontext() if out is None else only_writer(out):
        folder = None if out is None else Path(out) / FOLDER
        effects = measurement.effects(directions, folder, settings, progress)
    mean, m2, higan_delta = (np.stack(parts) for parts in list(zip(*effects, strict=True))[1:])
    own, null = mean[: len(chosen)], mean[len(chosen) :]  # [B, 1 + L, S], [R, 1 + L, S]
    error = standard_error(num, m2[: len(chosen)])
    low, high = student_interval(own, error, num, confidence)
    scale = null_scale(null)  # [1 + L, S]
    null_low, null_high = null_band(scale, num_null, confidence)
    columns = [predictor.names.index(boundary.name) for boundary in chosen]
    own_effect = own[range(len(chosen)), :, columns]  # [B, 1 + L]
    p_values = null_p_values(own_effect, scale[:, columns].T, num_null)
    rises = low[range(len(chosen)), 0, columns] > 0  # a step towards high scores must raise the score
    return Verification(
        semantics=predictor.semantics,
        boundary_names=tuple(boundary.name for boundary in chosen),
        layers=() if space == "z" else generator.layers,
        effect=own,
        standard_error=error,
        low=low,
        high=high,
        higan_delta=higan_delta[: len(chosen)],
        null_low=null_low,
        null_high=null_high,
        p_values=p_values[:, 0],
        beats_null=rises & (holm(p_values[:, 0]) <= 1 - confidence),
        layer_beats_null=holm(p_values[:, 1:]) <= 1 - confidence,
        images=num + len(directions) * measurement.images_per_direction,
        settings=settings | {"num_null": int(num_null), "confidence": confidence},
    )


def _choose(
    boundaries: Mapping[str, Boundary],
    semantics: str | Sequence[str] | None,
    generator: Generator,
    predictor: Predictor,
) -> list[Boundary]:
    """The boundaries to verify; checks that they fit each other and the networks."""
    names = (
        (semantics,) if isinstance(semantics, str) else tuple(boundaries if semantics is None else semantics)
    )
    check_names(names, tuple(boundaries), "this set of boundaries")
    chosen = [boundaries[name] for name in names]
    if not chosen:
        raise ValueError("boundaries: got none; fit some first, and see boundaries.skipped for what was not")
    check_names(tuple(boundary.name for boundary in chosen), predictor.names, "the predictor")
    first = chosen[0]
    for boundary in chosen:
        boundary.check_fits(generator)
        if (boundary.space, boundary.normal.shape) != (first.space, first.normal.shape):
            raise ValueError(
                f"boundaries: {boundary.name!r} was fitted in {boundary.space} and {first.name!r} in "
                f"{first.space}; verify one space at a time"
            )
    return chosen


def _directions(boundaries: Sequence[Boundary], num_null: int, seed: int) -> list[Direction]:
    """The boundaries, and after them random directions."""
    normals = np.stack([boundary.normal for boundary in boundaries])
    shape = normals[0].shape
    noise = latents(seed, 0, num_null, normals[0].size, stream=NULL).astype(np.float64)
    random = random_directions(normals, noise.reshape(num_null, *shape))
    return [
        *(Direction(b.name, f"{quote(b.name, safe=' ')}.npz", b.normal) for b in boundaries),
        *(Direction(f"random direction {i}", f"null/{i:04}.npz", normal) for i, normal in enumerate(random)),
    ]


@dataclass(frozen=True, eq=False, repr=False)
class Verification:
    """Effects of B boundaries on S semantics: all layers together (row 0), layer l alone (row 1 + l).

    An effect is the mean paired change of a score under one step along the boundary.

    Attributes:
        semantics: the columns: everything that the predictor scores.
        boundary_names: the boundaries, each named after its own semantic.
        layers: the layers; none for boundaries in z, which can only move all of them.
        effect: ``[B, 1 + L, S]``.
        standard_error: of the effect, ``[B, 1 + L, S]``.
        low: lower end of the effect's interval, ``[B, 1 + L, S]``.
        high: upper end of the effect's interval, ``[B, 1 + L, S]``.
        higan_delta: HiGAN's one-sided clipped mean, ``[B, 1 + L, S]``.
        null_low: the effects of random directions lie above this, ``[1 + L, S]`` ...
        null_high: ... and below this, with the probability ``settings["confidence"]``.
        p_values: of each boundary's effect on its own semantic on all layers, against the null, ``[B]``.
        beats_null: whether the boundary raises its semantic (its interval lies above 0) by more than the
            null does, after correction for B tests, ``[B]``.
        layer_beats_null: whether a layer alone changes it, up or down, by more than the null does, after
            correction for B · L tests, ``[B, L]``.
        images: how many different images were synthesised for these figures.
        settings: how they were made.
    """

    semantics: tuple[Semantic, ...]
    boundary_names: tuple[str, ...]
    layers: tuple[Layer, ...]
    effect: Array
    standard_error: Array
    low: Array
    high: Array
    higan_delta: Array
    null_low: Array
    null_high: Array
    p_values: Array
    beats_null: BoolArray
    layer_beats_null: BoolArray
    images: int
    settings: dict[str, Any]

    def rank(self) -> list[str]:
        """Boundaries by effect on their own semantic, largest first; those that beat the null come first."""
        own = [self.effect[row, 0, column] for row, column in enumerate(self._columns())]
        rows = sorted(range(len(own)), key=lambda row: (not self.beats_null[row], -own[row]))
        return [self.boundary_names[row] for row in rows]

    def layer_profile(self, name: str) -> Array:
        """Effect of a boundary on its own semantic, for each layer alone: ``[L]``."""
        row = self._row(name)
        return self.effect[row, 1:, self._columns()[row]]

    def best_layer(self, name: str) -> int | None:
        """The layer with the largest effect, of either sign; None for boundaries in z."""
        profile = np.abs(self.layer_profile(name))
        return int(profile.argmax()) if len(profile) else None

    def entanglement(self) -> Array:
        """Effect of each boundary on every semantic, all layers together: ``[B, S]``."""
        return self.effect[:, 0]

    def mean_layer(self, name: str) -> float | None:
        """The mean of the layers that beat the null, weighted by the size of their effects.

        None where the boundary does not beat the null, or no layer alone does: the mean over all layers
        would then be one of noise, which lies in the middle.
        """
        row = self._row(name)
        weights = np.abs(self.layer_profile(name)) * self.layer_beats_null[row]
        if not (self.beats_null[row] and weights.any()):
            return None
        return float(np.average(np.arange(len(weights)), weights=weights))

    def mean_layer_by_level(self) -> dict[str, float | None]:
        """The mean of the mean layers of each level's semantics; None where none of them has one.

        Semantics count alike, because the scores of each have their own unit.
        """
        means: dict[str, list[float]] = {level: [] for level in LEVELS}
        for name, column in zip(self.boundary_names, self._columns(), strict=True):
            if (mean := self.mean_layer(name)) is not None:
                means[self.semantics[column].level].append(mean)
        return {level: float(np.mean(values)) if values else None for level, values in means.items()}

    def to_json(self) -> dict[str, Any]:
        """One object of plain values, as ``higan-fast verify --json`` prints it; semantics as ranked."""
        entries = []
        for name in self.rank():
            row = self._row(name)
            column = self._columns()[row]
            profile = [
                {"layer": layer.index} | self._figures(row, 1 + place, column)
                for place, layer in enumerate(self.layers)
            ]
            entries.append(
                {
                    "name": name,
                    "level": self.semantics[column].level,
                    **self._figures(row, 0, column),
                    "null_low": float(self.null_low[0, column]),
                    "null_high": float(self.null_high[0, column]),
                    "beats_null": bool(self.beats_null[row]),
                    "best_layer": self.best_layer(name),
                    "profile": profile,
                }
            )
        return {
            "semantics": entries,
            "mean_layer_by_level": self.mean_layer_by_level(),
            "images": self.images,
            "settings": self.settings,
        }

    def save(self, path: str | Path) -> None:
        """Writes an .npz file: the arrays, and everything else as JSON text."""
        arrays = {
            f.name: value for f in fields(self) if isinstance(value := getattr(self, f.name), np.ndarray)
        }
        rest = {
            "semantics": [asdict(semantic) for semantic in self.semantics],
            "boundary_names": self.boundary_names,
            "layers": [asdict(layer) for layer in self.layers],
            "images": self.images,
            "settings": self.settings,
        }
        with write_whole(path) as file:
            np.savez(file, allow_pickle=False, json=np.array(json.dumps(rest)), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Verification:
        """Reads what ``save`` wrote.

        Raises:
            ValueError: when the file is not one of those.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                rest = json.loads(str(file["json"]))
                arrays = {name: file[name] for name in file.files if name != "json"}
            rest["semantics"] = tuple(Semantic(**entry) for entry in rest["semantics"])
            rest["boundary_names"] = tuple(rest["boundary_names"])
            rest["layers"] = tuple(Layer(**entry) for entry in rest["layers"])
            return cls(**arrays, **rest)
        except (KeyError, TypeError, ValueError, zipfile.BadZipFile, EOFError) as error:
            raise ValueError(f"{path}: not a file of a verification ({error})") from error

    def _figures(self, row: int, layer_set: int, column: int) -> dict[str, float]:
        names = ("effect", "low", "high", "higan_delta")
        return {name: float(getattr(self, name)[row, layer_set, column]) for name in names}

    def _row(self, name: str) -> int:
        if name not in self.boundary_names:
            raise KeyError(f"{name!r} was not verified; there are {', '.join(self.boundary_names)}")
        return self.boundary_names.index(name)

    def _columns(self) -> list[int]:
        """The column of each boundary's own semantic."""
        names = [semantic.name for semantic in self.semantics]
        return [names.index(name) for name in self.boundary_names]
