"""Manipulation: images whose codes have been moved along boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from higan_fast.generators.base import Generator
from higan_fast.probing.boundaries import Boundary
from higan_fast.probing.checks import check_count
from higan_fast.probing.engine import as_codes, offset, prepare, strengths
from higan_fast.probing.latents import JITTER, latents
from higan_fast.probing.layers import Layers, parse_layers


def manipulate(
    generator: Generator,
    codes: Any,
    boundary: Boundary | Sequence[Boundary],
    layers: Layers = "all",
    steps: Sequence[float] = (-3.0, 0.0, 3.0),
    *,
    truncation_psi: float = 1.0,
    truncation_layers: int | None = None,
    batch_size: int = 32,
) -> Tensor:
    """Images of every sample at every step along a boundary, or along several at once by the same step.

    Args:
        codes: layer codes ``[N, L, D]``, as torch, NumPy or CuPy array.
        boundary: fitted in "w" or "layers".
        layers: on which layers to move, such as "6-7".
        steps: how far.
        truncation_psi: with which the codes were made; it shortens the steps along boundaries in w.
        truncation_layers: with which the codes were made.
        batch_size: how many images are synthesised at once.

    Returns:
        Images in about [-1, 1], a torch tensor ``[N, len(steps), 3, R, R]`` on the generator's device.

    Raises:
        ValueError: when the codes or a boundary do not fit the generator, or layers are out of range.
    """
    boundaries = [boundary] if isinstance(boundary, Boundary) else list(boundary)
    moves = torch.zeros(generator.num_layers, generator.code_dim, dtype=torch.float64)
    for one in boundaries:
        strength = strengths(one.space, generator.num_layers, truncation_psi, truncation_layers)
        moves += _move(generator, one, layers, strength)
    codes = as_codes(codes, generator)
    distances = torch.tensor(list(steps), dtype=torch.float64).expand(len(codes), -1)
    return _synthesize(generator, codes, moves, distances, batch_size)


def jitter(
    generator: Generator,
    codes: Any,
    boundary: Boundary,
    layers: Layers = "all",
    num: int = 4,
    scale: float = 1.0,
    seed: int = 0,
    *,
    truncation_psi: float = 1.0,
    truncation_layers: int | None = None,
    batch_size: int = 32,
) -> Tensor:
    """Variants of every sample: small random steps from N(0, scale²) along one boundary.

    Args:
        codes: layer codes ``[N, L, D]``, as torch, NumPy or CuPy array.
        boundary: fitted in "w" or "layers".
        layers: on which layers to move.
        num: how many variants of each sample.
        scale: standard deviation of a step.
        seed: of the steps; those of sample *i* depend on (seed, i) alone.
        truncation_psi: with which the codes were made, as in ``manipulate``.
        truncation_layers: with which the codes were made.
        batch_size: how many images are synthesised at once.

    Returns:
        Images in about [-1, 1], a torch tensor ``[N, num, 3, R, R]`` on the generator's device.

    Raises:
        ValueError: as ``manipulate``.
    """
    check_count("num", num)
    codes = as_codes(codes, generator)
    strength = strengths(boundary.space, generator.num_layers, truncation_psi, truncation_layers)
    moves = _move(generator, boundary, layers, strength)
    steps = torch.tensor(latents(seed, 0, len(codes), num, stream=JITTER)).double() * scale  # [N, num]
    return _synthesize(generator, codes, moves, steps, batch_size)


def _move(generator: Generator, boundary: Boundary, layers: Layers, strength: Tensor) -> Tensor:
    """The displacement of the codes by a step of 1: float64 ``[L, D]``."""
    if boundary.space == "z":
        raise ValueError(
            f"boundary: {boundary.name!r} was fitted in z, which moves latents and not layer codes; "
            "fit one in w or layers"
        )
    boundary.check_fits(generator)
    chosen = parse_layers(layers, generator.num_layers)
    return offset(boundary.normal, chosen, 1.0, strength, like=strength)


@torch.no_grad()
def _synthesize(generator: Generator, codes: Tensor, moves: Tensor, steps: Tensor, batch_size: int) -> Tensor:
    """Codes ``[N, L, D]`` + steps ``[N, T]`` · moves ``[L, D]`` → images ``[N, T, 3, R, R]``."""
    check_count("batch_size", batch_size)
    prepare(generator)
    distances = steps.flatten()[:, None, None]  # [N T, 1, 1]
    if len(distances) == 0:
        raise ValueError(
            f"got {len(codes)} samples and {steps.shape[1]} steps, expected at least one of each"
        )
    images = []
    for batch in torch.arange(len(distances)).split(batch_size):
        moved = codes[batch // steps.shape[1]] + (distances[batch] * moves).to(codes)
        images.append(generator.synthesize(moved))
    return torch.cat(images).unflatten(0, steps.shape)
