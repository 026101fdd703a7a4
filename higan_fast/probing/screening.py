"""Screening: a first-order guess of every layer's profile from gradients, to order the work. No effect."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from higan_fast.boundaries.boundary import Boundary, StepUnit
from higan_fast.boundaries.displacement import displacements
from higan_fast.checks import check_count, check_names
from higan_fast.engine.gradients import score_gradients
from higan_fast.engine.inputs import as_codes, prepare
from higan_fast.generators.base import Generator
from higan_fast.predictors.base import Predictor
from higan_fast.probing.effect_files import load_arrays, save_arrays
from higan_fast.progress import progress as show_progress

Array = NDArray[np.float64]


def screen(
    generator: Generator,
    predictor: Predictor,
    codes: Any,
    boundaries: Mapping[str, Boundary],
    *,
    step: float = 2.0,
    step_unit: StepUnit = "norm",
    truncation_psi: float = 1.0,
    truncation_layers: int | None = None,
    batch_size: int = 8,
    file: Path | None = None,
    key: str = "",
    progress: bool = True,
) -> Array:
    """How much a step along each boundary, on each layer alone, would change its score to first order.

    That is the mean over the samples of ``∂score / ∂code_l · step · normal``: one backward pass for each
    semantic gives it for all layers and all boundaries of that semantic. It says nothing of how far the
    score goes on in that direction, and is 0 where a score is saturated: it orders the work and is
    reported beside the measured profile, and never takes its place. Both networks are put into evaluation
    mode; the gradients of their parameters stay as they are.

    Args:
        codes: layer codes ``[N, L, D]``, as torch, NumPy or CuPy array; a few dozen samples are enough.
        boundaries: fitted in "w" or "layers"; each is named after its semantic.
        step: how far to move.
        step_unit: as for ``verify``.
        truncation_psi: with which the codes were made; it shortens the steps along boundaries in w.
        truncation_layers: with which the codes were made.
        batch_size: how many samples are differentiated at once; their activations are all kept.
        file: keeps the sum so far after every batch, and an interrupted call goes on from there.
        key: says what the file is of; a file with another key is not read.
        progress: whether to show it.

    Returns:
        Profiles as a NumPy array, float64 ``[M, L]``, one row for each boundary in order.

    Raises:
        ValueError: when the codes or a boundary do not fit the networks, or a score has no finite gradient.
    """
    check_count("batch_size", batch_size)
    prepare(generator, predictor)
    codes = as_codes(codes, generator)
    if len(codes) == 0:
        raise ValueError("codes: got no samples, expected at least one")
    moves = _moves(generator, predictor, boundaries, step, step_unit, truncation_psi, truncation_layers)
    gradients = mean_gradients(
        generator, predictor, codes, list(moves), batch_size=batch_size, file=file, key=key, progress=progress
    )
    profiles = torch.zeros(len(boundaries), generator.num_layers, dtype=torch.float64, device=codes.device)
    for gradient, (rows, displacement) in zip(gradients, moves.values(), strict=True):
        profiles[rows] = torch.einsum("ld,mld->ml", gradient, displacement)
    return profiles.cpu().numpy()


def mean_gradients(
    generator: Generator,
    predictor: Predictor,
    codes: Tensor,
    columns: Sequence[int],
    *,
    batch_size: int = 8,
    file: Path | None = None,
    key: str = "",
    progress: bool = True,
) -> Tensor:
    """Returns the mean over samples of the gradient of some scores in the codes: float64 ``[C, L, D]``.

    Args:
        codes: ``[N, L, D]``.
        columns: which C of the scores.
        batch_size, file, key, progress: as for ``screen``.

    Raises:
        ValueError: when a score has no finite gradient.
    """
    kept = load_arrays(file, key) if file else None
    if kept is not None and "gradients" not in kept:  # of an older version
        kept = None
    total = torch.zeros(len(columns), *codes.shape[1:], dtype=torch.float64, device=codes.device)
    done = 0 if kept is None else int(kept["done"])
    if kept is not None:
        total += torch.as_tensor(kept["gradients"]).to(total)
    count, so_far = len(codes) * len(columns), done * len(columns)
    with show_progress("screening", count, unit="gradients", done=so_far, enabled=progress) as advance:
        for batch in codes[done:].split(batch_size) if done < len(codes) else ():
            total += score_gradients(generator, predictor, batch, columns).double().sum(dim=1)
            advance(len(batch) * len(columns))
            done += len(batch)
            if file:
                save_arrays(file, key, gradients=total.cpu().numpy(), done=np.array(done))
    return total / len(codes)


def profile_correlation(screened: ArrayLike, measured: ArrayLike) -> Array:
    """Correlation over the layers (Pearson's) of screened and measured profiles: ``[M, L]`` twice → ``[M]``.

    NaN where one of the two does not vary from layer to layer.
    """
    first, second = (_centred(np.asarray(profiles, np.float64)) for profiles in (screened, measured))
    if first.shape != second.shape:
        raise ValueError(
            f"measured: got shape {list(second.shape)}, expected that of screened, {list(first.shape)}"
        )
    products = (first * second).sum(axis=-1)
    sizes = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return np.divide(products, sizes, out=np.full(sizes.shape, np.nan), where=sizes > 0)


def known_correlation(screened: Array, measured: Array) -> float | None:
    """``profile_correlation`` of two profiles ``[L]`` over layers that both know; None: under three."""
    both = np.isfinite(screened) & np.isfinite(measured)
    if both.sum() < 3:
        return None
    correlation = float(profile_correlation(screened[both], measured[both]))
    return correlation if math.isfinite(correlation) else None


def _centred(profiles: Array) -> Array:
    return profiles - profiles.mean(axis=-1, keepdims=True)


def _moves(
    generator: Generator,
    predictor: Predictor,
    boundaries: Mapping[str, Boundary],
    step: float,
    unit: StepUnit,
    psi: float,
    truncated: int | None,
) -> dict[int, tuple[list[int], Tensor]]:
    """Column of a semantic → the rows of its boundaries and their displacements, float64 ``[m, L, D]``."""
    if not boundaries:
        raise ValueError("boundaries: got none; fit some first")
    check_names(
        list({boundary.name: 0 for boundary in boundaries.values()}), predictor.names, "the predictor"
    )
    found: dict[int, list[tuple[int, Tensor]]] = {}
    for row, boundary in enumerate(boundaries.values()):
        boundary.check_moves_codes(generator)
        moves = [boundary.per_step(unit)]
        (displacement,) = displacements(generator, boundary.space, moves, step, None, psi, truncated)
        found.setdefault(predictor.names.index(boundary.name), []).append((row, displacement))  # [L, D]
    return {
        column: ([row for row, _ in entries], torch.stack([displacement for _, displacement in entries]))
        for column, entries in found.items()
    }
