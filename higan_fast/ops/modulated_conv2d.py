"""StyleGAN2's modulated convolution with its whole tail, on weights that all samples share.

Source: Karras et al., arXiv 1912.04958, §2.2. The style scales the input's channels and the
demodulation scales the output's, so that no weight is ever made per sample:
``demod[n, o] = rsqrt(Σ_i styles[n, i]² · W2[o, i] + ε)`` with ``W2 = Σ_k weight²``.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from higan_fast.ops.bias_act import ACTIVATIONS, bias_act
from higan_fast.ops.implementation import Impl, check_impl
from higan_fast.ops.upfirdn2d import upfirdn2d

EPSILON = 1e-8
RECTIFIERS = ("linear", "relu", "lrelu")


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    *,
    demodulate: bool = True,
    weight_square: Tensor | None = None,
    up: int = 1,
    resample_filter: Tensor | None = None,
    noise: Tensor | None = None,
    bias: Tensor | None = None,
    activation: str = "linear",
    gain: float | None = None,
    clamp: float | None = None,
    next_styles: Tensor | None = None,
    modulated: bool = False,
    impl: Impl = "auto",
) -> Tensor:
    """``next_styles · bias_act(demod · conv(x · styles, weight) + noise, bias)``.

    Args:
        x: ``[N, I, H, W]``.
        weight: ``[O, I, k, k]``, k = 1 or 3, shared by all samples.
        styles: ``[N, I]``.
        demodulate: scale each output channel to unit expected variance.
        weight_square: ``W2``, ``[O, I]``, when it is at hand; None: computed here.
        up: 1, or 2: transposed convolution with stride 2, then ``resample_filter``.
        resample_filter: separable FIR ``[4]`` that sums to 1; needed when ``up`` is 2.
        noise: broadcasts to ``[N, 1, H·up, W·up]``; added before the bias.
        bias: ``[O]``.
        activation, gain, clamp: as in ``bias_act``.
        next_styles: ``[N, O]``: the result leaves multiplied by the next layer's style.
        modulated: ``x`` arrived multiplied by ``styles`` already (the layer before was given them
            as its ``next_styles``); here they only demodulate.
        impl: ``"auto"`` or ``"reference"``.

    Returns:
        ``[N, O, H·up, W·up]`` in ``x``'s dtype.

    Raises:
        ValueError: shapes that do not fit each other, or ``up`` without a filter.
    """
    check_impl(impl)
    _check(x, weight, styles, up, resample_filter, next_styles)
    return _reference(
        x, weight, styles, demodulate, weight_square, up, resample_filter, noise, bias, activation, gain,
        clamp, next_styles, modulated,
    )  # fmt: skip


def square_weight(weight: Tensor) -> Tensor:
    """``W2[o, i] = Σ_k weight[o, i, k]²``: all that demodulation needs to know of a weight."""
    return weight.square().sum([2, 3])  # [O, I]


def demodulation(styles: Tensor, weight_square: Tensor) -> Tensor:
    """Demodulation factors ``[N, O]`` of styles ``[N, I]`` for ``W2`` ``[O, I]``."""
    return (styles.square() @ weight_square.T + EPSILON).rsqrt()


def _reference(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    demodulate: bool,
    weight_square: Tensor | None,
    up: int,
    resample_filter: Tensor | None,
    noise: Tensor | None,
    bias: Tensor | None,
    activation: str,
    gain: float | None,
    clamp: float | None,
    next_styles: Tensor | None,
    modulated: bool,
) -> Tensor:
    if not modulated:
        x = x * _per_channel(styles, x)
    kernel = weight.to(x.dtype)
    if up == 1:
        x = F.conv2d(x, kernel, padding=weight.shape[-1] // 2)
    else:
        assert resample_filter is not None
        x = F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2)  # [N, O, 2H + k − 2, 2W + k − 2]
        pad = (resample_filter.shape[0] - weight.shape[-1] + 1) // 2
        x = upfirdn2d(x, resample_filter, padding=[pad, pad, pad, pad], gain=4)
    if gain is None:
        gain = ACTIVATIONS[activation].default_gain
    factors = None
    if demodulate:
        factors = demodulation(styles, square_weight(weight) if weight_square is None else weight_square)
        if activation in RECTIFIERS and gain > 0:
            # A rectifier lets a positive gain through, and it is cheaper on small tensors than on x.
            factors = factors * gain
            noise = None if noise is None else noise * gain
            bias = None if bias is None else bias * gain
            gain = 1
    if factors is not None:
        x = x * _per_channel(factors, x)
    if noise is not None:
        x = x + noise.to(x.dtype)
    x = bias_act(x, bias, activation=activation, gain=gain, clamp=clamp)
    return x if next_styles is None else x * _per_channel(next_styles, x)


def _per_channel(factors: Tensor, x: Tensor) -> Tensor:
    return factors.to(x.dtype)[:, :, None, None]


def _check(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    up: int,
    resample_filter: Tensor | None,
    next_styles: Tensor | None,
) -> None:
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"x, weight: got shapes {tuple(x.shape)} and {tuple(weight.shape)}, expected [N, I, H, W] and "
            "[O, I, k, k] with the same I"
        )
    if weight.shape[2] != weight.shape[3] or weight.shape[2] not in (1, 3):
        raise ValueError(f"weight: got a {weight.shape[2]}×{weight.shape[3]} kernel, expected 1×1 or 3×3")
    if styles.shape != x.shape[:2]:
        raise ValueError(f"styles: got shape {tuple(styles.shape)}, expected [N, I] = {tuple(x.shape[:2])}")
    if next_styles is not None and next_styles.shape != (x.shape[0], weight.shape[0]):
        expected = (x.shape[0], weight.shape[0])
        raise ValueError(f"next_styles: got shape {tuple(next_styles.shape)}, expected [N, O] = {expected}")
    if up not in (1, 2):
        raise ValueError(f"up: got {up}, expected 1 or 2")
    if up == 2 and resample_filter is None:
        raise ValueError("resample_filter: needed when up is 2; make one with setup_filter()")
