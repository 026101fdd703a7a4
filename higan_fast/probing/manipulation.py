"""Manipulation: images whose codes have been moved along boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from higan_fast.boundaries.boundary import STEP_UNITS, Boundary, StepUnit
from higan_fast.boundaries.displacement import displacements
from higan_fast.boundaries.origin import check_origin, drawn_as
from higan_fast.checks import check_batch_size, check_choice, check_count, check_number
from higan_fast.engine.engine import Engine
from higan_fast.engine.inputs import as_codes
from higan_fast.engine.plan import Plan
from higan_fast.engine.scoring import in_range
from higan_fast.fingerprint import fingerprint
from higan_fast.generators.base import Generator
from higan_fast.probing.layers import Layers, parse_layers
from higan_fast.sampling.latents import JITTER, latents

MOST_VARIANTS = 10_000


def check_steps(steps: Sequence[float]) -> None:
    """Raises ValueError when there are no steps, or one is not finite."""
    if len(steps) == 0:
        raise ValueError("steps (--steps): got none, expected at least one")
    for step in steps:
        check_number("steps (--steps)", step, "finite numbers")


def check_jitter(num: int, scale: float) -> None:
    """Raises ValueError when there are no variants, or their scale is negative or not finite."""
    check_count("num (--jitter)", num, at_most=MOST_VARIANTS)
    check_number("scale (--scale)", scale, "a number of at least 0", at_least=0)


@torch.no_grad()
def manipulate(
    generator: Generator,
    codes: Any,
    boundary: Boundary | Sequence[Boundary],
    layers: Layers = "all",
    steps: Sequence[float] = (-3.0, 0.0, 3.0),
    *,
    truncation_psi: float | None = None,
    truncation_layers: int | None = None,
    step_unit: StepUnit = "norm",
    batch_size: int | None = None,
    drawn_by: Generator | None = None,
) -> Tensor:
    """Images of every sample at every step along a boundary, or along several at once by the same step.

    Args:
        codes: layer codes ``[N, L, D]``, as torch, NumPy or CuPy array.
        boundary: fitted in "w" or "layers".
        layers: on which layers to move, such as "6-7".
        steps: how far, in ``step_unit``.
        truncation_psi: with which the codes were made; it shortens the steps along boundaries in w. None: as
            for the samples of the boundary; 1 for a boundary from a file.
        truncation_layers: with which the codes were made. None: as for the samples of the boundary; all
            layers for a boundary from a file.
        step_unit: "norm": of the displacement; "sd": standard deviations of the codes along each boundary
            (see ``Boundary.per_step``).
        batch_size: at most so many images at once; None: as many as are worth it.
        drawn_by: a generator with the same layers that draws the images, such as one that was tuned around
            the codes. None: ``generator``, which decides in any case how far codes move.

    Returns:
        Images in [-1, 1], a torch tensor ``[N, len(steps), C, H, W]`` on the generator's device.

    Raises:
        ValueError: when the codes or a boundary do not fit the generator, a boundary was fitted to samples of
            another one, or layers are out of range.
    """
    check_steps(steps)
    codes = as_codes(codes, generator)
    boundaries = [boundary] if isinstance(boundary, Boundary) else list(boundary)
    chosen = parse_layers(layers, generator.num_layers)
    moves = moves_along(
        generator, boundaries, chosen, step_unit, truncation_psi, truncation_layers
    )  # [M, L, D]
    drawing = drawn_by or generator
    return _images(drawing, codes, moves.sum(dim=0), (chosen,), steps, batch_size)[:, 0]


@torch.no_grad()
def manipulate_each_layer(
    generator: Generator,
    codes: Any,
    boundary: Boundary,
    steps: Sequence[float] = (-3.0, 0.0, 3.0),
    *,
    truncation_psi: float | None = None,
    truncation_layers: int | None = None,
    step_unit: StepUnit = "norm",
    batch_size: int | None = None,
) -> Tensor:
    """Images of every sample, moved on each layer alone; faster than ``manipulate`` layer by layer.

    Each layer's images start from one shared activation of the unmoved sample.

    Args:
        codes: layer codes ``[N, L, D]``, as torch, NumPy or CuPy array.
        boundary: fitted in "w" or "layers".
        steps: how far, in ``step_unit``.
        truncation_psi: as for ``manipulate``.
        truncation_layers: as for ``manipulate``.
        step_unit: "norm": of the displacement; "sd": standard deviations of the codes along each boundary
            (see ``Boundary.per_step``).
        batch_size: at most so many images at once; None: as many as are worth it.

    Returns:
        Images in [-1, 1], a torch tensor ``[N, L, len(steps), C, H, W]`` on the generator's device.

    Raises:
        ValueError: when the codes or the boundary do not fit the generator, or the boundary was fitted to
            samples of another one.
    """
    check_steps(steps)
    codes = as_codes(codes, generator)
    every = range(generator.num_layers)
    (moves,) = moves_along(
        generator, [boundary], every, step_unit, truncation_psi, truncation_layers
    )  # [L, D]
    return _images(generator, codes, moves, [(layer,) for layer in every], steps, batch_size)


@torch.no_grad()
def jitter(
    generator: Generator,
    codes: Any,
    boundary: Boundary,
    layers: Layers = "all",
    num: int = 4,
    scale: float = 1.0,
    seed: int = 0,
    *,
    truncation_psi: float | None = None,
    truncation_layers: int | None = None,
    step_unit: StepUnit = "norm",
    batch_size: int | None = None,
    drawn_by: Generator | None = None,
) -> Tensor:
    """Variants of every sample: small random steps from N(0, scale²) along one boundary.

    Args:
        codes: layer codes ``[N, L, D]``, as torch, NumPy or CuPy array.
        boundary: fitted in "w" or "layers".
        layers: on which layers to move, such as "6-7".
        num: how many variants of each sample.
        scale: standard deviation of a step, in ``step_unit``.
        seed: of the steps; those of sample *i* depend on (seed, i) alone.
        truncation_psi: with which the codes were made; it shortens the steps along boundaries in w. None: as
            for the samples of the boundary; 1 for a boundary from a file.
        truncation_layers: with which the codes were made. None: as for the samples of the boundary; all
            layers for a boundary from a file.
        step_unit: "norm": of the displacement; "sd": standard deviations of the codes along each boundary
            (see ``Boundary.per_step``).
        batch_size: at most so many images at once; None: as many as are worth it.
        drawn_by: a generator with the same layers that draws the images, such as one that was tuned around
            the codes. None: ``generator``, which decides in any case how far codes move.

    Returns:
        Images in [-1, 1], a torch tensor ``[N, num, C, H, W]`` on the generator's device.

    Raises:
        ValueError: when the codes or the boundary do not fit the generator, the boundary was fitted to
            samples of another one, or layers are out of range.
    """
    check_jitter(num, scale)
    codes = as_codes(codes, generator)
    chosen = parse_layers(layers, generator.num_layers)
    (move,) = moves_along(generator, [boundary], chosen, step_unit, truncation_psi, truncation_layers)
    _check_work(len(codes), batch_size)
    steps = torch.tensor(latents(seed, 0, len(codes), num, stream=JITTER)).double() * scale  # [N, num]
    moved = codes[:, None] + (steps[:, :, None, None].to(move.device) * move).to(codes)  # [N, num, L, D]
    images = Engine(drawn_by or generator, batch_size=batch_size).images(moved.flatten(0, 1))
    return in_range(images).unflatten(0, (len(codes), num))


def moves_along(
    generator: Generator,
    boundaries: Sequence[Boundary],
    layers: Sequence[int],
    step_unit: StepUnit = "norm",
    truncation_psi: float | None = None,
    truncation_layers: int | None = None,
) -> Tensor:
    """Returns what a step of 1 along each boundary adds to the layer codes: float64 ``[M, L, D]``.

    Args:
        layers: which move; the others get 0.
        step_unit: as for ``manipulate``.
        truncation_psi: as for ``manipulate``.
        truncation_layers: as for ``manipulate``.

    Raises:
        ValueError: when a boundary does not fit the generator, or was fitted to samples of another one.
    """
    check_choice("step_unit (--step-unit)", step_unit, STEP_UNITS)
    drawn = drawn_as(
        boundaries, truncation_psi=truncation_psi, truncation_layers=truncation_layers, seed=0, label="random"
    )
    for boundary in boundaries:
        boundary.check_moves_codes(generator)
    if any(boundary.origin for boundary in boundaries):
        found = fingerprint(generator)
        for boundary in boundaries:
            check_origin(boundary, generator=found)
    truncation = (drawn.truncation_psi, drawn.truncation_layers)
    return torch.cat(
        [
            displacements(generator, each.space, [each.per_step(step_unit)], 1.0, layers, *truncation)
            for each in boundaries
        ]
    )


def _images(
    generator: Generator,
    codes: Tensor,
    moves: Tensor,
    layer_sets: Sequence[tuple[int, ...]],
    steps: Sequence[float],
    batch_size: int | None,
) -> Tensor:
    """Images ``[N, len(layer_sets), T, C, H, W]`` of codes that ``moves`` moves on each set of layers."""
    _check_work(len(codes), batch_size)
    plan = Plan(moves[None], tuple(layer_sets), torch.tensor(list(steps), dtype=torch.float64))
    images = codes.new_empty(len(codes), len(layer_sets), len(steps), *generator.image_shape)
    for found in Engine(generator, batch_size=batch_size).perturbed_images(codes, plan):
        work = (torch.from_numpy(part).to(images.device) for part in found.work)
        layer_set, _, sample, step = work
        images[sample, layer_set, step] = in_range(found.images)
    return images


def _check_work(num_samples: int, batch_size: int | None) -> None:
    check_batch_size(batch_size)
    if num_samples == 0:
        raise ValueError("codes: got no samples, expected at least one")
