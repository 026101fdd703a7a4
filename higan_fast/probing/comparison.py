"""Comparing methods: the boundaries of each, moved by the same step on the same codes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import STEP_UNITS, Boundaries, Space, StepUnit, fingerprint_of
from higan_fast.boundaries.effects import paired_effects
from higan_fast.boundaries.gradient import check_networks
from higan_fast.boundaries.methods import method_name, parse_method
from higan_fast.checks import (
    check_batch_size,
    check_choice,
    check_confidence,
    check_count,
    check_folder,
    check_number,
)
from higan_fast.engine.engine import Engine
from higan_fast.engine.estimate import Rate
from higan_fast.engine.plan import Plan
from higan_fast.engine.precision import WISHES, Wish, chosen_precision
from higan_fast.files import only_writer, remove_leftovers
from higan_fast.generators.base import Generator
from higan_fast.predictors.base import Predictor, described
from higan_fast.probing.comparison_figures import compared
from higan_fast.probing.comparison_fits import Fits, fit_each, method_of
from higan_fast.probing.comparison_results import Comparison
from higan_fast.probing.effect_files import hash_of, key_of, load_arrays, name_of, save_arrays
from higan_fast.probing.made_by import made_by
from higan_fast.progress import progress as show_progress
from higan_fast.progress import say
from higan_fast.sampling.latents import COMPARISON, make_codes
from higan_fast.sampling.samples import Samples
from higan_fast.statistics.student import DISTINCT

__all__ = ["METHODS_COMPARED", "Comparison", "compare_methods"]

Array = NDArray[np.float64]

METHODS_COMPARED = (
    *("svm=1", "svm=0.01", "logistic=1", "logistic=0.01", "logistic=0.001", "ridge=1", "lda=1"),
    *("difference", "pattern=1", "gradient"),
)

# What is measured at once, and then kept.
CODES_AT_ONCE, DIRECTIONS_AT_ONCE = 64, 16


def check_comparing(
    methods: Sequence[str],
    *,
    codes: int,
    step: float,
    step_unit: StepUnit,
    confidence: float,
    precision: Wish,
    batch_size: int | None,
    num_gradients: int = 256,
    out: str | Path | None = None,
) -> None:
    """Raises when ``compare_methods`` would refuse these arguments, whatever the networks are.

    Raises:
        ValueError: when an argument is out of range.
        OSError: when ``out`` cannot be written to.
    """
    if isinstance(methods, str) or not methods:
        raise ValueError(f"methods (--methods): got {methods!r}, expected names such as svm=0.01, difference")
    names = [method_name(*parse_method(method)) for method in methods]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f"methods (--methods): got {name!r} twice, expected each method once")
    check_count("codes (--codes)", codes, DISTINCT)  # with fewer no interval has an end
    check_number("step (--step)", step, "a positive number", above=0)
    check_choice("step_unit (--step-unit)", step_unit, STEP_UNITS)
    check_confidence(confidence)
    check_choice("precision (--precision)", precision, WISHES)
    check_batch_size(batch_size)
    check_count("num_gradients (--gradients)", num_gradients)
    if out is not None:
        check_folder(out)


@torch.no_grad()
def compare_methods(
    generator: Generator,
    predictor: Predictor,
    samples: Samples,
    boundaries: Boundaries,
    methods: Sequence[str] = METHODS_COMPARED,
    *,
    codes: int = 128,
    step: float = 2.0,
    step_unit: StepUnit = "norm",
    confidence: float = 0.99,
    num_gradients: int = 256,
    precision: Wish = "exact",
    batch_size: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> Comparison:
    """Fits a boundary for each semantic with each method, and measures what they move at equal displacement.

    The boundaries that are given are compared with those that other methods give: fitted to the same
    samples, with the same sides and in the same space. All are moved one step forth and one back, on all
    layers, on the same fresh codes: from a stream of their own, which neither a fit, nor the choice of C, nor
    a verification draws from. Each method is fitted to both halves of the samples as well, with half as many
    a side, and the cosine between the two normals tells how much a direction owes to the samples; between
    fits to as many samples as there are it would be higher. Both networks are put into evaluation mode.

    Args:
        samples: those that the boundaries were fitted to.
        boundaries: those that the others are compared with, as ``fit_boundaries`` gave them.
        methods: names, with C behind "=" where there is one: "svm=0.01", "svm=auto", "difference". The method
            of the boundaries that are given need not be among them.
        codes: how many fresh ones, at least 24; each takes two images for every method and semantic.
        step: how far to move.
        step_unit: as for ``verify``.
        confidence: of all intervals of differences together. Half of what may fail is for the means over the
            semantics, half for single semantics.
        num_gradients: as for ``fit_boundaries``, unless the boundaries that are given say how many.
        precision: as for ``verify``.
        batch_size: at most so many images at once; None: as many as are worth it. Fewer where memory is
            short.
        out: run folder, which keeps what is measured of 16 boundaries on 64 codes, and the result. The same
            call goes on where it was, and one with more codes or methods adds to them.
        progress: whether to show it.

    Raises:
        ValueError: when an argument is out of range, the boundaries were not fitted to the samples, the
            networks are not those that made them, fewer than two methods give boundaries, or a score is not
            finite.
        RuntimeError: when another process is writing to ``out``, or memory is too short for one image.
        OSError: when ``out`` cannot be written to.
    """
    check_comparing(
        methods, codes=codes, step=step, step_unit=step_unit, confidence=confidence, precision=precision,
        batch_size=batch_size, num_gradients=num_gradients, out=out,
    )  # fmt: skip
    if not isinstance(samples, Samples) or not isinstance(boundaries, Boundaries):
        name, got = ("boundaries", boundaries) if isinstance(samples, Samples) else ("samples", samples)
        maker = {"boundaries": "fit_boundaries", "samples": "sample"}[name]
        raise TypeError(f"{name}: got {described(got)}, expected what {maker} gives")
    first = method_of(samples, boundaries)
    check_networks(generator, predictor, samples.settings)
    names = dict.fromkeys([first, *(method_name(*parse_method(method)) for method in methods)])
    if len(names) < 2:
        raise ValueError(
            f"methods (--methods): got {first} alone, by which the boundaries were fitted; name another"
        )
    precision = chosen_precision(precision, generator.device)
    engine = Engine(generator, predictor, batch_size=batch_size, precision=precision)
    drawn = {name: samples.settings[name] for name in ("seed", "truncation_psi", "truncation_layers")}
    settings, kept, _ = made_by(
        engine, predictor, precision, **drawn, label=samples.settings.get("label"), keeps=out is not None
    )
    about: dict[str, Any] = {
        "methods": list(names),
        "codes": int(codes),
        "step": float(step),
        "step_unit": step_unit,
        "confidence": float(confidence),
        "num_gradients": int(boundaries.settings.get("num_gradients", num_gradients)),
        "num_samples": len(samples),
        "boundaries": fingerprint_of(boundaries),
    }
    with contextlib.nullcontext() if out is None else only_writer(out):
        folder, result, key = None, None, key_of(settings=kept | about)
        if out is not None:
            folder, result = Path(out) / "comparison", Path(out) / "comparison.npz"
            remove_leftovers(result)
            remove_leftovers(folder)
            if (found := Comparison.kept(result, key)) is not None:
                return found
        fits, skipped = fit_each(generator, predictor, samples, boundaries, list(names), about, progress)
        measured = _measure(engine, fits, settings | about, folder, kept, progress)
        comparison = compared(predictor, samples, fits, measured, skipped, settings | about)
        if result is not None:
            comparison.save(result, key)
        return comparison


class _Part(NamedTuple):
    """Some boundaries of one method on some codes."""

    method: int
    rows: slice  # of its boundaries
    codes: slice
    moves: list[Array]
    key: str
    path: Path | None

    @property
    def images(self) -> int:
        return 2 * len(self.moves) * (self.codes.stop - self.codes.start)

    def load(self) -> Array | None:
        """The effects that were kept, ``[n, m, S]``; None where there are none."""
        arrays = load_arrays(self.path, self.key) if self.path else None
        return None if arrays is None else arrays["effects"]


def _measure(
    engine: Engine,
    fits: Mapping[str, Fits],
    settings: Mapping[str, Any],
    folder: Path | None,
    kept: Mapping[str, Any],
    progress: bool,
) -> Array:
    """The effects of each method's boundaries on every score of each code: ``[K, n, B, S]``."""
    generator, truncation = engine.generator, (settings["truncation_psi"], settings["truncation_layers"])
    space = next(iter(next(iter(fits.values())).whole.values())).space
    work = _parts(fits, settings, space, folder, kept)
    shape = len(fits), settings["codes"], len(next(iter(fits.values())).whole), len(settings["semantics"])
    effects, missing = np.empty(shape), []
    for part in work:
        if (found := part.load()) is None:
            missing.append(part)
        else:
            effects[part.method, part.codes, part.rows] = found
    left = sum(part.images for part in missing)
    if progress and missing:
        plan = _as_plan(generator, left // (2 * settings["codes"]))
        say(f"comparing: {Rate(engine).estimate(plan, settings['codes'])}")
    total = sum(part.images for part in work)
    with show_progress("comparing", total, done=total - left, enabled=progress) as advance:
        for part in missing:
            drawn = make_codes(
                generator, settings["seed"], part.codes.start, part.codes.stop, *truncation, COMPARISON,
                settings.get("label"),
            )  # fmt: skip
            journal = engine.journal(part.path, part.key) if part.path else None
            found = paired_effects(
                engine, drawn, space, part.moves,
                truncation_psi=truncation[0], truncation_layers=truncation[1], journal=journal,
                advance=advance,
            )  # fmt: skip
            _check_finite(found, part, fits, settings["semantics"])
            if part.path and journal:
                save_arrays(part.path, part.key, effects=found)
                journal.drop()
            effects[part.method, part.codes, part.rows] = found
    return effects


def _parts(
    fits: Mapping[str, Fits],
    settings: Mapping[str, Any],
    space: Space,
    folder: Path | None,
    kept: Mapping[str, Any],
) -> list[_Part]:
    """What is to be measured: all methods on the first codes, and then on the next."""
    parts, num = [], settings["codes"]
    for start in range(0, num, CODES_AT_ONCE):
        codes = slice(start, min(start + CODES_AT_ONCE, num))
        for method, own in enumerate(fits.values()):
            moves = [settings["step"] * each.per_step(settings["step_unit"]) for each in own.whole.values()]
            for first in range(0, len(moves), DIRECTIONS_AT_ONCE):
                some = moves[first : first + DIRECTIONS_AT_ONCE]
                key = key_of(
                    settings=kept, space=space, moves=hash_of(*some), first=codes.start, last=codes.stop - 1
                )
                path = folder / f"{name_of(key)}.npz" if folder else None
                parts.append(_Part(method, slice(first, first + len(some)), codes, some, key, path))
    return parts


def _check_finite(found: Array, part: _Part, fits: Mapping[str, Fits], semantics: Sequence[str]) -> None:
    """Raises ValueError, naming the first, where an effect is not finite."""
    broken = np.argwhere(~np.isfinite(found))
    if len(broken):
        code, row, column = broken[0].tolist()
        method, own = list(fits.items())[part.method]
        raise ValueError(
            f"scores: the predictor gave NaN or infinity for semantic {semantics[column]!r} at code "
            f"{part.codes.start + code}, moved along the {method} boundary of "
            f"{list(own.whole)[part.rows.start + row]!r}; what was measured before is kept"
        )


def _as_plan(generator: Generator, num: int) -> Plan:
    """Returns a plan that takes as long for each code: a step forth and one back along so many directions."""
    moves = torch.zeros(1, generator.num_layers, generator.code_dim).expand(max(num, 1), -1, -1)
    return Plan(moves, (tuple(range(generator.num_layers)),), torch.ones(2))
