"""The random directions with which boundaries are compared: as long on each layer, and as free."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.boundaries.boundary import Boundary, Space, StepUnit
from higan_fast.boundaries.deviations import along
from higan_fast.probing.measurement import Direction
from higan_fast.sampling.latents import BLOCK, NULL, Codes, latents
from higan_fast.statistics.nulls import random_directions

Array = NDArray[np.float64]

NUM_TO_SPREAD = 1024  # codes that give a standard deviation to 2 %


def directions_of(
    boundaries: Sequence[Boundary],
    unit: StepUnit,
    num_null: int,
    seed: int,
    draw: Callable[[int, int], Codes],
) -> list[Direction]:
    """What is measured: the boundaries, and after them random directions, each as long as a step of 1.

    Where steps are in standard deviations, a random direction's is that of drawn codes along it.

    Args:
        unit: of the steps.
        num_null: how many random directions.
        seed: of them.
        draw: gives the codes of the samples ``start`` to ``stop - 1``.
    """
    codes = draw(0, BLOCK if unit == "norm" else NUM_TO_SPREAD)
    random = null_directions(boundaries, num_null, seed, codes)
    if unit == "sd":
        drawn = _in_space(boundaries[0].space, codes).detach().cpu().numpy()
        lengths = [np.asarray(along(drawn, normal)) for normal in random]
        random = np.stack(
            [n * (s[0] if len(s) == 1 else s[:, None]) for n, s in zip(random, lengths, strict=True)]
        )
    return [
        *(Direction(boundary.name, boundary.per_step(unit)) for boundary in boundaries),
        *(Direction(f"random direction {i}", normal) for i, normal in enumerate(random)),
    ]


def null_directions(boundaries: Sequence[Boundary], num: int, seed: int, codes: Codes) -> Array:
    """Random directions in the boundaries' space: ``[num, D]``, or ``[num, L, D]`` with one per layer.

    Codes may have entries that are the same in all samples: a class that is fixed, or the padding of a code
    that is shorter than the others. No boundary points there. A random direction that did would have less
    length left for the rest, or move what no boundary can, so none does.

    A step along them moves each layer as far as a step along the boundaries does.

    Args:
        boundaries: all of one space, shape and ``layer_lengths``.
        seed: of the directions.
        codes: of some samples, which say what differs.
    """
    normals = np.stack([boundary.normal for boundary in boundaries])  # [B, D] or [B, L, D]
    shape = normals.shape[1:]
    noise = latents(seed, 0, num, math.prod(shape), stream=NULL).astype(np.float64).reshape(num, *shape)
    if len(shape) == 1:
        random = random_directions(normals, noise)
    else:
        moved = normals.any(axis=(0, 2))  # [L]: a layer whose code is always the same has no boundary
        random = np.zeros_like(noise)
        parts = (values.compress(moved, axis=1) for values in (normals, noise))
        random[:, moved] = random_directions(*parts)
    differ = _differ(boundaries[0], codes)
    if not differ.all():
        random *= differ
        length = np.linalg.norm(random, axis=-1, keepdims=True)
        random /= np.where(length > 0, length, 1)
    return random if len(shape) == 1 else random * boundaries[0].layer_lengths[:, None]


def _differ(boundary: Boundary, codes: Codes) -> NDArray[np.bool_]:
    """Which entries differ from sample to sample, in the shape of a normal."""
    values = _in_space(boundary.space, codes)
    differ = np.asarray((values != values[:1]).any(dim=0).cpu())
    if differ.ndim > boundary.normal.ndim:  # one normal for all layers
        differ = np.asarray(differ.any(axis=0))
    # Where all samples are the average one there is nothing to tell, and all that comes from w is free. What
    # codes have behind it does not: it says with which statistics they are drawn.
    width = codes.w.shape[1] if boundary.space == "layers" else differ.shape[-1]
    differ[~differ.any(axis=-1)] = np.arange(differ.shape[-1]) < width
    return differ


def _in_space(space: Space, codes: Codes) -> Tensor:
    return {"z": codes.z, "w": codes.w, "layers": codes.codes}[space]
