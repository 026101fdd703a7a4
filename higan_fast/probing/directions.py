"""Directions without a semantic of their own: which semantics each surely moves, and on which layer most."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundary, StepUnit, fingerprint_of
from higan_fast.boundaries.origin import Label
from higan_fast.engine.precision import Wish
from higan_fast.files import only_writer
from higan_fast.generators.base import Generator, check_generator
from higan_fast.generators.style_space import StyleSpace
from higan_fast.predictors.base import Predictor, check_predictor
from higan_fast.probing.choosing import Given, by_name, fitting_together
from higan_fast.probing.directions_results import DIRECTIONS_FILES, Directions
from higan_fast.probing.effect_files import Measured, hash_of, key_of, name_of
from higan_fast.probing.measurement import Direction, Measurement
from higan_fast.probing.null import Kind, Null, directions_of, kinds_of
from higan_fast.probing.set_up import set_up
from higan_fast.probing.tally import Effects
from higan_fast.probing.verification_checks import check_verifying
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
    random directions of the same length on each layer, in either way. Directions that move the layers by
    other lengths have random ones of their own. A layer that a direction leaves as it is is not measured.
    The level 1 − confidence holds for all pairs of a direction and a semantic together: half of it is for the
    null, by Holm's rule over the pairs; a quarter is for the signs, and a quarter for the layer on which a
    direction moves a semantic most.

    Args:
        generator: a ``StyleSpace`` for directions in styles, as ``verify_channels`` has it.
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
        out: run folder, which keeps what is measured, and the result as ``directions.npz``, or in styles as
            ``channels.npz``.
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
    space, of_styles = chosen[0].space, isinstance(generator, StyleSpace)
    engine, drawn, settings, kept, _ = set_up(
        generator, predictor, chosen, seed=seed, truncation_psi=truncation_psi,
        truncation_layers=truncation_layers, label=label, precision=precision, batch_size=batch_size,
        keeps=out is not None, on_logits=True, of_these_scores=False, step=float(step),
        step_unit="sd" if of_styles else step_unit, space="styles" if of_styles else space,
    )  # fmt: skip
    measurement = Measurement(engine, space, step, drawn)
    kinds = kinds_of(null, space)
    families = _families(chosen, kinds, num_null, step_unit, measurement)
    folder = None if out is None else Path(out) / "verification" / name_of(key_of(settings=kept))
    with contextlib.nullcontext() if out is None else only_writer(out):
        effects, images = _measured(measurement, chosen, step_unit, families, num, folder, kept, progress)
        deviation = measurement.deviation({}, num)
        own, shape = effects.of(slice(len(chosen))), effects.mean[: len(chosen)].shape
        width = measurement.ranges[:, 1] - measurement.ranges[:, 0]
        moved = own.num > 0  # elsewhere a direction has nothing to move, and so no effect

        def bounds(level: float) -> tuple[Array, Array]:
            count = np.broadcast_to(np.maximum(own.num, 2)[:, :, None], shape)
            ends = bounds_by_moments(count, own.mean, own.m2, own.changed, width / 2, level, fixed=True)
            return np.where(moved[:, :, None], ends[0], 0), np.where(moved[:, :, None], ends[1], 0)

        level = 1 - confidence
        pairs = shape[0] * shape[2]
        p_values = np.ones((shape[0], shape[2]))
        for family in families:
            of_random = effects.mean[family.null, 0]
            p_values[family.rows] = _p_values(family.geometry, own.mean[family.rows, 0], of_random)
        low, high = (ends[:, 0] for ends in bounds(level / 8 / pairs))
        adjusted = holm(p_values)
        beyond = adjusted <= level / 2
        ends = bounds(level / 8 / pairs / max(shape[1] - 1, 1))
        top_layer, sure = _top_layers(own.mean[:, 1:], *(each[:, 1:] for each in ends))
        sign = ((low > 0) & beyond).astype(np.int8) - ((high < 0) & beyond).astype(np.int8)
        for family in families:  # what moves a single layer does it there
            sure[family.rows] |= (len(family.layers) == 1) & (sign[family.rows] != 0)
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
            sign=sign,
            top_layer=top_layer,
            top_layer_sure=sure,
            deviation=deviation,
            samples=int(num),
            images=int(num) + images,
            settings=settings
            | {"null": null, "num_null": int(num_null), "confidence": confidence}
            | {"directions": fingerprint_of(named)},
        )
        if out is not None:
            found.save(Path(out) / DIRECTIONS_FILES[of_styles])
    return found


class _Family(NamedTuple):
    """Directions that move each layer as far, and the random ones with which they are compared.

    Attributes:
        rows: which of the directions.
        random: directions.
        null: which rows of all that is measured those are.
        layers: the layers that move; those of z none.
        together: the set of layers on which all that moves is moved.
        geometry: of the random directions with these, there.
    """

    rows: list[int]
    random: list[Direction]
    null: slice
    layers: tuple[int, ...]
    together: int
    geometry: NullGeometry


def _families(
    chosen: Sequence[Boundary], kinds: Sequence[Kind], num_null: int, unit: StepUnit, measurement: Measurement
) -> list[_Family]:
    found: list[_Family] = []
    alike: list[list[int]] = []
    for row, direction in enumerate(chosen):
        of_first = (chosen[rows[0]].layer_lengths for rows in alike)
        same = [np.allclose(direction.layer_lengths, lengths, rtol=0, atol=1e-6) for lengths in of_first]
        if True in same:
            alike[same.index(True)].append(row)
        else:
            alike.append([row])
    last = len(chosen)
    for rows in alike:
        family = [chosen[row] for row in rows]
        moved = directions_of(family, unit, kinds, num_null, measurement.drawn.seed, measurement.draw)
        layers = measurement.layer_sets[0]
        if family[0].normal.ndim == 2:
            layers = tuple(np.flatnonzero(family[0].layer_lengths).tolist())
        # Of a single layer it is a set by itself, before which nothing has to be done again.
        together = measurement.layer_sets.index(layers) if len(layers) == 1 else 0
        geometry = measurement.geometry(moved, len(rows), len(kinds)).on(together)
        random, null = moved[len(rows) :], slice(last, last + len(moved) - len(rows))
        found.append(_Family(rows, random, null, layers, together, geometry))
        last = null.stop
    return found


def _measured(
    measurement: Measurement,
    chosen: Sequence[Boundary],
    unit: StepUnit,
    families: Sequence[_Family],
    num: int,
    folder: Path | None,
    settings: dict[str, Any],
    progress: bool,
) -> tuple[Effects, int]:
    """Effects of directions, on each layer that they move too, and of random ones on all layers together.

    What was measured before, with the same settings, is not measured again. Returns how many perturbed images
    it took, too.
    """
    moved = [Direction(direction.name, direction.per_step(unit)) for direction in chosen]
    moved += [direction for family in families for direction in family.random]
    asked = np.zeros((len(moved), len(measurement.layer_sets)), np.bool_)
    for family in families:
        asked[family.rows, family.together] = asked[family.null, family.together] = True
        alone = [measurement.layer_sets.index((layer,)) for layer in family.layers if asked.shape[1] > 1]
        asked[np.ix_(family.rows, alone)] = True
    hashes = [hash_of(direction.normal) for direction in moved]
    key = key_of(settings=settings, num=num, own=len(chosen), directions=hashes, asked=hash_of(asked))
    file = folder / f"{name_of(key)}.npz" if folder else None
    started = Measured.load(file, key) if file else None
    images, done = 2 * int(asked.sum()), started.num if started else 0
    if progress and done < num:
        say(f"verifying directions: {measurement.estimate(moved, num - done, asked)}")
    with show_progress("verifying", images * num, done=images * done, enabled=progress) as advance:
        effects = measurement.measure(moved, range(num), asked, file=file, key=key, advance=advance).effects
    for family in families:  # what the only layer does is what all do
        for rows in (family.rows, family.null):
            for part in effects:
                part[rows, 0] = part[rows, family.together]
    return effects, images * num


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
