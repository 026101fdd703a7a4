"""The random directions with which boundaries are compared: as long on each layer, and as free."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.boundaries.boundary import Boundary, Space, StepUnit
from higan_fast.boundaries.deviations import along
from higan_fast.probing.measurement import Direction
from higan_fast.sampling.latents import BLOCK, NULL, NULL_COVARIANCE, Codes, latents
from higan_fast.statistics.nulls import random_directions

Array = NDArray[np.float64]
Kind = Literal["isotropic", "covariance", "shuffled"]
Null = Literal["both", "isotropic", "covariance", "shuffled"]
NULLS: tuple[Null, ...] = get_args(Null)

IN_WORDS: Mapping[Kind, str] = {
    "isotropic": "drawn evenly from all directions in which codes differ",
    "covariance": "drawn with the covariance of the codes",
    "shuffled": "fitted in the same way to shuffled scores",
}

MOST_NULL = 100_000  # random directions; each is walked like a boundary
NUM_TO_SPREAD = 1024  # codes that give a standard deviation to 2 %


def kinds_of(null: Null, space: Space) -> tuple[Kind, ...]:
    """The kinds of random directions: of "both", "isotropic" and "covariance".

    In z codes are drawn from N(0, I), so that the two are one kind there, "isotropic".
    """
    if space == "z" and null != "shuffled":
        return ("isotropic",)
    return ("isotropic", "covariance") if null == "both" else (null,)


def directions_of(
    boundaries: Sequence[Boundary],
    unit: StepUnit,
    kinds: Sequence[Kind],
    num_null: int,
    seed: int,
    draw: Callable[[int, int], Codes],
    shuffled: Sequence[Array] = (),
) -> list[Direction]:
    """What is measured: the boundaries, and after them random directions, each as long as a step of 1.

    Where steps are in standard deviations, a random direction's is that of drawn codes along it.

    Args:
        unit: of the steps.
        kinds: of the random directions, ``num_null`` of each.
        num_null: how many.
        seed: of them.
        draw: gives the codes of the samples ``start`` to ``stop - 1``.
        shuffled: the ones that were fitted to shuffled scores, in the unit.
    """
    codes = draw(0, BLOCK if unit == "norm" and "covariance" not in kinds else NUM_TO_SPREAD)
    found = [Direction(boundary.name, boundary.per_step(unit)) for boundary in boundaries]
    for kind in kinds:
        random = shuffled
        if kind != "shuffled":
            random = list(null_directions(boundaries, kind, num_null, seed, codes))
            random = random if unit == "norm" else _in_deviations(random, boundaries[0].space, codes)
        names = [f"random direction {i} ({kind})" for i in range(num_null)]
        found += [Direction(name, normal) for name, normal in zip(names, random, strict=True)]
    return found


def null_directions(boundaries: Sequence[Boundary], kind: Kind, num: int, seed: int, codes: Codes) -> Array:
    """Random directions in the boundaries' space: ``[num, D]``, or ``[num, L, D]`` with one per layer.

    Codes may have entries that are the same in all samples: a class that is fixed, or the padding of a code
    that is shorter than the others. No boundary points there. A random direction that did would have less
    length left for the rest, or move what no boundary can, so none does.

    A step along them moves each layer as far as a step along the boundaries does.

    Args:
        boundaries: all of one space, shape and ``layer_lengths``.
        kind: "isotropic", or "covariance": a random sum of the codes less their mean, so that directions
            have the codes' covariance. A layer where all codes are alike gets an isotropic one.
        seed: of the directions.
        codes: of some samples, which say what differs, and how.
    """
    normals = np.stack([boundary.normal for boundary in boundaries])  # [B, D] or [B, L, D]
    random = _drawn(normals, seed, num, NULL)
    differ = _differ(boundaries[0], codes)
    if not differ.all():
        random *= differ
        length = np.linalg.norm(random, axis=-1, keepdims=True)
        random /= np.where(length > 0, length, 1)
    if kind == "covariance":
        spread = _centred(boundaries[0], codes)
        follow = _drawn(normals, seed, num, NULL_COVARIANCE, spread)
        random = np.where(follow.any(axis=-1, keepdims=True), follow, random)
    return random if random.ndim == 2 else random * boundaries[0].layer_lengths[:, None]


def _drawn(normals: Array, seed: int, num: int, stream: int, codes: Array | None = None) -> Array:
    """Directions of length 1; where no boundary moves a layer, 0."""
    size = normals.shape[-1] if codes is None else len(codes)
    shape = (*normals.shape[1:-1], size)
    noise = latents(seed, 0, num, math.prod(shape), stream).astype(np.float64).reshape(num, *shape)
    if normals.ndim == 2:
        return random_directions(normals, noise, codes)
    moved = normals.any(axis=(0, 2))  # [L]: a layer whose code is always the same has no boundary
    random = np.zeros((num, *normals.shape[1:]))
    of_moved = codes if codes is None else codes.compress(moved, axis=1)
    boundaries, of_noise = (values.compress(moved, axis=1) for values in (normals, noise))
    random[:, moved] = random_directions(boundaries, of_noise, of_moved)
    return random


def _centred(boundary: Boundary, codes: Codes) -> Array:
    """The codes less their mean, in the shape of a normal: ``[N, D]``, or ``[N, L, D]``."""
    values = in_space(boundary.space, codes).detach().double().cpu().numpy()
    if values.ndim > boundary.normal.ndim + 1:  # one normal for all layers: the codes of one after the other
        values = values[np.arange(len(values)), np.arange(len(values)) % values.shape[1]]
    return np.asarray(values - values.mean(axis=0))


def _in_deviations(random: Sequence[Array], space: Space, codes: Codes) -> list[Array]:
    """The same directions, as long as the codes' standard deviation along each."""
    drawn = in_space(space, codes).detach().cpu().numpy()
    lengths = [np.asarray(along(drawn, normal)) for normal in random]
    return [n * (s[0] if len(s) == 1 else s[:, None]) for n, s in zip(random, lengths, strict=True)]


def _differ(boundary: Boundary, codes: Codes) -> NDArray[np.bool_]:
    """Which entries differ from sample to sample, in the shape of a normal."""
    values = in_space(boundary.space, codes)
    differ = np.asarray((values != values[:1]).any(dim=0).cpu())
    if differ.ndim > boundary.normal.ndim:  # one normal for all layers
        differ = np.asarray(differ.any(axis=0))
    # Where all samples are the average one there is nothing to tell, and all that comes from w is free. What
    # codes have behind it does not: it says with which statistics they are drawn.
    width = codes.w.shape[1] if boundary.space == "layers" else differ.shape[-1]
    differ[~differ.any(axis=-1)] = np.arange(differ.shape[-1]) < width
    return differ


def in_space(space: Space, codes: Codes) -> Tensor:
    """The codes in a space, ``[N, D]``, or ``[N, L, D]`` in "layers"."""
    return {"z": codes.z, "w": codes.w, "layers": codes.codes}[space]
