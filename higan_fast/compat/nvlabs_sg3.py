"""The ops of stylegan3's own networks with ours in them; ``modulated_conv2d`` has another signature there."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from higan_fast import ops
from higan_fast.compat.filters import for_ops, four_sides
from higan_fast.compat.modulated import per_channel, why_not_ours
from higan_fast.compat.nvlabs import (
    bias_act,
    conv2d_resample,
    downsample2d,
    filter2d,
    fma,
    our_impl,
    plain_number,
    setup_filter,
    upfirdn2d,
    upsample2d,
    why_ref,
)
from higan_fast.compat.tally import note
from higan_fast.ops.modulated_conv2d import normalize_weight, square_weight

__all__ = [
    "bias_act",
    "conv2d_resample",
    "downsample2d",
    "filter2d",
    "filtered_lrelu",
    "fma",
    "modulated_conv2d",
    "setup_filter",
    "upfirdn2d",
    "upsample2d",
]


def modulated_conv2d(
    x: Tensor,
    w: Tensor,
    s: Tensor,
    demodulate: bool = True,
    padding: Any = 0,
    input_gain: Tensor | None = None,
) -> Tensor:
    """Computes ``demod · conv(x · input_gain · s, w)``, on weights shared by all samples.

    Args:
        x: ``[N, I, H, W]``.
        w: ``[O, I, kh, kw]``; with ``demodulate``, each ``w[o]`` is scaled to a mean square of 1.
        s: ``[N, I]``; with ``demodulate``, scaled to a mean square of 1 over the batch.
        demodulate: whether to scale each output channel to unit expected variance.
        padding: one number, or ``[height, width]``.
        input_gain: ``[]``, ``[I]`` or ``[N, I]``, which the demodulation leaves out.
    """
    styles = s if s.dtype == torch.float64 else s.float()
    demod = None
    if demodulate:
        w = w * w.square().mean([1, 2, 3], keepdim=True).rsqrt()
        styles = styles * styles.square().mean().rsqrt()
        demod = (styles.square() @ square_weight(w).T + 1e-8).rsqrt()  # [N, O]
    if input_gain is not None:
        styles = styles * input_gain.expand(styles.shape)
    high, wide = (padding, padding) if isinstance(padding, int) else padding
    size = w.shape[2]
    reason = why_not_ours(x, w, 1, 1, size // 2, None)
    if not reason and min(high, wide) < size // 2:
        reason = f"padding {padding}"
    note("modulated_conv2d", "modulated_conv2d", x, w, styles, reason=reason)
    if not reason:
        more = [wide - size // 2] * 2 + [high - size // 2] * 2
        x = F.pad(x, more) if any(more) else x  # our op pads by half of the kernel
        return ops.modulated_conv2d(x, w, styles, demodulate=demodulate, demod=demod)
    if x.dtype == torch.float16:
        w, gain = normalize_weight(w)
        demod = gain.expand(len(styles), -1) if demod is None else demod * gain
    y = F.conv2d(x * per_channel(styles, x), w.to(x.dtype), padding=(high, wide))
    return y if demod is None else y * per_channel(demod, y)


def filtered_lrelu(
    x: Tensor,
    fu: Tensor | None = None,
    fd: Tensor | None = None,
    b: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: Any = 0,
    gain: float = math.sqrt(2),
    slope: float = 0.2,
    clamp: float | None = None,
    flip_filter: bool = False,
    impl: str = "cuda",
) -> Tensor:
    """``torch_utils.ops.filtered_lrelu.filtered_lrelu``: see ``higan_fast.ops.filtered_lrelu``.

    Args:
        x: ``[N, C, H, W]``.
        fu, fd: filters of the up- and the downsampling: ``[k]``, ``[kh, kw]`` or None.
        b: ``[C]``.
        up, down: factors.
        padding: in pixels of the upsampled image: one number, ``[x, y]`` or ``[left, right, top, bottom]``.
        gain, slope, clamp: of the leaky ReLU.
        flip_filter: whether to correlate with the filters.
        impl: ``"cuda"``: our kernels where they are available; ``"ref"``: our references.
    """
    ours = our_impl(impl)
    fu, fd = for_ops(fu, x), for_ops(fd, x)
    note("filtered_lrelu", "filtered_lrelu", x, fu, fd, b, reason=why_ref(impl))
    return ops.filtered_lrelu(
        x, fu, fd, b, up, down, four_sides(padding), flip_filter=flip_filter, gain=float(gain),
        slope=float(slope), clamp=plain_number(clamp), impl=ours,
    )  # fmt: skip
