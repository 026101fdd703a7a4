"""StyleGAN2's modulated convolution with noise, bias and activation, on weights shared by all samples.

Source: Karras et al., arXiv 1912.04958, §2.2. Styles scale the input channels and demodulation scales the
output channels, so no per-sample weight is ever built:
``demod[n, o] = rsqrt(Σ_i styles[n, i]² · W2[o, i] + ε)`` with ``W2 = Σ_k weight²``.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from higan_fast import _native
from higan_fast.ops.arrays import takes_arrays
from higan_fast.ops.bias_act import ACTIVATIONS, bias_act, check_activation, tail_numbers
from higan_fast.ops.checks import check_clamp
from higan_fast.ops.convolution_choice import Layer, choose
from higan_fast.ops.implementation import SPLIT, Impl, use_native, why_not_native
from higan_fast.ops.layout import small
from higan_fast.ops.registration import register
from higan_fast.ops.upfirdn2d import upfirdn2d
from higan_fast.ops.winograd import convolve_3x3, runs_on

Convolution = Literal["auto", "library", "fused"]
EPSILON = 1e-8
RECTIFIERS = ("linear", "relu", "lrelu")
# When the fused convolution applies the styles, each of its output tiles stays within one sample. Features
# with fewer pixels than this would leave most of a tile empty, so they are modulated beforehand.
FEWEST_FUSED_PIXELS = 256


@takes_arrays
def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    *,
    demodulate: bool = True,
    demod: Tensor | None = None,
    weight_square: Tensor | None = None,
    weight_gain: Tensor | None = None,
    weight_points: Tensor | None = None,
    up: int = 1,
    resample_filter: Tensor | None = None,
    noise: Tensor | None = None,
    bias: Tensor | None = None,
    activation: str = "linear",
    gain: float | None = None,
    clamp: float | None = None,
    next_styles: Tensor | None = None,
    modulated: bool = False,
    normalized: bool = False,
    convolution: Convolution = "auto",
    impl: Impl = "auto",
) -> Tensor:
    """Computes ``next_styles · bias_act(demod · conv(x · styles, weight) + noise, bias)``.

    In float16, weights and styles are normalised to a maximum of about 1 before they are multiplied, because
    products of raw values overflow. The demodulation factors include the inverse.

    Args:
        x: ``[N, I, H, W]``.
        weight: ``[O, I, k, k]``, k = 1 or 3, shared by all samples.
        styles: ``[N, I]``, or ``[N·P, I]``: sample n is used with styles n·P … n·P + P − 1, without copies.
        demodulate: whether to scale each output channel to unit expected variance.
        demod: precomputed demodulation factors ``[N·P, O]``, e.g. from ``layer_styles`` or
            ``perturb_styles``.
        weight_square: precomputed ``W2`` of ``weight · weight_gain``, ``[O, I]``; None: computed here.
        weight_gain: ``[O]``; the true weight is ``weight · weight_gain`` (see ``normalize_weight``).
        weight_points: precomputed form of ``weight`` for CPUs, from ``weight_at_points``; the native
            implementation then convolves by Winograd's F(4×4, 3×3) where ``convolution`` is ``"auto"``, the
            features are float32 and ``up`` is 1. A NaN or an infinity then spreads over the 4×4 tiles
            that its neighbours lie in, and weights near 1e37 overflow.
        up: 1, or 2: a transposed convolution with stride 2, followed by ``resample_filter``.
        resample_filter: separable FIR filter ``[4]`` that sums to 1; required if ``up`` is 2.
        noise: broadcasts to ``[N·P, 1, H·up, W·up]``; added before the bias.
        bias: ``[O]``.
        activation, gain, clamp: as in ``bias_act``.
        next_styles: ``[N·P, O]``, styles of the next layer, multiplied into the result.
        modulated: whether ``x`` is already multiplied by ``styles`` (the previous layer's ``next_styles``);
            ``styles`` then only enter the demodulation.
        normalized: whether weight and styles have been normalised and ``demod`` includes the inverse, as from
            ``layer_styles``; then nothing is done to them, and ``weight_gain`` is not read.
        convolution: of the native implementation. ``"library"`` runs torch's convolution, then one kernel;
            ``"fused"`` runs our tensor-core convolution, which includes that kernel (CUDA; I a multiple of 8,
            in float32 of 4); ``"auto"`` takes what was faster on such a GPU (``ops/convolution_choice.py``).
            In float32, "fused" multiplies parts of the numbers three times in TF32, and errs no more than
            float32 products and sums do (``csrc/include/split_float.cuh``).
        impl: ``"auto"``, ``"reference"`` or ``"native"``.

    Returns:
        ``[N·P, O, H·up, W·up]`` in ``x``'s dtype.

    Raises:
        ValueError: if shapes do not match, a clamp is below 0, ``up`` is 2 without a filter, or the
            activation is unknown.
    """
    check_clamp(clamp)
    native = use_native("modulated_conv2d", impl, x, weight, styles, noise, bias, next_styles)
    check_convolution(x, weight, styles, up, resample_filter, next_styles, modulated, convolution)
    check_activation(activation)
    if demodulate and demod is None:
        if weight_square is None:
            weight_square = square_weight(weight, weight_gain)
        demod = demodulation(styles, weight_square)
    if x.dtype == torch.float16 and not normalized:
        if weight_gain is None:
            weight, weight_gain = normalize_weight(weight)
        if not modulated:
            styles, largest = normalize_styles(styles)
            demod = largest.expand(-1, weight.shape[0]) if demod is None else demod * largest
    if weight_gain is not None and not normalized:
        demod = weight_gain.expand(styles.shape[0], -1) if demod is None else demod * weight_gain
    arguments = (
        x, weight, None if modulated else styles, demod, up, resample_filter, noise, bias, activation, gain,
        clamp, next_styles, "library" if impl == "reference" else convolution, weight_points,
    )  # fmt: skip
    result: Tensor = (_op if native else in_passes)(*arguments)
    return result


def square_weight(weight: Tensor, weight_gain: Tensor | None = None) -> Tensor:
    """Returns ``W2[o, i] = Σ_k weight[o, i, k]²``, all that demodulation needs of a weight."""
    square = weight.to(torch.promote_types(weight.dtype, torch.float32)).square().sum([2, 3])  # [O, I]
    return square if weight_gain is None else square * weight_gain.square()[:, None]


def demodulation(styles: Tensor, weight_square: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Returns the demodulation factors ``[N, O]`` of styles ``[N, I]`` for ``W2`` ``[O, I]``."""
    return (styles.square() @ weight_square.T + epsilon).rsqrt()


def normalize_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Scales a weight so that its outputs fit float16: ``[O, I, k, k]`` and the gain ``[O]`` that undoes it.

    Each output channel is divided by its largest magnitude times √(I·k²), so that sums over inputs of
    magnitude 1 stay near 1 (as in the official implementation of arXiv 2006.06676).
    """
    largest = weight.abs().amax([1, 2, 3]).clamp(min=1e-20) * math.sqrt(weight[0].numel())  # [O]
    return weight / largest[:, None, None, None], largest


def normalize_styles(styles: Tensor) -> tuple[Tensor, Tensor]:
    """Scales styles to a largest magnitude of 1 per sample: ``[N, I]``, and the divisors ``[N, 1]``."""
    largest = styles.abs().amax(1, keepdim=True).clamp(min=1e-20)
    return styles / largest, largest


def in_passes(
    x: Tensor,
    weight: Tensor,
    styles: Tensor | None,
    demod: Tensor | None,
    up: int,
    resample_filter: Tensor | None,
    noise: Tensor | None,
    bias: Tensor | None,
    activation: str,
    gain: float | None,
    clamp: float | None,
    next_styles: Tensor | None,
    convolution: str,
    weight_points: Tensor | None,
) -> Tensor:
    if styles is not None:
        if styles.shape[0] != x.shape[0]:
            x = x.repeat_interleave(styles.shape[0] // x.shape[0], 0)
        x = x * _per_channel(styles, x)
    kernel = weight.to(x.dtype)
    # A reference that stands in for a kernel may itself have kernels in it.
    impl: Impl = "reference" if convolution == "library" else "auto"
    if up == 1 and impl == "auto":
        x = convolve_3x3(x, kernel) if weight.shape[-1] == 3 else F.conv2d(x, kernel)
    elif up == 1:
        x = F.conv2d(x, kernel, padding=weight.shape[-1] // 2)
    else:
        assert resample_filter is not None
        x = F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2)  # [N, O, 2H + k − 2, 2W + k − 2]
        pad = _fir_padding(weight, resample_filter)
        x = upfirdn2d(x, resample_filter, padding=[pad] * 4, gain=4, impl=impl)
    if gain is None:
        gain = ACTIVATIONS[activation].default_gain
    if demod is not None:
        if activation in RECTIFIERS and gain > 0:
            # Rectifiers commute with a positive gain, and scaling small tensors is cheaper than scaling x.
            demod = demod * gain
            noise = None if noise is None else noise * gain
            bias = None if bias is None else bias * gain
            gain = 1
        x = x * _per_channel(demod, x)
    if noise is not None:
        x = x + noise.to(x.dtype)
    x = bias_act(x, bias, activation=activation, gain=gain, clamp=clamp, impl="reference")
    return x if next_styles is None else x * _per_channel(next_styles, x)


def _per_channel(factors: Tensor, x: Tensor) -> Tensor:
    return factors.to(x.dtype)[:, :, None, None]


def _fir_padding(weight: Tensor, resample_filter: Tensor) -> int:
    return (resample_filter.shape[0] - weight.shape[-1] + 1) // 2


def _fake(
    x: Tensor, weight: Tensor, styles: Tensor | None, demod: Tensor | None, up: int, *_: object
) -> Tensor:
    num = x.shape[0] if styles is None else styles.shape[0]
    return _channels_last((num, weight.shape[0], x.shape[2] * up, x.shape[3] * up), x)


def _channels_last(shape: tuple[int, ...], x: Tensor) -> Tensor:
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


def convolve(
    x: Tensor,
    weight: Tensor,
    styles: Tensor | None,
    demod: Tensor | None,
    up: int,
    resample_filter: Tensor | None,
    noise: Tensor | None,
    bias: Tensor | None,
    activation: str,
    gain: float | None,
    clamp: float | None,
    next_styles: Tensor | None,
    convolution: str,
    weight_points: Tensor | None,
) -> Tensor:
    num = x.shape[0] if styles is None else styles.shape[0]
    shape = (num, weight.shape[0], x.shape[2] * up, x.shape[3] * up)
    noise = small(noise, x)
    spread = None if noise is None else _native.describe_expanded(noise, (num, 1, *shape[2:]))
    factors = (small(demod, x), spread, small(bias, x), small(next_styles, x))
    tail = (*factors, *tail_numbers(activation, None, gain, clamp))
    nothing = (None, None, None, None, *tail_numbers("linear", None, None, None))
    bare = all(factor is None for factor in factors) and tail[4:] == nothing[4:]
    if weight_points is not None and convolution == "auto" and up == 1 and runs_on(x):
        out, x = _channels_last(shape, x), x.contiguous(memory_format=torch.channels_last)
        _native.launch("winograd_conv2d", x.device, x, weight_points, small(styles, x), *tail, out)
        return out
    kernel = weight if weight.dtype == x.dtype else weight.to(x.dtype)
    convolution = _usable(
        convolution, x, Layer(num * shape[2] * shape[3], weight.shape[1], weight.shape[0], up)
    )
    if styles is not None and (convolution == "library" or x.shape[2] * x.shape[3] < FEWEST_FUSED_PIXELS):
        given, x = x, _channels_last((num, *x.shape[1:]), x)
        _native.launch("modulate", x.device, given, small(styles, x), x)
        styles = None
    if convolution == "fused":
        out = _channels_last(shape, x) if up == 1 else _transposed(shape, weight, x)
        _native.launch(
            "modulated_conv2d", x.device, x.contiguous(memory_format=torch.channels_last),
            kernel.permute(0, 2, 3, 1).contiguous(), small(styles, x), up, *(tail if up == 1 else nothing),
            out,
        )  # fmt: skip
    else:
        out = _convolved(x, kernel, up)
        if not out.is_contiguous(memory_format=torch.channels_last):
            out = out.contiguous(memory_format=torch.channels_last)
        if up == 1 and not bare:
            _native.launch("conv_epilogue", x.device, out, None, 0, *tail, out)
    if up == 1:
        return out
    assert resample_filter is not None
    before, out = out, _channels_last(shape, x)
    pad = _fir_padding(weight, resample_filter)
    _native.launch("conv_epilogue", x.device, before, small(resample_filter, x), pad, *tail, out)
    return out


def _convolved(x: Tensor, kernel: Tensor, up: int) -> Tensor:
    """As ``F.conv2d`` and ``F.conv_transpose2d`` do, by way of fewer calls."""
    if up == 1:
        pad = kernel.shape[-1] // 2
        return torch.convolution(x, kernel, None, (1, 1), (pad, pad), (1, 1), False, (0, 0), 1)
    kernel = kernel.transpose(0, 1)
    return torch.convolution(x, kernel, None, (2, 2), (0, 0), (1, 1), True, (0, 0), 1)


def _usable(convolution: str, x: Tensor, layer: Layer) -> str:
    """Returns the convolution that is meant.

    Raises:
        RuntimeError: if ours was asked for and cannot run here.
    """
    wanted = choose(x.device, x.dtype, layer) if convolution == "auto" else convolution
    if wanted == "library":
        return wanted
    problem = "" if hasattr(_native.backend(x.device)[0], "modulated_conv2d") else "it needs CUDA"
    if not problem and x.dtype == torch.float32:
        problem = why_not_native(SPLIT, x.device, x.dtype)
    if problem and convolution != "auto":
        raise RuntimeError(f"modulated_conv2d: convolution='fused' cannot run: {problem}")
    return "library" if problem else wanted


def _transposed(shape: tuple[int, ...], weight: Tensor, x: Tensor) -> Tensor:
    """Allocates the result of the fused transposed convolution, before the resample filter."""
    more = weight.shape[-1] - 2
    return _channels_last((*shape[:2], shape[2] + more, shape[3] + more), x)


_op = register("modulated_conv2d", in_passes, convolve, _fake)


def check_convolution(
    x: Tensor,
    weight: Tensor,
    styles: Tensor | None,
    up: int,
    resample_filter: Tensor | None,
    next_styles: Tensor | None,
    modulated: bool,
    convolution: str,
) -> None:
    """Raises ValueError unless these fit each other; styles that are None are not checked."""
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"x, weight: got shapes {tuple(x.shape)} and {tuple(weight.shape)}, expected [N, I, H, W] and "
            "[O, I, k, k] with the same I"
        )
    if min(x.shape[1:]) < 1:
        raise ValueError(f"x: got shape {tuple(x.shape)}, expected at least one channel and 1×1 pixels")
    if weight.shape[2] != weight.shape[3] or weight.shape[2] not in (1, 3):
        raise ValueError(f"weight: got a {weight.shape[2]}×{weight.shape[3]} kernel, expected 1×1 or 3×3")
    num, inputs = x.shape[:2]
    given = (num, inputs) if styles is None else tuple(styles.shape)
    if len(given) != 2 or given[1] != inputs or (given[0] % num if num else given[0]):
        raise ValueError(f"styles: got shape {given}, expected [N, I] = {(num, inputs)}, or [N·P, I]")
    if modulated and given[0] != num:
        raise ValueError(f"styles: got {given[0]} for {num} samples of an x that is modulated already")
    expected = (given[0], weight.shape[0])
    if next_styles is not None and next_styles.shape != expected:
        raise ValueError(f"next_styles: got shape {tuple(next_styles.shape)}, expected [N, O] = {expected}")
    if up not in (1, 2):
        raise ValueError(f"up: got {up}, expected 1 or 2")
    if up == 2 and resample_filter is None:
        raise ValueError("resample_filter: needed when up is 2; make one with setup_filter()")
    if up == 2 and resample_filter is not None and resample_filter.shape != (4,):
        raise ValueError(f"resample_filter: got shape {tuple(resample_filter.shape)}, expected [4]")
    if convolution not in get_args(Convolution):
        raise ValueError(f"convolution: got {convolution!r}, expected one of {list(get_args(Convolution))}")
