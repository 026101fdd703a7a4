"""Directions without a semantic of their own: which semantics each surely moves, and on which layer most."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import torch

from higan_fast.boundaries.boundary import StepUnit, fingerprint_of
from higan_fast.boundaries.origin import Label
from higan_fast.engine.precision import Wish
from higan_fast.files import only_writer
from higan_fast.generators.base import Generator, check_generator
from higan_fast.generators.style_space import StyleSpace
from higan_fast.predictors.base import Predictor, check_predictor
from higan_fast.probing.choosing import Given, by_name, fitting_together
from higan_fast.probing.directions_measured import Task, bounds, measure_fixed, measure_until_decided
from higan_fast.probing.directions_results import DIRECTIONS_FILES, Directions
from higan_fast.probing.effect_files import key_of, name_of
from higan_fast.probing.families import families_of
from higan_fast.probing.measurement import Measurement
from higan_fast.probing.null import Null, kinds_of
from higan_fast.probing.set_up import set_up
from higan_fast.probing.verification_checks import check_verifying

__all__ = ["Directions", "verify_directions"]

# Later looks at the null tell little more.
MAX_SAMPLES = 512


@torch.inference_mode()
def verify_directions(
    generator: Generator,
    predictor: Predictor,
    directions: Given,
    *,
    num: int | None = None,
    max_samples: int = MAX_SAMPLES,
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

    It goes on, round by round, until it is known of every direction what it moves, with the looks at the null
    that ``verify`` has, or until random directions show that it moves no more than they do. Then those that
    surely move something are moved on each layer alone, until it is known which moves that most. With ``num``
    it measures everything on so many samples instead.

    The level 1 − confidence holds for all pairs of a direction and a semantic together: half of it is for
    what is moved, and half of that for the null, by Holm's rule over the pairs, and half for the signs; the
    other half is for the layers. Where each direction moves a single one, all of it is for what is moved.

    Args:
        generator: a ``StyleSpace`` for directions in styles, as ``verify_channels`` has it.
        directions: their names need not be semantics; all in one space.
        num: exactly so many base samples for every effect, at least 2; None: as many as it takes.
        max_samples: where to stop though something is open.
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
        None, num=num, decide=None, confidence=confidence, max_samples=max_samples, step=step, null=null,
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
    families, moved = families_of(chosen, kinds_of(null, space), num_null, step_unit, measurement)
    folder = None if out is None else Path(out) / "verification" / name_of(key_of(settings=kept))
    task = Task(measurement, moved, families, confidence, folder, kept, progress)
    about = {"null": null, "num_null": int(num_null), "confidence": confidence}
    about |= {"max_samples": int(max_samples)} if num is None else {"num": int(num)}
    with contextlib.nullcontext() if out is None else only_writer(out):
        deviation = measurement.deviation({}, num or max_samples)
        claims = measure_until_decided(task, max_samples) if num is None else measure_fixed(task, num)
        own = claims.effects.of(slice(len(chosen)))
        low, high = bounds(task, own, (1 - confidence) / 2, fixed=claims.fixed)
        found = Directions(
            boundary_names=tuple(named),
            semantics=predictor.semantics,
            layers=generator.layers if own.mean.shape[1] > 1 else (),
            effect=np.where(np.isnan(low), np.nan, own.mean),
            low=low,
            high=high,
            p_values=claims.p_values,
            p_adjusted=claims.p_adjusted,
            p_required=claims.p_required,
            sign=claims.sign,
            undecided=claims.undecided,
            top_layer=claims.top_layer,
            top_layer_sure=claims.top_layer_sure,
            deviation=deviation,
            samples=own.num,
            images=claims.images,
            settings=settings | about | {"directions": fingerprint_of(named)},
        )
        if out is not None:
            found.save(Path(out) / DIRECTIONS_FILES[of_styles])
    return found
