"""The styles of all layers for a list of perturbations, and their demodulation factors, in one call.

A style is affine in its layer's code, so a step along a boundary adds a multiple of one vector to all styles
of the sample, whatever its code. ``layer_styles`` would multiply the moved codes by a matrix again.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from higan_fast.ops.arrays import takes_arrays
from higan_fast.ops.implementation import Impl, use_native
from higan_fast.ops.layout import small
from higan_fast.ops.modulated_conv2d import EPSILON
from higan_fast.ops.registration import register
from higan_fast.ops.style_parts import (
    StylePart,
    check_parts,
    check_tensors,
    demodulated,
    each,
    empty_styles,
    launch,
    rows,
)


@takes_arrays
def perturb_styles(
    base: Tensor,
    directions: Tensor,
    source: Tensor,
    direction: Tensor,
    steps: Tensor,
    parts: Sequence[StylePart],
    *,
    weight_square: Tensor | None = None,
    gain: Tensor | None = None,
    normalize: bool = False,
    epsilon: float = EPSILON,
    impl: Impl = "auto",
) -> tuple[Tensor, Tensor | None]:
    """Returns ``base[source[k]] + steps[k] · directions[direction[k]]`` for each entry k of a list.

    Args:
        base: styles ``[N, C]`` of samples, the channels of all parts in their order, not normalised.
        directions: ``[M, C]``, the change of all styles for a step of 1 along each boundary; zero in the
            channels of layers that do not move.
        source: int64 ``[n]``, the row of ``base`` of each entry, 0 to N − 1.
        direction: int64 ``[n]``, the row of ``directions`` of each entry, 0 to M − 1.
        steps: ``[n]``.
        parts: as in ``layer_styles``; their codes are not read.
        weight_square, gain, normalize, epsilon: as in ``layer_styles``.
        impl: ``"auto"``, ``"reference"`` or ``"native"``.

    Returns:
        Styles ``[n, C]``, and for the parts with outputs, if there are any, their demodulation factors
        ``[n, O]``, as ``layer_styles`` gives them; both in ``base``'s dtype.

    Raises:
        ValueError: if shapes or dtypes do not match, there are no parts, or too many, or an index on the
            CPU is out of range. On CUDA, where looking at indices would wait for the device, the kernel
            gives NaN for an entry whose index is out of range.
    """
    native = use_native("perturb_styles", impl, base, directions, steps, weight_square, gain)
    _check(base, directions, source, direction, steps, parts, weight_square, gain)
    flat = [number for part in parts for number in part]
    operation = _op if native else _reference
    styles, demod = operation(
        base, directions, source, direction, steps, flat, weight_square, gain, normalize, epsilon
    )
    return styles, demod if demod.shape[1] else None


def _reference(
    base: Tensor,
    directions: Tensor,
    source: Tensor,
    direction: Tensor,
    steps: Tensor,
    parts: Sequence[int],
    weight_square: Tensor | None,
    gain: Tensor | None,
    normalize: bool,
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    moved = base.index_select(0, source) + steps[:, None] * directions.index_select(0, direction)
    styles = moved.split_with_sizes([part.channels for part in each(parts)], 1)
    return demodulated(styles, parts, weight_square, gain, normalize, epsilon)


def _fake(
    base: Tensor,
    directions: Tensor,
    source: Tensor,
    direction: Tensor,
    steps: Tensor,
    parts: Sequence[int],
    *_: object,
) -> tuple[Tensor, Tensor]:
    return empty_styles(base, steps.shape[0], parts)


def _native_perturb_styles(
    base: Tensor,
    directions: Tensor,
    source: Tensor,
    direction: Tensor,
    steps: Tensor,
    parts: Sequence[int],
    weight_square: Tensor | None,
    gain: Tensor | None,
    normalize: bool,
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    read = rows(base)
    inputs = (
        read, rows(directions).to(read.device), source.to(read.device), direction.to(read.device),
        small(steps, read),
    )  # fmt: skip
    return launch(
        "perturb_styles", inputs, len(steps), base.dtype, parts, weight_square, gain, normalize, epsilon
    )


_op = register("perturb_styles", _reference, _native_perturb_styles, _fake)


def _check(
    base: Tensor,
    directions: Tensor,
    source: Tensor,
    direction: Tensor,
    steps: Tensor,
    parts: Sequence[StylePart],
    weight_square: Tensor | None,
    gain: Tensor | None,
) -> None:
    check_parts(parts, None)
    channels = sum(part[1] for part in parts)
    if base.ndim != 2 or base.shape[1] != channels:
        raise ValueError(f"base: got shape {tuple(base.shape)}, expected [N, {channels}] for these parts")
    if directions.ndim != 2:
        raise ValueError(f"directions: got shape {tuple(directions.shape)}, expected [M, {channels}]")
    if steps.ndim != 1:
        raise ValueError(f"steps: got shape {tuple(steps.shape)}, expected [n]")
    moving = {"directions": (directions, (len(directions), channels)), "steps": (steps, (len(steps),))}
    check_tensors(parts, base, "base's", moving, weight_square, gain)
    for name, indices, rows_of in (("source", source, base), ("direction", direction, directions)):
        if indices.dtype != torch.int64 or indices.shape != steps.shape:
            raise ValueError(
                f"{name}: got {indices.dtype} of shape {tuple(indices.shape)}, expected torch.int64 of shape "
                f"{tuple(steps.shape)}, one index for each step"
            )
        if indices.device.type != "cpu" or torch.compiler.is_compiling() or not len(indices):
            continue
        lowest, highest = (int(index) for index in indices.aminmax())
        if lowest < 0 or highest >= len(rows_of):
            wrong = lowest if lowest < 0 else highest
            raise ValueError(f"{name}: got {wrong}, expected rows that there are, 0 to {len(rows_of) - 1}")
