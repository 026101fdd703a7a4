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
    for boundary in boundaries:
        codes = codes_in(samples, boundary.space)
        if boundary.normal.shape[-1] != codes.shape[-1] or (
            boundary.normal.ndim == 2 and boundary.normal.shape != codes.shape[1:]
        ):
            raise ValueError(
                f"boundary {boundary.name!r}: its normal has shape {list(boundary.normal.shape)}, and the "
                f"codes of these samples in {boundary.space} have {list(codes.shape[1:])}"
            )
    found: dict[int, Boundary] = {}
    for space in {boundary.space for boundary in boundaries}:
        rows = [row for row, boundary in enumerate(boundaries) if boundary.space == space]
        spreads = along_each(codes_in(samples, space), [boundaries[row].normal for row in rows])
        for row, own in zip(rows, spreads, strict=True):
            found[row] = replace(boundaries[row], code_deviations=tuple(own))
    return [found[row] for row in range(len(boundaries))]


def along(codes: Floats, normal: Array) -> list[float]:
    """The standard deviation of codes along a normal, of each layer, or one for all.

    Args:
        codes: ``[N, D]`` or ``[N, L, D]``.
        normal: ``[D]``, or ``[L, D]`` for as many layers; taken as if every ``[D]`` had length 1.
    """
    return along_each(codes, [normal])[0]


def along_each(codes: Floats, normals: Sequence[Array]) -> list[list[float]]:
    """As ``along``, for each of several normals: the codes are gone through once for all of them."""
    layers = codes[:, None] if codes.ndim == 2 else codes  # [N, L or 1, D]
    lengths = [np.linalg.norm(normal, axis=-1, keepdims=True) for normal in normals]
    units = np.stack(
        [
            np.broadcast_to(normal / np.where(length, length, 1), layers.shape[1:])
            for normal, length in zip(normals, lengths, strict=True)
        ]
    )  # [B, L or 1, D]
    spreads = [_spreads(layers[:, layer], units[:, layer]) for layer in range(units.shape[1])]
    found: list[list[float]] = np.stack(spreads, axis=1).tolist()
    return found


def codes_in(samples: Samples, space: Space) -> NDArray[np.float32]:
    """The codes of samples in a space: ``[N, D]``, or ``[N, L, D]`` in "layers"."""
    return samples.codes if space == "layers" else samples.w if space == "w" else samples.z


def _spreads(codes: Floats, units: Array) -> Array:
    """Of codes ``[N, D]`` along each of ``[B, D]``: ``[B]``."""
    squares = sum(((x @ units.T) ** 2).sum(axis=0) for _, x in blocks(codes, centre_of(codes)))
    return np.asarray(np.sqrt(squares / len(codes)), np.float64)
