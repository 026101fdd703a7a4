"""A modulated 1×1 convolution to RGB, added to the upsampled RGB of the block before."""

from __future__ import annotations

from torch import Tensor

from higan_fast.ops.implementation import Impl
from higan_fast.ops.modulated_conv2d import modulated_conv2d
from higan_fast.ops.upfirdn2d import upfirdn2d


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
    """``upsample2(rgb) + clamp(conv1×1(x · styles, weight) + bias)``, without demodulation.

    Args:
        x: features ``[N, I, H, W]``.
        weight: ``[3, I, 1, 1]``.
        styles: ``[N, I]``, already scaled by the layer's weight gain.
        bias: ``[3]``.
        rgb: RGB of the block before: ``[N, 3, H/2, W/2]``, upsampled with ``resample_filter`` (``[4]``),
            or ``[N, 3, H, W]``, added as it is; None: there is none.
        clamp: bounds the new term, not the sum.
        impl: ``"auto"`` or ``"reference"``.

    Returns:
        ``[N, 3, H, W]`` in float32, or in float64 for float64 features: RGB accumulates over all
        blocks, and lower precision would band it.
    """
    new = modulated_conv2d(x, weight, styles, demodulate=False, bias=bias, clamp=clamp, impl=impl)
    if new.dtype.itemsize < 4:
        new = new.float()
    if rgb is None:
        return new
    if rgb.shape[-1] != new.shape[-1]:
        if resample_filter is None:
            raise ValueError("resample_filter: needed to upsample rgb; make one with setup_filter()")
        before, after = resample_filter.shape[0] // 2, (resample_filter.shape[0] - 1) // 2
        rgb = upfirdn2d(rgb, resample_filter, up=2, padding=[before, after, before, after], gain=4, impl=impl)
    return rgb + new
