"""The dose-response of every boundary: all scores at many steps along it, on fresh samples."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import STEP_UNITS, Boundary, StepUnit, fingerprint_of
from higan_fast.boundaries.origin import Label
from higan_fast.checks import (
    check_batch_size,
    check_choice,
    check_confidence,
    check_count,
    check_folder,
    check_number,
)
from higan_fast.engine.precision import WISHES, Wish
from higan_fast.files import only_writer, remove_leftovers
from higan_fast.generators.base import Generator, check_generator
from higan_fast.predictors.base import Predictor, Semantic, check_predictor
from higan_fast.probing.choosing import Given, by_name, choose
from higan_fast.probing.effect_files import hash_of, key_of
from higan_fast.probing.layers import format_layers, parse_layers
from higan_fast.probing.measurement import check_ranges, ranges_of
from higan_fast.probing.results import Verification
from higan_fast.probing.set_up import set_up
from higan_fast.probing.sweep_results import Sweep
from higan_fast.probing.sweep_scores import Curve, Curves, Scores
from higan_fast.sampling.samples import deviation_of
from higan_fast.statistics.dose import DoseClaims, Means, dose_claims
from higan_fast.wording import in_words

__all__ = ["Sweep", "sweep_steps"]

Array = NDArray[np.float64]

STEPS = tuple(float(step) for step in range(-6, 7))

# The part of a rise that counts as nothing, where no other is asked for.
PART = 0.25

# Claims are computed for so many numbers at once: they fit into memory many times over.
NUMBERS_AT_ONCE = 2**22


def check_sweeping(
    *,
    steps: Sequence[float],
    num: int,
    part: float,
    confidence: float,
    precision: Wish,
    batch_size: int | None,
    step_unit: StepUnit | None = None,
    out: str | Path | None = None,
) -> None:
    """Raises when ``sweep_steps`` would refuse these arguments, whatever the networks are.

    Raises:
        ValueError: when an argument is out of range.
        OSError: when ``out`` cannot be written to.
    """
    if isinstance(steps, str | float | int):
        raise ValueError(f"steps (--steps): got {steps!r}, expected several numbers, such as (-3, 0, 3)")
    for step in steps:
        check_number("steps (--steps)", step, "finite numbers, such as -3, 0, 3")
    if not any(steps) or len(set(steps)) < len(steps):
        got = ", ".join(f"{step:g}" for step in steps) or "none"
        raise ValueError(
            f"steps (--steps): got {got}; expected different steps, one of them other than 0, such as "
            "-3, 0, 3"
        )
    check_count("num (--num)", num, 2)
    if not 0 < part < 1:
        raise ValueError(f"part (--part): got {part!r}, expected a number between 0 and 1, such as 0.25")
    check_confidence(confidence)
    check_choice("precision (--precision)", precision, WISHES)
    if step_unit is not None:
        check_choice("step_unit (--step-unit)", step_unit, STEP_UNITS)
    check_batch_size(batch_size)
    if out is not None:
        check_folder(out)


@torch.inference_mode()
def sweep_steps(
    generator: Generator,
    predictor: Predictor,
    boundaries: Given,
    steps: Sequence[float] = STEPS,
    *,
    num: int = 128,
    verification: Verification | None = None,
    semantics: str | Sequence[str] | None = None,
    part: float = PART,
    confidence: float = 0.99,
    step_unit: StepUnit | None = None,
    seed: int | None = None,
    truncation_psi: float | None = None,
    truncation_layers: int | None = None,
    label: Label = None,
    precision: Wish = "exact",
    batch_size: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> Sweep:
    """Moves a few fresh samples by many steps along each boundary, and scores them all.

    The result has the mean change of every score at every step, with its interval, and claims of each curve:
    whether it rises throughout, where it saturates, which other scores change their direction, and from
    which step on one changes by more than half of what the target does (``statistics/dose.py``). All steps
    are measured on the same samples, which are of a stream of their own: which layers act, and
    which boundaries are worth a sweep, was found on those of ``verify``, and would look better there than it
    is. Both networks are put into evaluation mode.

    Args:
        boundaries: from ``fit_boundaries``, one of them, or a list of some; their names must be among the
            predictor's semantics.
        steps: 0 is always one of them.
        num: how many samples; each takes one image for every boundary and step other than 0, and where some
            layers act, another. Claims of scores with a range need some 100.
        verification: of these boundaries; those that act on some layers, but not on all, are moved on these
            alone too. None: all layers move.
        semantics: which boundaries, names or one name; None: all.
        part: of the rise of a curve, that counts as nothing: a curve that rises throughout may fall by so
            much, and one that saturates rise by so much.
        confidence: of each interval, and of all claims together.
        step_unit: as for ``verify``; None: that of the verification, or "norm".
        seed: of the samples; None, here and below: as the samples that the boundaries were fitted to, and
            for boundaries from files as ``verify`` has it.
        truncation_psi: see ``Generator.map``.
        truncation_layers: see ``Generator.map``.
        label: as for ``verify``.
        precision: as for ``verify``.
        batch_size: at most so many images at once; None: as many as are worth it. Fewer where memory is
            short.
        out: run folder, which keeps the scores of every 32 samples, and the result. The same call goes on
            where it was, one with a larger ``num`` adds to them, and one with a smaller gives what is there.
        progress: whether to show it.

    Raises:
        ValueError: when an argument is out of range, a boundary does not fit the networks or was fitted to
            samples of others, the verification is of other boundaries, or a score is not finite.
        RuntimeError: when another process is writing to ``out``, or memory is too short for one image.
        OSError: when ``out`` cannot be written to.
    """
    check_generator(generator)
    check_predictor(predictor)
    boundaries = by_name(boundaries)
    if verification is not None and not isinstance(verification, Verification):
        raise TypeError(f"verification: got {in_words(verification)}, expected what verify gives, or None")
    if step_unit is None:
        step_unit = "norm" if verification is None else verification.settings["step_unit"]
    check_sweeping(
        steps=steps, num=num, part=part, confidence=confidence, precision=precision, batch_size=batch_size,
        step_unit=step_unit, out=out,
    )  # fmt: skip
    chosen = choose(boundaries, semantics, generator, predictor)
    engine, _, settings, kept, networks = set_up(
        generator, predictor, chosen, seed=seed, truncation_psi=truncation_psi,
        truncation_layers=truncation_layers, label=label, precision=precision, batch_size=batch_size,
        keeps=out is not None, step_unit=step_unit, space=chosen[0].space,
        steps=sorted({0.0, *map(float, steps)}),
    )  # fmt: skip
    names = tuple(boundary.name for boundary in chosen)
    acting: dict[str, str] | None = None
    if verification is not None:
        _check_verified(verification, boundaries, networks)
        acting = acting_layers(verification, names)
    about: dict[str, Any] = {"num": int(num), "confidence": float(confidence), "part": float(part)}
    about |= {"acting": acting, "boundaries": fingerprint_of(boundaries)}
    ranges = ranges_of(predictor)
    alone = [boundary for boundary in chosen if boundary.name in (acting or {})]
    on_some = [Curve(each, parse_layers((acting or {})[each.name], generator.num_layers)) for each in alone]
    curves = Curves(engine, [*map(Curve, chosen), *on_some], settings)
    with contextlib.nullcontext() if out is None else only_writer(out):
        folder, result = None, None
        promised = {"ranges": [str(ends) for ends in ranges.tolist()]}  # which decides intervals and claims
        moved = {boundary.name: hash_of(boundary.per_step(step_unit)) for boundary in chosen}
        deviations = {boundary.name: boundary.deviation for boundary in boundaries.values()}
        key = key_of(settings=kept | about | promised, boundaries=moved, deviations=deviations)
        if out is not None:
            folder, result = Path(out) / "sweep", Path(out) / "sweep.npz"
            remove_leftovers(result)
            remove_leftovers(folder)
            if (found := Sweep.kept(result, key)) is not None:
                return found
        measured = curves.measure(range(num), folder, kept, progress)
        check_ranges(predictor.names, *measured.ends(), ranges)
        deviation = _deviation(predictor.semantics, tuple(boundaries.values()), measured.base)
        sweep = _judged(measured, curves, num, deviation, settings | about, ranges)
        if result is not None:
            sweep.save(result, key)
        return sweep


def acting_layers(verification: Verification, names: Iterable[str]) -> dict[str, str]:
    """Returns which layers act alone, of boundaries of which some do and not all: ``{"view": "0-2"}``."""
    verified = [name for name in names if name in verification.boundary_names]
    found = {name: np.flatnonzero(verification.layer_beats_null[verification.row(name)]) for name in verified}
    num = len(verification.layers)
    return {name: format_layers(layers.tolist()) for name, layers in found.items() if 0 < len(layers) < num}


def _check_verified(
    verification: Verification, boundaries: Mapping[str, Boundary], networks: Mapping[str, str]
) -> None:
    """Raises ValueError where a verification is of something else."""
    for name, expected in {**networks, "boundaries": fingerprint_of(boundaries)}.items():
        if verification.settings.get(name) != str(expected):
            what = f"other {name}" if name == "boundaries" else f"another {name}"
            raise ValueError(
                f"verification: is of {what}; verify these boundaries with these networks, or leave it out"
            )


def _judged(
    measured: Scores, curves: Curves, num: int, deviation: Array, settings: dict[str, Any], ranges: Array
) -> Sweep:
    """What the scores of all samples say.

    The level 1 − confidence is shared by the curves.
    """
    generator, confidence = curves.generator, settings["confidence"]
    steps, semantics = np.array(settings["steps"]), curves.semantics
    names = [semantic.name for semantic in semantics]
    own = np.array([names.index(name) for name in curves.names])
    widths, zero = ranges[:, 1] - ranges[:, 0], int(np.flatnonzero(steps == 0)[0])
    shape = (len(own), len(steps), len(semantics))
    figures, claims = np.zeros((3, *shape)), []
    at_once = max(1, NUMBERS_AT_ONCE // (num * shape[1] * shape[2]))
    for start in range(0, len(own), at_once):
        part = slice(start, start + at_once)
        scores = np.insert(
            measured.moved[:, part].astype(np.float64),
            zero,
            measured.base[:, None].astype(np.float64),
            axis=2,
        ).clip(ranges[:, 0], ranges[:, 1])  # [N, C, T, S]; they may lie outside by rounding
        change = scores - scores[:, :, zero : zero + 1]
        reach = np.broadcast_to(widths, change.shape[1:]).ravel()
        means = Means(change.reshape(num, -1), reach, keep=True)
        bounds = means.bounds((1 - confidence) / 2)
        figures[:, part] = np.stack([means.mean, *bounds]).reshape(3, *change.shape[1:])
        level = (1 - confidence) / len(own)
        claims.append(dose_claims(scores, steps, own[part], widths, deviation, level, settings["part"]))
    figures[:, :, zero] = 0.0  # the sample as it is
    together = DoseClaims._make(np.concatenate(parts) for parts in zip(*claims, strict=True))
    return Sweep(
        semantics=semantics,
        boundary_names=curves.names,
        layers=() if settings["space"] == "z" else generator.layers,
        moved=curves.moved,
        steps=steps,
        change=figures[0],
        low=figures[1],
        high=figures[2],
        **together._asdict(),
        deviation=deviation,
        ranges=ranges,
        samples=num,
        images=num * (1 + len(own) * (len(steps) - 1)),
        settings=settings,
    )


def _deviation(semantics: Sequence[Semantic], boundaries: Sequence[Boundary], base: NDArray[Any]) -> Array:
    """Standard deviation of each score, ``[S]``: as its boundary says; else over the samples as they are."""
    known = {boundary.name: boundary.deviation for boundary in boundaries}
    found = deviation_of(base)
    for column, semantic in enumerate(semantics):
        if (value := known.get(semantic.name)) is not None:
            found[column] = value
    return found
