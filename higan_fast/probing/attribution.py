"""Layers without a direction: how much of each score's variance comes with the code of one layer alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.checks import (
    check_batch_size,
    check_choice,
    check_confidence,
    check_count,
    check_folder,
    check_label,
    check_seed,
)
from higan_fast.engine.engine import Engine
from higan_fast.engine.estimate import Rate
from higan_fast.engine.plan import Plan
from higan_fast.engine.precision import WISHES, Wish, chosen_precision
from higan_fast.files import only_writer, remove_leftovers
from higan_fast.generators.base import Generator, check_generator
from higan_fast.predictors.base import Predictor, check_predictor
from higan_fast.probing.attribution_results import Attribution
from higan_fast.probing.effect_files import key_of, load_arrays, name_of, save_arrays
from higan_fast.probing.made_by import made_by
from higan_fast.progress import progress as show_progress
from higan_fast.progress import say
from higan_fast.sampling.latents import ATTRIBUTION, REPLACEMENT, make_codes
from higan_fast.statistics.sobol import possible_tops, total_indices

__all__ = ["Attribution", "attribute_layers"]

# Samples are drawn and scored so many at a time, and then what they gave is kept.
SAMPLES_AT_ONCE = 128


def check_attributing(
    *,
    num: int,
    confidence: float,
    precision: Wish,
    batch_size: int | None,
    out: str | Path | None = None,
) -> None:
    """Raises when ``attribute_layers`` would refuse these arguments, whatever the networks are.

    Raises:
        ValueError: when an argument is out of range.
        OSError: when ``out`` cannot be written to.
    """
    check_count("num (--num)", num, 2)
    check_confidence(confidence)
    check_choice("precision (--precision)", precision, WISHES)
    check_batch_size(batch_size)
    if out is not None:
        check_folder(out)


@torch.inference_mode()
def attribute_layers(
    generator: Generator,
    predictor: Predictor,
    *,
    num: int = 1000,
    confidence: float = 0.99,
    seed: int = 0,
    truncation_psi: float = 1.0,
    truncation_layers: int | None = None,
    label: int | None = None,
    precision: Wish = "exact",
    batch_size: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> Attribution:
    """Feeds one layer at a time the code of another sample, and scores what changes.

    The result is the total Sobol index of every layer for every semantic: half the mean squared change of
    the score, as a share of its variance (``statistics/sobol.py``). It needs no boundary, so that it also
    says which layer decides a semantic that no boundary moves. It does not say how to move it.

    The samples are drawn from other streams than those of ``sample`` and ``verify``. The other sample has
    the class of the first one, where the generator has classes. Both networks are put into evaluation mode.

    Args:
        num: how many samples; each takes one image, and one more for every layer.
        confidence: of each interval, and of all top layers together.
        seed: of the samples.
        truncation_psi: see ``Generator.map``.
        truncation_layers: see ``Generator.map``.
        label: the class of all samples, for conditional generators; None: each draws its own.
        precision: as for ``verify``.
        batch_size: at most so many images at once; None: as many as are worth it. Fewer where memory is
            short.
        out: run folder, which keeps the scores of every 128 samples, and the result. The same call goes
            on where it was, and one with a larger ``num`` adds to them.
        progress: whether to show it.

    Raises:
        ValueError: when an argument is out of range, the generator has one layer, or a score is not finite.
        RuntimeError: when another process is writing to ``out``, or memory is too short for one image.
        OSError: when ``out`` cannot be written to.
    """
    check_generator(generator)
    check_predictor(predictor)
    check_attributing(num=num, confidence=confidence, precision=precision, batch_size=batch_size, out=out)
    check_seed(seed)
    generator.check_truncation(truncation_psi, truncation_layers)
    check_label(label, generator.label_dim)
    if generator.num_layers == 1:
        raise ValueError(
            "generator: it has one layer, which decides all that its code decides; there is nothing to tell "
            "apart"
        )
    precision = chosen_precision(precision, generator.device)
    engine = Engine(generator, predictor, batch_size=batch_size, precision=precision)
    settings, kept, _ = made_by(
        engine, predictor, precision, seed=seed, truncation_psi=truncation_psi,
        truncation_layers=truncation_layers, label=label, keeps=out is not None,
    )  # fmt: skip
    about = {"num": int(num), "confidence": float(confidence)}
    with contextlib.nullcontext() if out is None else only_writer(out):
        folder, result, key = None, None, key_of(settings=kept | about)
        if out is not None:
            folder, result = Path(out) / "attribution", Path(out) / "attribution.npz"
            remove_leftovers(result)
            remove_leftovers(folder)
            if (found := Attribution.kept(result, key)) is not None:
                return found
        measured = _measure(engine, num, settings, folder, kept, progress)
        indices = total_indices(measured.scores, measured.replaced, confidence)
        attribution = Attribution(
            semantics=predictor.semantics,
            layers=generator.layers,
            index=indices.estimate,
            standard_error=indices.standard_error,
            low=indices.low,
            high=indices.high,
            possible_top=possible_tops(measured.scores, measured.replaced, confidence),
            deviation=measured.scores.astype(np.float64).std(axis=0, ddof=1),
            samples=int(num),
            images=int(num) * (1 + generator.num_layers),
            settings=settings | about,
        )
        if result is not None:
            attribution.save(result, key)
        return attribution


class _Part(NamedTuple):
    """Scores of some samples, ``[n, S]``, and with the code of each layer replaced, ``[n, L, S]``."""

    scores: NDArray[Any]
    replaced: NDArray[Any]

    @classmethod
    def load(cls, path: Path | None, key: str) -> _Part | None:
        """Reads what was kept under a key; returns None where there is no such file."""
        arrays = load_arrays(path, key) if path else None
        return None if arrays is None else cls(arrays["scores"], arrays["replaced"])


def _measure(
    engine: Engine,
    num: int,
    settings: dict[str, Any],
    folder: Path | None,
    kept: dict[str, Any],
    progress: bool,
) -> _Part:
    """Scores the first ``num`` samples, part by part; each is kept as it is done."""
    generator = engine.generator
    each = 1 + generator.num_layers  # images of a sample
    work: list[tuple[range, str, Path | None, _Part | None]] = []
    for start in range(0, num, SAMPLES_AT_ONCE):
        samples = range(start, min(start + SAMPLES_AT_ONCE, num))
        key = key_of(settings=kept, first=samples.start, last=samples.stop - 1)
        path = folder / f"{name_of(key)}.npz" if folder else None
        work.append((samples, key, path, _Part.load(path, key)))
    missing = sum(len(samples) for samples, *_, part in work if part is None)
    if progress and missing:
        say(f"attributing: {Rate(engine).estimate(_as_plan(generator), missing)}")
    parts = []
    done = (num - missing) * each
    with show_progress("attributing to layers", num * each, done=done, enabled=progress) as advance:
        for samples, key, path, part in work:
            if part is None:
                part = _score(engine, samples, settings, advance)
                if path is not None:
                    save_arrays(path, key, **part._asdict())
            parts.append(part)
    return _Part(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _score(engine: Engine, samples: range, settings: dict[str, Any], advance: Callable[[int], None]) -> _Part:
    """Scores some samples as they are, and with the code of each layer taken from another sample.

    Raises:
        ValueError: when a score is not finite.
    """
    generator, label = engine.generator, settings.get("label")
    truncation = settings["truncation_psi"], settings["truncation_layers"]
    codes, others = (
        make_codes(
            generator, settings["seed"], samples.start, samples.stop, *truncation, stream, label, ATTRIBUTION
        ).codes
        for stream in (ATTRIBUTION, REPLACEMENT)
    )
    scores = engine.scores(codes, advance)
    replaced = scores.new_empty(len(samples), generator.num_layers, scores.shape[1])
    for found in engine.replaced_scores(codes, others):
        replaced[found.samples, found.layer] = found.values
        advance(len(found.values))
    broken = (~torch.cat([scores[:, None], replaced], dim=1).isfinite()).nonzero()
    if len(broken):
        row, layer, column = broken[0].tolist()
        what = "" if layer == 0 else f" with another code on layer {layer - 1}"
        raise ValueError(
            f"scores: the predictor gave NaN or infinity for semantic {settings['semantics'][column]!r} at "
            f"sample {samples.start + row}{what}; what was measured before is kept"
        )
    return _Part(scores.cpu().numpy(), replaced.cpu().numpy())


def _as_plan(generator: Generator) -> Plan:
    """Returns a plan that takes as long for each sample: one step along one direction on each layer."""
    moves = torch.zeros(1, generator.num_layers, generator.code_dim)
    return Plan(moves, tuple((layer,) for layer in range(generator.num_layers)), torch.ones(1))
