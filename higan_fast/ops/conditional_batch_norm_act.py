"""BigGAN's batch normalisation with stored statistics and a class's scale and shift, activation, upsampling.

Source: Brock et al., arXiv 1809.11096, and the official PyTorch code. There a class embedding yields ``g``
and ``b``, the scale is ``1 + g``, and ``epsilon`` is 1e-5 (1e-4 in checkpoints converted from TensorFlow).
"""

from __future__ import annotations

from torch import Tensor

from higan_fast import _native
from higan_fast.ops.arrays import takes_arrays
from higan_fast.ops.bias_act import bias_act, check_activation, tail_numbers
from higan_fast.ops.checks import check_image, check_shapes
from higan_fast.ops.implementation import Impl, use_native
from higan_fast.ops.layout import accumulator_dtype, empty_image, small
from higan_fast.ops.registration import register


@takes_arrays
def conditional_batch_norm_act(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    scale: Tensor,
    shift: Tensor,
    *,
    activation: str = "relu",
    alpha: float | None = None,
    gain: float = 1.0,
    up: int = 1,
    epsilon: float = 1e-5,
    impl: Impl = "auto",
) -> Tensor:
    """Computes ``upsample(gain · activation((x − mean) · rsqrt(variance + epsilon) · scale + shift))``.

    Args:
        x: ``[N, C, H, W]``.
        mean, variance: the stored batch statistics, ``[C]``; or ``[N, C]``, where each sample has its own.
        scale, shift: ``[N, C]``, those of each sample's class; ``expand`` values that all samples share.
        activation: a key of ``ACTIVATIONS``.
        alpha: slope of ``lrelu`` below zero; None: 0.2.
        gain: factor after the activation.
        up: upsampling factor, 1 or 2 (nearest neighbour).
        epsilon: added to the variance before taking its root.
        impl: ``"auto"``, ``"reference"`` or ``"native"``.

    Returns:
        ``[N, C, H·up, W·up]`` in ``x``'s dtype; computed in at least float32.

    Raises:
        ValueError: if the activation or implementation is unknown, ``up`` is neither 1 nor 2, or shapes do
            not match.
    """
    native = use_native("conditional_batch_norm_act", impl, x, mean, variance, scale, shift)
    _check(x, mean, variance, scale, shift, activation, up)
    return (_op if native else _reference)(
        x, mean, variance, scale, shift, activation, alpha, gain, up, epsilon
    )


def _reference(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    scale: Tensor,
    shift: Tensor,
    activation: str,
    alpha: float | None,
    gain: float,
    up: int,
    epsilon: float,
) -> Tensor:
    dtype = accumulator_dtype(x.dtype)
    factor = (variance.to(dtype) + epsilon).rsqrt() * scale.to(dtype)  # [N, C]
    offset = shift.to(dtype) - mean.to(dtype) * factor
    y = x.to(dtype) * factor[:, :, None, None] + offset[:, :, None, None]
    y = bias_act(y, activation=activation, alpha=alpha, gain=gain, impl="reference").to(x.dtype)
    return y if up == 1 else y.repeat_interleave(up, 2).repeat_interleave(up, 3)


def _fake(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    scale: Tensor,
    shift: Tensor,
    activation: str,
    alpha: float | None,
    gain: float,
    up: int,
    epsilon: float,
) -> Tensor:
    num, channels, height, width = x.shape
    return empty_image((num, channels, height * up, width * up), like=x)


def _native_conditional_batch_norm_act(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    scale: Tensor,
    shift: Tensor,
    activation: str,
    alpha: float | None,
    gain: float,
    up: int,
    epsilon: float,
) -> Tensor:
    out = _fake(x, mean, variance, scale, shift, activation, alpha, gain, up, epsilon)
    if mean.ndim == 2:  # the kernels take [C]: scale and shift do the rest
        dtype = accumulator_dtype(x.dtype)
        scale = (variance.to(dtype) + epsilon).rsqrt() * scale.to(dtype)
        shift = shift.to(dtype) - mean.to(dtype) * scale
        mean, variance, epsilon = mean.new_zeros(x.shape[1]), mean.new_ones(x.shape[1]), 0.0
    _native.launch(
        "conditional_batch_norm_act", x.device, x, small(mean, x), small(variance, x), small(scale, x),
        small(shift, x), out, *tail_numbers(activation, alpha, gain, None)[:3], epsilon, up,
    )  # fmt: skip
    return out


_op = register("conditional_batch_norm_act", _reference, _native_conditional_batch_norm_act, _fake)


def _check(
    x: Tensor, mean: Tensor, variance: Tensor, scale: Tensor, shift: Tensor, activation: str, up: int
) -> None:
    check_activation(activation)
    if up not in (1, 2):
        raise ValueError(f"up: got {up}, expected 1 or 2")
    num, channels, _, _ = check_image(x)
    meaning, shape = ("[N, C]", (num, channels)) if mean.ndim == 2 else ("[C]", (channels,))
    check_shapes(meaning, shape, mean=mean, variance=variance)
    check_shapes("[N, C]", (num, channels), scale=scale, shift=shift)
