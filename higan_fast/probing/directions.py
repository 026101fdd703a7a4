"""Directions without a semantic of their own: which semantics each surely moves, and on which layer most."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import StepUnit, fingerprint_of
from higan_fast.boundaries.origin import Label, check_origin, drawn_as
from higan_fast.checks import check_label, check_seed
from higan_fast.engine.engine import Engine
from higan_fast.engine.precision import Wish, chosen_precision
from higan_fast.files import only_writer
from higan_fast.generators.base import Generator, check_generator
from higan_fast.predictors.base import LogitsOf, Predictor, check_predictor
from higan_fast.probing.choosing import Given, by_name, fitting_together
from higan_fast.probing.directions_results import Directions
from higan_fast.probing.effect_files import Measured, hash_of, key_of, name_of
from higan_fast.probing.made_by import made_by
from higan_fast.probing.measurement import Direction, Measurement
from higan_fast.probing.null import Null, directions_of, kinds_of
from higan_fast.probing.tally import Effects
from higan_fast.probing.verification_checks import check_lengths, check_verifying
from higan_fast.progress import progress as show_progress
from higan_fast.progress import say
from higan_fast.statistics.confidence import bounds_by_moments
from higan_fast.statistics.corrections import holm
from higan_fast.statistics.nulls import NullGeometry

__all__ = ["Directions", "verify_directions"]

Array = NDArray[np.float64]


@torch.inference_mode()
def verify_directions(
    generator: Generator,
    predictor: Predictor,
    directions: Given,
    *,
    num: int = 500,
    confidence: float = 0.99,
    step: float = 2.0,
    step_unit: StepUnit = "norm",
    null: Null = "both",
    num_null: int = 32,
    seed: int | None = None,
    truncation_psi: float | None = None,
    truncation_layers: int | None = None,
    label: Label = None,
    precision: Wish = "exact",
    batch_size: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> Directions:
    """Moves fresh samples along each direction, as ``verify`` does, and tests what it does to every score.

    A direction moves a semantic if, on all layers together, its effect is surely not 0, and beyond those of
    random directions of the same length, in either way. The level 1 − confidence holds for all pairs of a
    direction and a semantic together: half of it is for the null, by Holm's rule over the pairs; a quarter is
    for the signs, and a quarter for the layer on which a direction moves a semantic most.

    Args:
        directions: their names need not be semantics; all in one space.
        num: how many base samples, at least 2.
        confidence: of all claims together, and of each interval that is shown.
        step: how far to move.
        step_unit: "norm", or "sd": standard deviations of the codes along each direction, for which
            ``measured_on`` measures these.
        null: "both", "isotropic" or "covariance", see ``verify``.
        num_null: random directions of each kind.
        seed: of the base samples and of the random directions; None: as the directions were fitted, or 1.
        truncation_psi: see ``Generator.map``; None: likewise, or 1.
        truncation_layers: see ``Generator.map``.
        label: the class of all base samples; see ``verify``.
        precision: see ``verify``.
        batch_size: at most so many images at once; None: as many as are worth it.
        out: run folder, which keeps what is measured, and the result as ``directions.npz``.
        progress: whether to show it.

    Raises:
        TypeError: if the networks or the directions are something else.
        ValueError: if an argument is out of range, a direction does not fit the generator or the others, or a
            score is not finite.
    """
    check_generator(generator)
    check_predictor(predictor)
    named = by_name(directions)
    check_verifying(
        None, num=num, decide=None, confidence=confidence, max_samples=num, step=step, null=null,
        num_null=num_null, precision=precision, screening=0, batch_size=batch_size, step_unit=step_unit,
        out=out,
    )  # fmt: skip
    if null == "shuffled":
        raise ValueError("null (--null): got 'shuffled', but no direction is fitted to scores; take 'both'")
    chosen = fitting_together(list(named.values()), generator)
    check_lengths(chosen)
    space = chosen[0].space
    seed, truncation_psi, truncation_layers, label = drawn_as(
        chosen, seed=seed, truncation_psi=truncation_psi, truncation_layers=truncation_layers, label=label
    )
    check_seed(seed)
    generator.check_truncation(truncation_psi, truncation_layers)
    check_label(label, generator.label_dim)
    precision = chosen_precision(precision, generator.device)
    scorer = LogitsOf(predictor) if any(predictor.has_logits) else predictor
    engine = Engine(generator, scorer, batch_size=batch_size, precision=precision)
    measurement = Measurement(engine, seed, space, step, truncation_psi, truncation_layers, label)
    settings, kept, networks = made_by(
        engine, predictor, precision, seed=seed, truncation_psi=truncation_psi,
        truncation_layers=truncation_layers, label=label, keeps=out is not None, step=float(step),
        step_unit=step_unit, space=space,
    )  # fmt: skip
    for direction in chosen:
        if direction.origin is not None:
            check_origin(direction, generator=networks["generator"])
    kinds = kinds_of(null, space)
    moved = directions_of(chosen, step_unit, kinds, num_null, seed, measurement.draw)
    geometry = measurement.geometry(moved, len(chosen), len(kinds))
    folder = None if out is None else Path(out) / "verification" / name_of(key_of(settings=kept))
    with contextlib.nullcontext() if out is None else only_writer(out):
        effects = _measured(measurement, moved, len(chosen), num, folder, kept, progress)
        deviation = measurement.deviation({}, num)
        own, shape = effects.of(slice(len(chosen))), effects.mean[: len(chosen)].shape
        width = measurement.ranges[:, 1] - measurement.ranges[:, 0]

        def bounds(level: float) -> tuple[Array, Array]:
            count = np.broadcast_to(own.num[:, :, None], shape)
            return bounds_by_moments(count, own.mean, own.m2, own.changed, width / 2, level, fixed=True)

        level = 1 - confidence
        pairs = shape[0] * shape[2]
        p_values = _p_values(geometry.on(0), own.mean[:, 0], effects.mean[len(chosen) :, 0])
        low, high = (ends[:, 0] for ends in bounds(level / 8 / pairs))
        adjusted = holm(p_values)
        beyond = adjusted <= level / 2
        ends = bounds(level / 8 / pairs / max(shape[1] - 1, 1))
        top_layer, sure = _top_layers(own.mean[:, 1:], *(each[:, 1:] for each in ends))
        shown_low, shown_high = bounds(level / 2)
        found = Directions(
            boundary_names=tuple(named),
            semantics=predictor.semantics,
            layers=generator.layers if shape[1] > 1 else (),
            effect=own.mean,
            low=shown_low,
            high=shown_high,
            p_values=p_values,
            p_adjusted=adjusted,
            sign=((low > 0) & beyond).astype(np.int8) - ((high < 0) & beyond).astype(np.int8),
            top_layer=top_layer,
            top_layer_sure=sure,
            deviation=deviation,
            samples=int(num),
            images=int(num) + 2 * int(effects.num.sum()),
            settings=settings
            | {"null": null, "num_null": int(num_null), "confidence": confidence}
            | {"directions": fingerprint_of(named)},
        )
        if out is not None:
            found.save(Path(out) / "directions.npz")
    return found


def _measured(
    measurement: Measurement,
    moved: Sequence[Direction],
    own: int,
    num: int,
    folder: Path | None,
    settings: dict[str, Any],
    progress: bool,
) -> Effects:
    """Effects of directions, the first ``own`` on each layer too, and random ones on all layers together.

    What was measured before, with the same settings, is not measured again.
    """
    chosen = np.ones((len(moved), len(measurement.layer_sets)), np.bool_)
    chosen[own:, 1:] = False
    hashes = [hash_of(direction.normal) for direction in moved]
    key = key_of(settings=settings, num=num, own=own, directions=hashes)
    file = folder / f"{name_of(key)}.npz" if folder else None
    started = Measured.load(file, key) if file else None
    images, done = 2 * int(chosen.sum()), started.num if started else 0
    if progress and done < num:
        say(f"verifying directions: {measurement.estimate(moved, num - done, chosen)}")
    with show_progress("verifying", images * num, done=images * done, enabled=progress) as advance:
        found = measurement.measure(moved, range(num), chosen, file=file, key=key, advance=advance)
    return found.effects


def _p_values(geometry: NullGeometry, own: Array, random: Array) -> Array:
    """Two-sided p-values of effects ``[B, S]`` against those of random directions, ``[K R, S]``."""
    columns = [
        geometry.p_values(own[:, column], np.repeat(random[:, column, None], len(own), axis=1))
        for column in range(own.shape[1])
    ]
    return np.stack(columns, axis=1)


def _top_layers(effect: Array, low: Array, high: Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The layer with the effect of largest magnitude, ``[B, S]``, −1 without layers; and if it surely is.

    Args:
        effect: on each layer alone, ``[B, L, S]``.
        low: ends of intervals that hold together ...
        high: ... of the same shape.
    """
    shape = effect.shape[0], effect.shape[2]
    if effect.shape[1] == 0:
        return np.full(shape, -1), np.zeros(shape, np.bool_)
    top = np.abs(effect).argmax(axis=1)
    least, most = np.maximum(np.maximum(low, -high), 0), np.maximum(np.abs(low), np.abs(high))
    of_top = np.take_along_axis(least, top[:, None], axis=1)[:, 0]
    np.put_along_axis(most, top[:, None], -np.inf, axis=1)
    return top, of_top > most.max(axis=1)
