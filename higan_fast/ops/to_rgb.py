"""A modulated 1×1 convolution to RGB, or other colors, added to the upsampled ones of the previous block."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from higan_fast import _native
from higan_fast.ops.arrays import takes_arrays
from higan_fast.ops.checks import check_clamp
from higan_fast.ops.implementation import Impl, use_native
from higan_fast.ops.layout import accumulator_dtype, empty_image, small
from higan_fast.ops.modulated_conv2d import modulated_conv2d
from higan_fast.ops.registration import register
from higan_fast.ops.upfirdn2d import upfirdn2d

MOST_COLORS = 4  # that a kernel takes at once


@takes_arrays
def to_rgb(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    *,
    bias: Tensor | None = None,
    rgb: Tensor | None = None,
    resample_filter: Tensor | None = None,
    clamp: float | None = None,
    impl: Impl = "auto",
) -> Tensor:
    """Computes ``upsample2(rgb) + clamp(conv1×1(x · styles, weight) + bias)``, without demodulation.

    Args:
        x: features ``[N, I, H, W]``.
        weight: ``[K, I, 1, 1]``: for RGB, or any other number of colors.
        styles: ``[N, I]``, already scaled by the layer's weight gain.
        bias: ``[K]``.
        rgb: RGB of the previous block: ``[N, K, H/2, W/2]``, which is upsampled with ``resample_filter``
            (``[4]``), or ``[N, K, H, W]``, which is added unchanged; None: there is none.
        clamp: bounds the new term, not the sum; None: no bound.
        impl: ``"auto"``, ``"reference"`` or ``"native"``.

    Returns:
        ``[N, K, H, W]`` in float32, or float64 for float64 features. RGB accumulates over all blocks, and
        lower precision would cause banding.

    Raises:
        ValueError: if shapes do not match, a clamp is below 0, or ``rgb`` needs upsampling and there is no
            filter.
    """
    check_clamp(clamp)
    native = use_native("to_rgb", impl, x, weight, styles, bias, rgb)
    if x.ndim != 4:
        raise ValueError(f"x: got shape {tuple(x.shape)}, expected [N, I, H, W]")
    check_rgb(tuple(x.shape), weight, styles, rgb, resample_filter)
    if not native or len(weight) <= MOST_COLORS:
        return (_op if native else in_passes)(x, weight, styles, bias, rgb, resample_filter, clamp)
    groups = in_groups(weight, bias, rgb)
    return torch.cat([_op(x, own, styles, b, before, resample_filter, clamp) for own, b, before in groups], 1)


def in_groups(
    weight: Tensor, bias: Tensor | None, rgb: Tensor | None
) -> Iterator[tuple[Tensor, Tensor | None, Tensor | None]]:
    """Gives the weight, bias and RGB of as many colors as a kernel takes at once."""
    for first in range(0, len(weight), MOST_COLORS):
        own = slice(first, first + MOST_COLORS)
        yield weight[own], None if bias is None else bias[own], None if rgb is None else rgb[:, own]


def check_rgb(
    shape: tuple[int, ...],
    weight: Tensor,
    styles: Tensor,
    rgb: Tensor | None,
    resample_filter: Tensor | None,
) -> None:
    """Raises ValueError unless these fit features of ``shape`` ``[N, I, H, W]``."""
    num, inputs, height, width = shape
    if weight.ndim != 4 or weight.shape[1:] != (inputs, 1, 1) or len(weight) == 0:
        raise ValueError(
            f"x, weight: got shapes {shape} and {tuple(weight.shape)}, expected [N, I, H, W] and "
            "[K, I, 1, 1] with the same I"
        )
    if min(inputs, height, width) < 1:
        raise ValueError(f"x: got shape {shape}, expected at least one channel and 1×1 pixels")
    if styles.shape != (num, inputs):
        raise ValueError(f"styles: got shape {tuple(styles.shape)}, expected [N, I] = {(num, inputs)}")
    if rgb is None:
        return
    whole, half = (num, weight.shape[0], height, width), (num, weight.shape[0], height // 2, width // 2)
    if tuple(rgb.shape) not in (whole, half):
        raise ValueError(f"rgb: got shape {tuple(rgb.shape)}, expected {whole} or {half}")
    if rgb.shape[2:] != (height, width) and resample_filter is None:
        raise ValueError("resample_filter: needed to upsample rgb; make one with setup_filter()")


def in_passes(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    bias: Tensor | None,
    rgb: Tensor | None,
    resample_filter: Tensor | None,
    clamp: float | None,
) -> Tensor:
    new = modulated_conv2d(x, weight, styles, demodulate=False, bias=bias, clamp=clamp, impl="reference")
    new = new.to(accumulator_dtype(x.dtype))
    if rgb is None:
        return new
    if rgb.shape[2:] != new.shape[2:]:
        assert resample_filter is not None
        before, after = resample_filter.shape[0] // 2, (resample_filter.shape[0] - 1) // 2
        padding = [before, after, before, after]
        rgb = upfirdn2d(rgb, resample_filter, up=2, padding=padding, gain=4, impl="reference")
    return rgb + new


def _fake(x: Tensor, weight: Tensor, *_: object) -> Tensor:
    num, _inputs, height, width = x.shape
    return empty_image((num, weight.shape[0], height, width), like=x, dtype=accumulator_dtype(x.dtype))


def _native_to_rgb(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    bias: Tensor | None,
    rgb: Tensor | None,
    resample_filter: Tensor | None,
    clamp: float | None,
) -> Tensor:
    out = _fake(x, weight)
    same = rgb is not None and rgb.shape[2:] == x.shape[2:]
    kernel = small(weight, x)
    assert kernel is not None
    address, code, sizes, strides = _native.describe(kernel)
    flat = address, code, sizes[:2], strides[:2]  # [K, I]
    _native.launch(
        "to_rgb", x.device, x, flat, small(styles, x), small(bias, x), small(rgb, x),
        None if same or rgb is None else small(resample_filter, x), out, -1.0 if clamp is None else clamp,
    )  # fmt: skip
    return out


_op = register("to_rgb", in_passes, _native_to_rgb, _fake)
