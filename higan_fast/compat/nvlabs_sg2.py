"""The ops of stylegan2-ada-pytorch, and of the StyleGAN2 networks in stylegan3's code, with ours in them.

In one's own copy of ``training/networks.py``::

    from higan_fast.compat.nvlabs_sg2 import modulated_conv2d, bias_act, upfirdn2d, conv2d_resample
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from higan_fast.compat.modulated import modulated
from higan_fast.compat.nvlabs import (
    bias_act,
    conv2d_resample,
    downsample2d,
    filter2d,
    fma,
    setup_filter,
    upfirdn2d,
    upsample2d,
)

__all__ = [
    "bias_act",
    "conv2d_resample",
    "downsample2d",
    "filter2d",
    "fma",
    "modulated_conv2d",
    "setup_filter",
    "upfirdn2d",
    "upsample2d",
]


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    noise: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: Any = 0,
    resample_filter: Tensor | None = None,
    demodulate: bool = True,
    flip_weight: bool = True,
    fused_modconv: bool = True,
) -> Tensor:
    """Computes ``demod · resample(conv(x · styles, weight)) + noise``, on weights shared by all samples.

    Args:
        x: ``[N, I, H, W]``.
        weight: ``[O, I, kh, kw]``.
        styles: ``[N, I]``.
        noise: broadcasts to the result; added at the end.
        up, down: factors of the change of resolution before and after the convolution.
        padding: in pixels of the upsampled image: one number, ``[x, y]`` or ``[left, right, top, bottom]``.
        resample_filter: ``[k]``, ``[kh, kw]`` or None; of 4 taps for both axes our kernel takes it.
        demodulate: whether to scale each output channel to unit expected variance.
        flip_weight: whether to correlate with the weight.
        fused_modconv: makes no difference: no per-sample weights are built.

    Raises:
        ValueError: if shapes do not match.
    """
    return modulated(
        x,
        weight,
        styles,
        noise=noise,
        up=up,
        down=down,
        padding=padding,
        resample_filter=resample_filter,
        demodulate=demodulate,
        flip_weight=flip_weight,
    )
