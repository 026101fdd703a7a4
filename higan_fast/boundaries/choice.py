"""How much to regularise, chosen by what the boundaries move on codes that serve nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import stdtr

from higan_fast.boundaries.boundary import Boundaries, Boundary
from higan_fast.boundaries.effects import paired_effects
from higan_fast.boundaries.gradient import check_networks
from higan_fast.engine.engine import Engine
from higan_fast.files import checksum, json_checksum
from higan_fast.generators.base import Generator
from higan_fast.predictors.base import Predictor
from higan_fast.progress import progress as show_progress
from higan_fast.sampling.latents import CHOICE, make_codes

Array = NDArray[np.float64]

STRENGTHS = (1.0, 0.1, 0.01, 0.001)  # of C; the first is HiGAN's
NUM_CODES = 64
STEP = 2.0  # in norm, HiGAN's
LEVEL = 0.05  # of a gain over the first strength that is none


def choose_regularisation(
    fits: Sequence[Boundaries],
    generator: Generator,
    predictor: Predictor,
    settings: Mapping[str, Any],
    progress: bool,
    out: Path | None = None,
) -> Boundaries:
    """Takes the boundaries of the strength that ``best`` names, of those fitted with each of ``STRENGTHS``.

    What is compared is the effect of a step on each semantic's own score, in standard deviations of that, on
    64 codes from a stream of their own (``CHOICE``). No boundary was fitted to them, and no verification
    draws them, so its intervals are of fixed directions on fresh codes. All semantics get one strength: were
    each given the boundary that moves it most, chance would choose among several directions where the null
    has one, and more boundaries of shuffled scores would be claimed.

    Args:
        fits: the boundaries of one method, for each strength in order.
        generator: the one that made the samples.
        predictor: the one that scored them.
        settings: of the samples.
        progress: whether to show it.
        out: run folder, which keeps what was measured: the same directions are not moved along again.
    """
    check_networks(generator, predictor, settings)
    names = [name for name in fits[0] if all(name in fit for fit in fits)]
    found = fits[0]
    if names:
        boundaries = [fit[name] for fit in fits for name in names]
        columns = [predictor.names.index(name) for name in names]
        effects = _effects(generator, predictor, settings, boundaries, columns * len(fits), progress, out)
        unit = np.array([fits[0][name].deviation or 1.0 for name in names])
        found = fits[best(effects.reshape(len(fits), len(names), -1) / unit[:, None])]
    about = {"strengths": list(STRENGTHS), "choice_codes": NUM_CODES}
    return replace(found, settings=found.settings | {"C": "auto"} | about)


def best(effects: Array) -> int:
    """Which strength to take: the first one, unless others surely move more.

    Of those whose gain over the first, averaged over the semantics and paired on the same codes, is above 0
    at the level 0.05 (Student's t, one-sided, Bonferroni over the others), the one with the largest mean.

    Args:
        effects: on each of n codes, in a unit that semantics share, ``[strengths, S, n]``.
    """
    of_codes = effects.mean(axis=1)  # [strengths, n]
    gains = of_codes[1:] - of_codes[0]
    num = gains.shape[-1]
    error = gains.std(axis=-1, ddof=1) / np.sqrt(num)
    size = np.divide(gains.mean(axis=-1), error, out=np.zeros(error.shape), where=error > 0)
    sure = stdtr(num - 1, -size) <= LEVEL / len(gains)  # [strengths - 1]
    if not sure.any():
        return 0
    return 1 + int(np.where(sure, of_codes[1:].mean(axis=-1), -np.inf).argmax())


@torch.inference_mode()
def _effects(
    generator: Generator,
    predictor: Predictor,
    settings: Mapping[str, Any],
    boundaries: Sequence[Boundary],
    columns: Sequence[int],
    progress: bool,
    out: Path | None,
) -> Array:
    """The effect of each boundary on its own score, on all layers: ``[M, n]``."""
    psi, truncated, label = settings["truncation_psi"], settings["truncation_layers"], settings.get("label")
    drawn = make_codes(generator, settings["seed"], 0, NUM_CODES, psi, truncated, CHOICE, label)
    moves = [STEP * one.normal for one in boundaries]
    engine, space = Engine(generator, predictor), boundaries[0].space
    journal = None
    if out is not None:
        key = f"{space} {checksum({'moves': np.stack(moves)})} {json_checksum(settings, NUM_CODES)}"
        journal = engine.journal(out / "choice" / f"{checksum({'key': np.array(key)})[:16]}.npz", key)
    num = 2 * NUM_CODES * len(moves)
    done = journal.num_kept if journal else 0
    with show_progress("choosing C", num, done=done, enabled=progress) as advance:
        found = paired_effects(
            engine, drawn, space, moves,
            truncation_psi=psi, truncation_layers=truncated, journal=journal, advance=advance,
        )  # fmt: skip
    if journal:
        journal.flush()
    effects = found[:, range(len(moves)), columns].T
    if not np.isfinite(effects).all():
        raise ValueError("scores: the predictor gave NaN or infinity on moved images, so C cannot be chosen")
    return effects
