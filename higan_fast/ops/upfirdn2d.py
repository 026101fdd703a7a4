"""Upsample, pad, filter and downsample an image: every change of resolution in StyleGAN."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from higan_fast import _native
from higan_fast.ops.arrays import takes_arrays
from higan_fast.ops.checks import check_factors, check_image, check_numbers, check_tensors, is_whole
from higan_fast.ops.implementation import Impl, use_native
from higan_fast.ops.layout import empty_image, small
from higan_fast.ops.registration import register
from higan_fast.wording import in_words

NARROW = 20  # pixels of a row


def setup_filter(taps: Sequence[float] = (1, 3, 3, 1), device: torch.device | None = None) -> Tensor:
    """Returns the separable FIR filter ``[k]`` (float32) with these taps, normalised to a sum of 1."""
    filter_ = torch.tensor(taps, dtype=torch.float32, device=device)
    return filter_ / filter_.sum()


@takes_arrays
def upfirdn2d(
    x: Tensor,
    filter: Tensor,
    *,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    impl: Impl = "auto",
) -> Tensor:
    """Inserts zeros, pads, convolves with an FIR filter, and keeps every ``down``-th pixel.

    Args:
        x: ``[N, C, H, W]``.
        filter: ``[k]`` (separable) or ``[kh, kw]``.
        up: upsampling factor; ``up − 1`` zeros follow each pixel on both axes.
        down: downsampling factor on both axes.
        padding: in pixels of the upsampled image: one number for all sides, ``[x, y]``, or
            ``[left, right, top, bottom]``. Negative values crop.
        flip_filter: whether to correlate instead of convolving.
        gain: factor on the result, of either sign.
        impl: ``"auto"``, ``"reference"`` or ``"native"``.

    Returns:
        ``[N, C, (H·up + top + bottom − kh) // down + 1, …]`` in ``x``'s dtype.

    Raises:
        ValueError: if an argument is not as stated, or the result would be empty.
    """
    check_tensors(x, filter=filter)
    check_factors(up=up, down=down)
    check_numbers(gain=gain)
    native = use_native("upfirdn2d", impl, x, filter, differentiable=not filter.requires_grad)
    check_image(x)
    if filter.ndim not in (1, 2):
        raise ValueError(f"filter: got shape {tuple(filter.shape)}, expected [k] or [kh, kw]")
    sides = four_sides(padding)
    size = _output_size(x, filter, up, down, sides)
    if min(size) < 1:
        raise ValueError(
            f"x: got shape {tuple(x.shape)}, which with up {up}, padding {list(sides)} and a filter of shape "
            f"{tuple(filter.shape)} leaves {size[0]}×{size[1]} pixels; expected at least 1×1"
        )
    return (_op if native else _reference)(x, filter, up, down, list(sides), flip_filter, gain)


def _output_size(x: Tensor, filter: Tensor, up: int, down: int, padding: Sequence[int]) -> tuple[int, int]:
    left, right, top, bottom = padding
    height = (x.shape[2] * up + top + bottom - filter.shape[0]) // down + 1
    width = (x.shape[3] * up + left + right - filter.shape[-1]) // down + 1
    return height, width


def four_sides(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """Returns ``padding`` as left, right, top and bottom; raises ValueError if it is anything else."""
    sides = list(padding) if isinstance(padding, Sequence) else [padding]
    if len(sides) == 1:
        sides = sides * 4
    elif len(sides) == 2:
        sides = [sides[0], sides[0], sides[1], sides[1]]
    if len(sides) != 4 or not all(map(is_whole, sides)):
        raise ValueError(
            f"padding: got {in_words(padding)}, expected one whole number, [x, y] or [left, right, top, "
            "bottom]"
        )
    return sides[0], sides[1], sides[2], sides[3]


def _reference(
    x: Tensor,
    filter: Tensor,
    up: int,
    down: int,
    padding: list[int],
    flip_filter: bool,
    gain: float,
) -> Tensor:
    num, channels, height, width = x.shape
    if channels == 0:  # torch has no convolution of 0 channels, but one of 0 images
        given = (filter, up, down, padding, flip_filter, gain)
        out = _reference(x.reshape(0, 1, height, width), *given)
        return out.reshape(num, 0, *out.shape[2:])
    if up > 1:
        x = x.reshape(num, channels, height, 1, width, 1)
        x = F.pad(x, [0, up - 1, 0, 0, 0, up - 1]).reshape(num, channels, height * up, width * up)
    # Padded first: torch refuses to crop more than there is.
    for sides in ([max(side, 0) for side in padding], [min(side, 0) for side in padding]):
        x = F.pad(x, sides) if any(sides) else x
    # Half of the gain on each axis, so that 16-bit values between them do not overflow; the sign on one.
    sign, share = math.copysign(1, gain), abs(gain) ** (filter.ndim / 2)
    filter = (filter * share).to(x.dtype)
    if not flip_filter:
        filter = filter.flip(list(range(filter.ndim)))
    if filter.ndim == 2:
        weight = (filter * sign).expand(channels, 1, *filter.shape)
        return F.conv2d(x, weight, stride=down, groups=channels)
    taps = filter.shape[0]
    x = F.conv2d(
        x, filter.expand(channels, 1, taps).reshape(channels, 1, taps, 1), stride=(down, 1), groups=channels
    )
    filter = filter * sign
    return F.conv2d(
        x, filter.expand(channels, 1, taps).reshape(channels, 1, 1, taps), stride=(1, down), groups=channels
    )


def _fake(
    x: Tensor, filter: Tensor, up: int, down: int, padding: list[int], flip_filter: bool, gain: float
) -> Tensor:
    return empty_image((*x.shape[:2], *_output_size(x, filter, up, down, padding)), like=x)


def _is_narrow(x: Tensor) -> bool:
    """Whether rows are so short and channels so many that a CPU is faster by going along the channels."""
    few = x.device.type == "cpu" and x.shape[3] <= NARROW and x.shape[1] >= 2 * NARROW
    # An empty tensor is contiguous in every layout, also when it has just been made channels-last.
    return few and x.is_contiguous() and x.shape[2] > 1 and x.numel() > 0


def _native_upfirdn2d(
    x: Tensor, filter: Tensor, up: int, down: int, padding: list[int], flip_filter: bool, gain: float
) -> Tensor:
    if _is_narrow(x):
        x = x.contiguous(memory_format=torch.channels_last)
        return _native_upfirdn2d(x, filter, up, down, padding, flip_filter, gain).contiguous()
    out = _fake(x, filter, up, down, padding, flip_filter, gain)
    _native.launch(
        "upfirdn2d", x.device, x, small(filter, x), out, up, down, padding[0], padding[2], flip_filter, gain
    )
    return out


def _backward(given: list[Any], needed: Sequence[bool], grad: Tensor) -> tuple[Tensor | None, ...] | None:
    """The transpose of it: up- and downsampling change places, and the filter is mirrored."""
    x, filter, up, down, (left, _, top, _), flip_filter, gain = given
    if needed[1]:
        return None
    (height, width), (rows, columns) = x.shape[2:], (filter.shape[0], filter.shape[-1])
    padding = [
        columns - left - 1,
        width * up - grad.shape[3] * down + left - up + 1,
        rows - top - 1,
        height * up - grad.shape[2] * down + top - up + 1,
    ]
    return _op(grad, filter, down, up, padding, not flip_filter, gain), *[None] * 6


_op = register("upfirdn2d", _reference, _native_upfirdn2d, _fake, _backward)
