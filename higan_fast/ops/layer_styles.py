"""The styles of all layers from their codes, and the demodulation factors that follow from them, in one call.

A style is affine in its layer's code, and the demodulation depends on the squares of the style
(``modulated_conv2d``). Layer by layer both are many small products, whose launches take longer than they do.
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
    styles, row = [], 0
    for part in each(parts):
        of_part = slice(row, row + part.channels)
        styles.append(torch.addmm(bias[of_part], codes[:, part.code], weight[of_part].T))
        row = of_part.stop
    return demodulated(styles, parts, weight_square, gain, normalize, epsilon)


def _fake(
    codes: Tensor, weight: Tensor, bias: Tensor, parts: Sequence[int], *_: object
) -> tuple[Tensor, Tensor]:
    return empty_styles(codes, codes.shape[0], parts)


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
    read = rows(codes)
    affine = (small(weight, read), small(bias, read))
    return launch(
        "layer_styles",
        (read, *affine),
        len(codes),
        codes.dtype,
        parts,
        weight_square,
        gain,
        normalize,
        epsilon,
    )


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
    check_parts(parts, codes.shape[1])
    channels = sum(part[1] for part in parts)
    affine = {"weight": (weight, (channels, codes.shape[2])), "bias": (bias, (channels,))}
    check_tensors(parts, codes, "codes'", affine, weight_square, gain)
