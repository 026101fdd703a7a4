"""Upsample, leaky ReLU, downsample: StyleGAN3's activation, which adds no frequencies that alias.

In passes, what is upsampled is written and read several times, and it is the largest of a network: up to 16
times as many numbers as come in. Here it never leaves the cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from higan_fast import _native
from higan_fast.ops.arrays import takes_arrays
from higan_fast.ops.bias_act import bias_act
from higan_fast.ops.checks import (
    check_clamp,
    check_factors,
    check_image,
    check_numbers,
    check_shapes,
    check_tensors,
)
from higan_fast.ops.implementation import Impl, use_native
from higan_fast.ops.layout import empty_image, small
from higan_fast.ops.registration import register
from higan_fast.ops.upfirdn2d import four_sides, upfirdn2d

GAIN, SLOPE = math.sqrt(2), 0.2
# What one kernel does; the rest runs in passes. On a GPU a tile of what is upsampled must fit shared memory.
MOST_TAPS, LARGEST_FACTOR = 32, 4


@takes_arrays
def filtered_lrelu(
    x: Tensor,
    up_filter: Tensor,
    down_filter: Tensor,
    bias: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    *,
    flip_filter: bool = False,
    gain: float = GAIN,
    slope: float = SLOPE,
    clamp: float | None = None,
    impl: Impl = "auto",
) -> Tensor:
    """Computes ``downsample(clamp(gain · lrelu(upsample(x + bias))))``.

    With a gradient, and with what no kernel does (an ``up_filter`` of two axes, factors above 4, more than 32
    taps), it runs as ``upfirdn2d``, ``bias_act`` and ``upfirdn2d``.

    Args:
        x: ``[N, C, H, W]``.
        up_filter: ``[k]`` (separable) or ``[kh, kw]``; it is applied with a gain of ``up²``, after ``up − 1``
            zeros were inserted behind each pixel.
        down_filter: ``[k]`` (separable) or ``[kh, kw]``.
        bias: ``[C]``, or None.
        up, down: factors on both axes.
        padding: in pixels of the upsampled image: one number for all sides, ``[x, y]``, or
            ``[left, right, top, bottom]``. Negative values crop. Padding is 0, without a bias.
        flip_filter: whether to correlate with the filters instead of convolving.
        gain, slope: of the leaky ReLU: above 0 and below.
        clamp: bounds the upsampled result to [-clamp, clamp], 0 or more; None: no bound.
        impl: ``"auto"``, ``"reference"`` or ``"native"``.

    Returns:
        ``[N, C, (H·up + top + bottom − kh_up + 1 − kh_down) // down + 1, …]`` in ``x``'s dtype.

    Raises:
        ValueError: if an argument is not as stated, or the result would be empty.
    """
    check_tensors(x, up_filter=up_filter, down_filter=down_filter, **({} if bias is None else {"bias": bias}))
    check_factors(up=up, down=down)
    check_numbers(gain=gain, slope=slope)
    check_clamp(clamp)
    native = use_native("filtered_lrelu", impl, x, up_filter, down_filter, bias)
    check_image(x)
    for name, filter_ in (("up_filter", up_filter), ("down_filter", down_filter)):
        if filter_.ndim not in (1, 2) or filter_.numel() < 1:
            raise ValueError(f"{name}: got shape {tuple(filter_.shape)}, expected [k] or [kh, kw]")
    check_shapes("[C]", (x.shape[1],), bias=bias)
    sides = four_sides(padding)
    size = _output_size(x, up_filter, down_filter, up, down, sides)
    if min(size) < 1:
        raise ValueError(
            f"x: got shape {tuple(x.shape)}, which with up {up}, down {down}, padding {list(sides)} and "
            f"filters of shape {tuple(up_filter.shape)} and {tuple(down_filter.shape)} leaves "
            f"{size[0]}×{size[1]} pixels; expected at least 1×1"
        )
    arguments = (x, up_filter, down_filter, bias, up, down, list(sides), flip_filter, gain, slope, clamp)
    return _op(*arguments) if native else _in_passes(*arguments, impl=impl)


def _output_size(
    x: Tensor, up_filter: Tensor, down_filter: Tensor, up: int, down: int, padding: Sequence[int]
) -> tuple[int, int]:
    left, right, top, bottom = padding
    height = x.shape[2] * up + top + bottom - up_filter.shape[0] + 1
    width = x.shape[3] * up + left + right - up_filter.shape[-1] + 1
    return (height - down_filter.shape[0]) // down + 1, (width - down_filter.shape[-1]) // down + 1


def _in_passes(
    x: Tensor,
    up_filter: Tensor,
    down_filter: Tensor,
    bias: Tensor | None,
    up: int,
    down: int,
    padding: list[int],
    flip_filter: bool,
    gain: float,
    slope: float,
    clamp: float | None,
    impl: Impl,
) -> Tensor:
    if bias is not None:
        x = bias_act(x, bias, impl=impl)
    x = upfirdn2d(x, up_filter, up=up, padding=padding, flip_filter=flip_filter, gain=up**2, impl=impl)
    x = bias_act(x, activation="lrelu", alpha=slope, gain=gain, clamp=clamp, impl=impl)
    return upfirdn2d(x, down_filter, down=down, flip_filter=flip_filter, impl=impl)


def _differentiable(
    x: Tensor,
    up_filter: Tensor,
    down_filter: Tensor,
    bias: Tensor | None,
    up: int,
    down: int,
    padding: list[int],
    flip_filter: bool,
    gain: float,
    slope: float,
    clamp: float | None,
) -> Tensor:
    # It stands in for the kernel where that is differentiated, and has kernels with derivatives in it.
    return _in_passes(
        x, up_filter, down_filter, bias, up, down, padding, flip_filter, gain, slope, clamp, impl="auto"
    )


def _fake(
    x: Tensor,
    up_filter: Tensor,
    down_filter: Tensor,
    bias: Tensor | None,
    up: int,
    down: int,
    padding: list[int],
    *_: object,
) -> Tensor:
    return empty_image((*x.shape[:2], *_output_size(x, up_filter, down_filter, up, down, padding)), like=x)


def _native_filtered_lrelu(
    x: Tensor,
    up_filter: Tensor,
    down_filter: Tensor,
    bias: Tensor | None,
    up: int,
    down: int,
    padding: list[int],
    flip_filter: bool,
    gain: float,
    slope: float,
    clamp: float | None,
) -> Tensor:
    arguments = (x, up_filter, down_filter, bias, up, down, padding, flip_filter, gain, slope, clamp)
    if not _has_kernel(up_filter, down_filter, up, down):
        return _in_passes(*arguments, impl="native")
    out = _fake(*arguments)
    _native.launch(
        "filtered_lrelu", x.device, x, small(up_filter, x), small(down_filter, x), small(bias, x), out,
        up, down, padding[0], padding[2], flip_filter, gain, slope, -1.0 if clamp is None else clamp,
    )  # fmt: skip
    return out


def _has_kernel(up_filter: Tensor, down_filter: Tensor, up: int, down: int) -> bool:
    most = max(*up_filter.shape, *down_filter.shape)
    return up_filter.ndim == 1 and most <= MOST_TAPS and max(up, down) <= LARGEST_FACTOR


_op = register("filtered_lrelu", _differentiable, _native_filtered_lrelu, _fake)
