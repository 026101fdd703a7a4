"""Verification: the effect of every boundary on every semantic, on all layers and on each, against a null."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import StepUnit, fingerprint_of
from higan_fast.boundaries.methods import Recipe
from higan_fast.boundaries.origin import Label
from higan_fast.engine.crew import Crew, check_crew
from higan_fast.engine.precision import Wish
from higan_fast.files import only_writer, remove_leftovers
from higan_fast.generators.base import Generator, check_generator
from higan_fast.predictors.base import Predictor, check_predictor
from higan_fast.probing.choosing import Given, by_name, choose
from higan_fast.probing.effect_files import hash_of, key_of, name_of
from higan_fast.probing.fixed import measure_fixed
from higan_fast.probing.freed import measure_freed
from higan_fast.probing.measurement import Measurement
from higan_fast.probing.null import Null, directions_of, kinds_of
from higan_fast.probing.result_files import ResultFiles
from higan_fast.probing.results import Verification
from higan_fast.probing.screening import screen
from higan_fast.probing.sequential import measure_until_decided
from higan_fast.probing.set_up import set_up
from higan_fast.probing.shuffled import shuffled_directions
from higan_fast.probing.verification_checks import check_lengths, check_verifying
from higan_fast.sampling.samples import Samples
from higan_fast.statistics.decisions import Goal

__all__ = ["Verification", "verify"]


@torch.inference_mode()
def verify(
    generator: Generator,
    predictor: Predictor,
    boundaries: Given,
    *,
    num: int | None = None,
    decide: Goal | None = None,
    confidence: float = 0.99,
    max_samples: int = 2000,
    step: float = 2.0,
    step_unit: StepUnit = "norm",
    recipe: Recipe | None = None,
    semantics: str | Sequence[str] | None = None,
    null: Null = "both",
    num_null: int = 32,
    samples: Samples | None = None,
    seed: int | None = None,
    truncation_psi: float | None = None,
    truncation_layers: int | None = None,
    label: Label = None,
    precision: Wish = "exact",
    screening: int = 0,
    batch_size: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    crew: Crew | None = None,
) -> Verification:
    """Moves fresh samples along each boundary, on all layers and on each alone, and scores what changes.

    It goes on, round by round, until its question is answered for sure, and measures only what still bears on
    the answer, or shows that a boundary wrecks something (see ``Verification.even``). With ``num`` it
    measures everything on so many samples instead, as HiGAN does. Every boundary is compared with random
    directions that are as long on each layer, and every effect is paired: the same sample, one step forth and
    one step back. The base samples are drawn from another stream than those of ``sample``: a boundary that
    fits chance in its own samples would look better on them than it is. Both networks are put into evaluation
    mode.

    Args:
        boundaries: from ``fit_boundaries``, one of them, or a list of some; their names must be among the
            predictor's semantics.
        num: exactly so many base samples for every effect (HiGAN's K); None: as many as it takes.
        decide: the question: "effect", which boundaries raise their semantic; "top-layer", and on which
            layer the most; "ranking", and in which order. None: "top-layer", or "effect" where there is one
            layer, and for boundaries in z, which moves all. Without meaning where ``num`` is given.
        confidence: of each interval and of the null's band, and of all decisions together.
        max_samples: where to stop though the question is open; a larger one goes on from there.
        step: how far to move (HiGAN's λ); effects are those of one such step.
        step_unit: "norm": of the displacement, as HiGAN's; "sd": standard deviations of the codes along each
            boundary, which ``Boundary.per_step`` explains, and along each random direction.
        recipe: "higan": as HiGAN re-scores. Everything is measured on ``max_samples`` samples (its K), with a
            step of 2 in norm, and ``rank`` is by ``higan_delta``. None: as the other arguments say.
        semantics: which boundaries to verify, names or one name; None: all.
        null: with which random directions to compare. "isotropic": drawn evenly from all directions.
            "covariance": drawn with the covariance of the codes, so that they point where codes vary. "both":
            an effect counts only if it is beyond each of these; in z they are one kind. "shuffled": fitted in
            the same way as the boundaries, but to shuffled scores.
        num_null: how many of each kind.
        samples: to which the boundaries were fitted; for "shuffled".
        seed: of the base samples and of the random directions. None: as the samples that the boundaries were
            fitted to; 1 for boundaries from files.
        truncation_psi: see ``Generator.map``. None: as those samples; 1 for boundaries from files.
        truncation_layers: see ``Generator.map``. None: as those samples; all layers for boundaries from
            files.
        label: the class of all base samples, for conditional generators; "random": each draws its own.
            None: as those samples; "random" for boundaries from files.
        precision: "exact": float32; "fast": 16 bits where the device multiplies them; "auto": "fast" on a
            CUDA device with tensor cores, and "exact" elsewhere. The settings name the one that was taken.
        screening: on how many base samples to guess every layer's profile from gradients too, which is
            reported beside the measured profile, and never in its place; one backward pass for each of
            them and each boundary that has an effect.
        batch_size: at most so many images at once; None: as many as are worth it. Fewer where memory is
            short.
        out: run folder, which keeps what is measured every few seconds, and every result. A verification
            with the same settings goes on where it was, or returns at once what is complete.
        progress: whether to show it.
        crew: workers that score moved samples; None: this process does. Needs ``out``.

    Raises:
        TypeError: when the networks or the boundaries are something else.
        ValueError: when an argument is out of range, a boundary does not fit the networks or was fitted to
            samples of others, or a score is not finite.
        RuntimeError: when another process is writing to ``out``, or memory is too short for one image.
        OSError: when ``out`` cannot be written to.
    """
    check_generator(generator)
    check_predictor(predictor)
    boundaries = by_name(boundaries)
    check_crew(crew, out)
    check_verifying(
        boundaries, num=num, decide=decide, confidence=confidence, max_samples=max_samples, step=step,
        step_unit=step_unit, recipe=recipe, semantics=semantics, null=null, num_null=num_null,
        precision=precision, screening=screening, batch_size=batch_size, out=out,
    )  # fmt: skip
    if recipe == "higan" and num is None:
        num = max_samples
    chosen = choose(boundaries, semantics, generator, predictor)
    check_lengths(chosen)
    space = chosen[0].space
    engine, drawn, settings, kept, networks = set_up(
        generator, predictor, chosen, seed=seed, truncation_psi=truncation_psi,
        truncation_layers=truncation_layers, label=label, precision=precision, batch_size=batch_size,
        keeps=out is not None, on_logits=True, step=float(step), step_unit=step_unit, space=space,
    )  # fmt: skip
    measurement = Measurement(engine, space, step, drawn, crew, networks)
    one_layer = space != "z" and generator.num_layers == 1
    goal: Goal | None = None
    if num is None:
        goal = decide or ("effect" if space == "z" or one_layer else "top-layer")
    until = {"max_samples": int(max_samples)} if num is None else {"num": int(num)}
    about: dict[str, Any] = {
        "null": null,
        "num_null": int(num_null),
        "confidence": confidence,
        "decide": goal,
    }
    about |= until
    about |= {"screening": int(screening)} | ({"recipe": recipe} if recipe else {})
    about["boundaries"] = fingerprint_of(boundaries)
    about["code_deviations"] = {
        each.name: each.code_deviations and list(each.code_deviations) for each in boundaries.values()
    }
    names = tuple(boundary.name for boundary in chosen)
    columns = [predictor.names.index(name) for name in names]
    kinds, shuffled = kinds_of(null, space), []
    if null == "shuffled":
        shuffled = shuffled_directions(boundaries, names, samples, num_null, step_unit, drawn.seed)
    directions = directions_of(chosen, step_unit, kinds, num_null, drawn.seed, measurement.draw, shuffled)
    geometry = measurement.geometry(directions, len(chosen), len(kinds))
    with contextlib.nullcontext() if out is None else only_writer(out):
        folder, results = None, None if out is None else ResultFiles(out)
        promised = {"ranges": [str(ends) for ends in measurement.ranges.tolist()]}  # which decides intervals
        moved = {b.name: hash_of(b.per_step(step_unit)) for b in chosen}
        of_shuffled = {"shuffled": hash_of(*shuffled)} if shuffled else {}
        key = key_of(settings=kept | about | promised, boundaries=moved, **of_shuffled)
        if results:
            remove_leftovers(results.current)
            remove_leftovers(results.folder.parent)
            if (fields := results.find(key)) is not None:
                results.make_current(key)
                return Verification(**fields)
            folder = results.folder.parent / name_of(key_of(settings=kept))
        deviation = measurement.deviation(boundaries, num or max_samples)
        if num is not None:
            figures = measure_fixed(
                measurement, directions, columns, geometry, num, confidence, folder, kept, progress
            )
        else:
            assert goal is not None
            asked: Goal = "effect" if one_layer and goal == "top-layer" else goal
            figures = measure_until_decided(
                measurement, directions, columns, geometry, asked, confidence, max_samples, deviation,
                folder, kept, progress,
            )  # fmt: skip
        if one_layer:
            figures |= _of_the_one_layer(figures)
        figures |= measure_freed(
            measurement, chosen, columns, figures, deviation, step_unit=step_unit, at_most=num or max_samples,
            confidence=confidence, folder=folder, settings=kept, progress=progress,
        )  # fmt: skip
        layers = () if space == "z" else generator.layers
        found = Verification(
            semantics=predictor.semantics,
            boundary_names=names,
            accuracy=_accuracies(boundary.accuracy for boundary in chosen),
            remaining_accuracy=_accuracies(boundary.remaining_accuracy for boundary in chosen),
            layers=layers,
            deviation=deviation,
            screening=np.full((len(names), len(layers)), np.nan),
            settings=settings | about,
            ranges=measurement.ranges,
            **figures,
        )
        beating = {
            boundary.name: boundary for boundary in chosen if found.beats_null[found.row(boundary.name)]
        }
        if screening and layers and beating:
            rows = [found.row(name) for name in beating]
            codes = measurement.draw(0, screening).codes
            normals = [hash_of(boundary.per_step(step_unit)) for boundary in beating.values()]
            of_them = key_of(settings=kept, screening=int(screening), names=list(beating), normals=normals)
            file = folder / "screening" / f"{name_of(of_them)}.npz" if folder else None
            found.screening[rows] = screen(
                generator, predictor, codes, beating, step=step, step_unit=step_unit,
                truncation_psi=drawn.truncation_psi, truncation_layers=drawn.truncation_layers, file=file,
                key=of_them, progress=progress,
            )  # fmt: skip
        if results:
            results.keep(found, key)
        return found


def _of_the_one_layer(figures: dict[str, Any]) -> dict[str, Any]:
    """What all layers do together is what the only one does alone: it is measured once, and stands twice."""
    by_set = ["effect", "standard_error", "low", "high", "higan_delta", "samples"]
    by_set += ["even", "even_error", "even_low", "even_high"]
    by_set += ["logit_effect", "logit_error", "logit_low", "logit_high"]
    return {
        **{name: figures[name].repeat(2, axis=1) for name in by_set},
        **{name: figures[name].repeat(2, axis=0) for name in ("null_low", "null_high")},
        "layer_beats_null": figures["beats_null"][:, None],
        "top_layer": np.zeros_like(figures["top_layer"]),
    }


def _accuracies(values: Iterable[float | None]) -> NDArray[np.float64]:
    """NaN where one is not known."""
    return np.array([math.nan if value is None else value for value in values])
