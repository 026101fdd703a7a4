"""Modulated convolutions of any size on weights shared by all samples; our op where it takes them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from higan_fast import ops
from higan_fast.compat.filters import for_ops, four_sides
from higan_fast.compat.nvlabs import conv2d_resample
from higan_fast.compat.tally import counting, note
from higan_fast.compat.weights import KeptWeight, mirrored
from higan_fast.generators.prepared import is_watched
from higan_fast.ops.modulated_conv2d import demodulation, normalize_styles, normalize_weight, square_weight

# parameter → what is kept of it, as it is and mirrored
_kept: Any = WeakTensorKeyDictionary()


def modulated(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    *,
    noise: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: Any = 0,
    resample_filter: Tensor | None = None,
    demodulate: bool = True,
    flip_weight: bool = True,
) -> Tensor:
    """Computes ``demod · resample(conv(x · styles, weight)) + noise``.

    Args:
        x: ``[N, I, H, W]``.
        weight: ``[O, I, kh, kw]``.
        styles: ``[N, I]``.
        noise: broadcasts to the result; added at the end.
        up, down, padding, resample_filter, flip_weight: as of ``conv2d_resample``.
        demodulate: whether to scale each output channel to unit expected variance.

    Raises:
        ValueError: if shapes do not match.
    """
    _check(x, weight, styles)
    if x.dtype != torch.float64:
        styles = styles.float()
    filter_ = for_ops(resample_filter, x) if up > 1 else None
    reason = why_not_ours(x, weight, up, down, padding, filter_, noise)
    note("modulated_conv2d", "modulated_conv2d", x, weight, styles, noise, reason=reason)
    if not reason:
        # A transposed convolution mirrors what a convolution does not.
        prepared = _kept_weight(weight, mirror=flip_weight == (up == 2)).get(weight, x, up)
        return ops.modulated_conv2d(
            x,
            prepared.kernel,
            styles,
            demodulate=demodulate,
            weight_square=prepared.square if demodulate else None,
            weight_gain=prepared.gain,
            weight_points=prepared.points,
            up=up,
            resample_filter=filter_,
            noise=noise,
        )
    demod = demodulation(styles, square_weight(weight)) if demodulate else None  # [N, O]
    if x.dtype == torch.float16:
        # Products of raw values overflow; see higan_fast.ops.modulated_conv2d.
        weight, gain = normalize_weight(weight)
        styles, largest = normalize_styles(styles)
        demod = gain * largest if demod is None else demod * gain * largest
    with counting(None):  # its parts are a part of this call
        y = conv2d_resample(
            x * per_channel(styles, x),
            weight.to(x.dtype),
            resample_filter,
            up=up,
            down=down,
            padding=padding,
            flip_weight=flip_weight,
        )
    y = y if demod is None else y * per_channel(demod, y)
    return y if noise is None else y + noise.to(y.dtype)


def why_not_ours(
    x: Tensor,
    weight: Tensor,
    up: int,
    down: int,
    padding: Any,
    taps: Tensor | None,
    noise: Tensor | None = None,
) -> str:
    """Returns what our op does not take; empty: it takes all."""
    size = weight.shape[2]
    if size != weight.shape[3] or size not in (1, 3):
        return f"a kernel of {weight.shape[2]}×{weight.shape[3]}"
    if up not in (1, 2):
        return f"up {up}"
    if down != 1:
        return f"down {down}"
    if four_sides(padding) != [size // 2] * 4:
        return f"padding {padding}"
    if up == 2 and (taps is None or taps.shape != (4,)):
        return "a filter that is not 4 taps for both axes"
    goal = (x.shape[0], 1, x.shape[2] * up, x.shape[3] * up)
    if noise is not None and not _broadcasts(noise, goal):
        return "noise that differs between channels"
    return ""


def per_channel(factors: Tensor, x: Tensor) -> Tensor:
    """``[N, C]`` as factors of ``x`` ``[N, C, H, W]``, in its dtype."""
    return factors.to(x.dtype)[:, :, None, None]


def _kept_weight(weight: Tensor, mirror: bool) -> KeptWeight:
    """What is kept of a parameter; of a tensor made for one call, nothing."""
    change = mirrored if mirror else None
    if not isinstance(weight, nn.Parameter) or is_watched():
        return KeptWeight(change)
    kept = _kept.get(weight)
    if kept is None:
        kept = _kept[weight] = {True: KeptWeight(mirrored), False: KeptWeight()}
    found: KeptWeight = kept[mirror]
    return found


def _broadcasts(tensor: Tensor, goal: tuple[int, ...]) -> bool:
    pairs = zip(reversed(tensor.shape), reversed(goal), strict=False)
    return tensor.ndim <= len(goal) and all(size in (1, wanted) for size, wanted in pairs)


def _check(x: Tensor, weight: Tensor, styles: Tensor) -> None:
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"x, weight: got shapes {tuple(x.shape)} and {tuple(weight.shape)}, expected [N, I, H, W] and "
            "[O, I, kh, kw] with the same I"
        )
    if styles.shape != x.shape[:2]:
        raise ValueError(f"styles: got shape {tuple(styles.shape)}, expected [N, I] = {tuple(x.shape[:2])}")
