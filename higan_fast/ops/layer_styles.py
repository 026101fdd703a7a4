"""The styles of all layers from their codes, and the demodulation factors that follow from them, in one call.

A style is affine in its layer's code, and the demodulation depends on the squares of the style
(``modulated_conv2d``). Layer by layer both are many small products, whose launches take longer than they do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from higan_fast import _native
from higan_fast.ops.arrays import takes_arrays
from higan_fast.ops.implementation import Impl, use_native
from higan_fast.ops.layout import accumulator_dtype, small
from higan_fast.ops.modulated_conv2d import EPSILON, demodulation, normalize_styles
from higan_fast.ops.registration import register

# As in csrc/kernels/layer_styles.h.
MOST_PARTS = 64


class StylePart(NamedTuple):
    """The style of one layer.

    Attributes:
        code: which of the layer codes it is read off.
        channels: its length.
        outputs: of the convolution that it modulates, if that is demodulated; otherwise 0.
    """

    code: int
    channels: int
    outputs: int


@takes_arrays
def layer_styles(
    codes: Tensor,
    weight: Tensor,
    bias: Tensor,
    parts: Sequence[StylePart],
    *,
    weight_square: Tensor | None = None,
    gain: Tensor | None = None,
    normalize: bool = False,
    epsilon: float = EPSILON,
    impl: Impl = "auto",
) -> tuple[Tensor, Tensor | None]:
    """Returns the styles of all parts, ``weight · code + bias``, and their demodulation factors.

    Args:
        codes: layer codes ``[N, L, D]``.
        weight: ``[C, D]``, the rows of all parts in their order.
        bias: ``[C]``.
        parts: at most 64.
        weight_square: ``W2`` ``[outputs, channels]`` of each part with outputs (see ``square_weight``), all
            flattened and joined.
        gain: ``[O]``, multiplied into the factors of all parts; None: 1.
        normalize: whether styles that are demodulated are divided by their largest magnitude in each
            sample, as float16 needs it (see ``normalize_styles``). Demodulation cancels it.
        epsilon: added to the sum of squares before taking its root.
        impl: ``"auto"``, ``"reference"`` or ``"native"``.

    Returns:
        Styles ``[N, C]``, and for the parts with outputs, if there are any, the factors
        ``gain[o] · rsqrt(Σ_i W2[o, i]·styles[n, i]² + epsilon)``, ``[N, O]``; both in ``codes``' dtype.

    Raises:
        ValueError: if shapes or dtypes do not match, or there are no parts, or too many.
    """
    native = use_native("layer_styles", impl, codes, weight, bias, weight_square, gain)
    _check(codes, weight, bias, parts, weight_square, gain)
    flat = [number for part in parts for number in part]
    operation = _op if native else _reference
    styles, demod = operation(codes, weight, bias, flat, weight_square, gain, normalize, epsilon)
    return styles, demod if demod.shape[1] else None


def _reference(
    codes: Tensor,
    weight: Tensor,
    bias: Tensor,
    parts: Sequence[int],
    weight_square: Tensor | None,
    gain: Tensor | None,
    normalize: bool,
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    """``parts``: code, channels and outputs of each. Where no part has outputs the factors are empty."""
    styles, factors, row, place = [], [codes.new_empty(len(codes), 0)], 0, 0
    for part in _each(parts):
        rows = slice(row, row + part.channels)
        style = torch.addmm(bias[rows], codes[:, part.code], weight[rows].T)
        if part.outputs:
            assert weight_square is not None
            style = normalize_styles(style)[0] if normalize else style
            square = weight_square[place : place + part.outputs * part.channels]
            factors.append(demodulation(style, square.view(part.outputs, part.channels), epsilon))
            place += len(square)
        styles.append(style)
        row = rows.stop
    demod = torch.cat(factors, 1)
    return torch.cat(styles, 1), demod if gain is None else demod * gain


def _each(parts: Sequence[int]) -> Iterator[StylePart]:
    return (StylePart(*parts[i : i + 3]) for i in range(0, len(parts), 3))


def _fake(
    codes: Tensor, weight: Tensor, bias: Tensor, parts: Sequence[int], *_: object
) -> tuple[Tensor, Tensor]:
    outputs = sum(part.outputs for part in _each(parts))
    return codes.new_empty(codes.shape[0], weight.shape[0]), codes.new_empty(codes.shape[0], outputs)


def _native_layer_styles(
    codes: Tensor,
    weight: Tensor,
    bias: Tensor,
    parts: Sequence[int],
    weight_square: Tensor | None,
    gain: Tensor | None,
    normalize: bool,
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    dtype = codes.dtype
    if dtype != accumulator_dtype(dtype) or not codes.is_contiguous():
        codes = codes.to(accumulator_dtype(dtype)).contiguous()
    styles, demod = _fake(codes, weight, bias, parts)
    workspace = torch.empty_like(styles) if normalize else None
    given = (small(tensor, codes) for tensor in (weight, bias, weight_square, gain))
    _native.launch(
        "layer_styles", codes.device, codes, *given, styles, demod if demod.shape[1] else None, workspace,
        normalize, epsilon, [tuple(part) for part in _each(parts)],
    )  # fmt: skip
    if dtype != styles.dtype:
        styles, demod = styles.to(dtype), demod.to(dtype)
    return styles, demod


_op = register("layer_styles", _reference, _native_layer_styles, _fake)


def _check(
    codes: Tensor,
    weight: Tensor,
    bias: Tensor,
    parts: Sequence[StylePart],
    weight_square: Tensor | None,
    gain: Tensor | None,
) -> None:
    if codes.ndim != 3:
        raise ValueError(f"codes: got shape {tuple(codes.shape)}, expected [N, L, D]")
    if not 1 <= len(parts) <= MOST_PARTS:
        raise ValueError(f"parts: got {len(parts)}, expected 1 to {MOST_PARTS}")
    for part in parts:
        if not 0 <= part[0] < codes.shape[1] or part[1] < 1 or part[2] < 0:
            raise ValueError(
                f"parts: got {tuple(part)}, expected (code, channels, outputs) with a code of 0 to "
                f"{codes.shape[1] - 1}, at least one channel, and outputs of 0 or more"
            )
    channels, outputs = sum(part[1] for part in parts), sum(part[2] for part in parts)
    squares = sum(part[1] * part[2] for part in parts)
    expected: dict[str, tuple[Tensor | None, tuple[int, ...]]] = {
        "weight": (weight, (channels, codes.shape[2])),
        "bias": (bias, (channels,)),
        "weight_square": (weight_square, (squares,)),
        "gain": (gain, (outputs,)),
    }
    for name, (tensor, shape) in expected.items():
        if tensor is None:
            if name == "weight_square" and outputs:
                raise ValueError(f"weight_square: got None, and {outputs} outputs need it")
            continue
        if tensor.shape != shape:
            raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, expected {shape} for these parts")
        if tensor.dtype != codes.dtype:
            raise ValueError(f"{name}: got {tensor.dtype}, expected codes' {codes.dtype}")
