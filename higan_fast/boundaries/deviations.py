"""How far codes spread along a direction: the standard deviation of samples' codes along boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundary, Space
from higan_fast.boundaries.linear import Array, Floats, blocks, centre_of
from higan_fast.sampling.samples import Samples


def measured_on(samples: Samples, boundaries: Sequence[Boundary]) -> list[Boundary]:
    """The same boundaries, with the standard deviations of the samples' codes along their normals.

    Fitted boundaries have those already. One from a file, or one that was freed from others, needs this
    before a step along it can be given in standard deviations.

    Raises:
        ValueError: when a boundary does not fit the codes of the samples.
    """
    found = []
    for boundary in boundaries:
        codes = codes_in(samples, boundary.space)
        if boundary.normal.shape[-1] != codes.shape[-1] or (
            boundary.normal.ndim == 2 and boundary.normal.shape != codes.shape[1:]
        ):
            raise ValueError(
                f"boundary {boundary.name!r}: its normal has shape {list(boundary.normal.shape)}, and the "
                f"codes of these samples in {boundary.space} have {list(codes.shape[1:])}"
            )
        found.append(replace(boundary, code_deviations=tuple(along(codes, boundary.normal))))
    return found


def along(codes: Floats, normal: Array) -> list[float]:
    """The standard deviation of codes along a normal, of each layer, or one for all.

    Args:
        codes: ``[N, D]`` or ``[N, L, D]``.
        normal: ``[D]``, or ``[L, D]`` for as many layers; taken as if every ``[D]`` had length 1.
    """
    unit = normal / np.where(length := np.linalg.norm(normal, axis=-1, keepdims=True), length, 1)
    if codes.ndim == 2:
        return [_spread(codes, unit)]
    units = np.broadcast_to(unit, codes.shape[1:])
    return [_spread(codes[:, layer], own) for layer, own in enumerate(units)]


def codes_in(samples: Samples, space: Space) -> NDArray[np.float32]:
    """The codes of samples in a space: ``[N, D]``, or ``[N, L, D]`` in "layers"."""
    return samples.codes if space == "layers" else samples.w if space == "w" else samples.z


def _spread(codes: Floats, unit: Array) -> float:
    squares = sum(float(((x @ unit) ** 2).sum()) for _, x in blocks(codes, centre_of(codes)))
    return float(np.sqrt(squares / len(codes)))
