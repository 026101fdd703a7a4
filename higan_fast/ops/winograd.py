"""3×3 convolutions with a quarter of the products: Winograd's F(4×4, 3×3), on CPUs in float32.

Source: Lavin and Gray, arXiv 1509.09308. A tile of 4×4 results takes 36 products for each pair of channels
instead of 144. ``csrc/kernels/winograd_conv2d.h`` says at which points, and what that does to rounding.
A NaN or an infinity spreads over the tiles that its neighbours lie in, and weights near 1e37 overflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from higan_fast import _native
from higan_fast.ops.bias_act import tail_numbers
from higan_fast.ops.implementation import constant_in_graphs, is_turned_off, why_reference
from higan_fast.ops.layout import empty_image, is_channels_last, to_channels_last
from higan_fast.ops.registration import register

TILE, POINTS, PANEL = 4, 36, 32
# With fewer pixels most of the time goes into reading the weight, which has four times the numbers here; with
# fewer channels, into the tiles.
FEWEST_PIXELS, FEWEST_CHANNELS = 256, 16
# The same of all samples together where the weight is not kept. Then so many outputs at a time are convolved:
# what is made of their weights stays in the processor's caches.
FEWEST_PIXELS_ONCE, OUTPUTS_ONCE = 512, 128


def weight_at_points(weight: Tensor, pixels: int) -> Tensor | None:
    """Returns a weight as Winograd's convolution reads it, or None where that would not be faster.

    With it a NaN or an infinity in the features makes more than its 3×3 neighbours non-finite, up to all of
    the 4×4 tiles that they lie in, and weights near 1e37 overflow.

    Args:
        weight: ``[O, I, k, k]``.
        pixels: of one sample of the features that are convolved with it.

    Returns:
        ``[⌈O / 32⌉, 36, I, 32]``, four times the weight's size; None unless the weight is 3×3 and in float32
        on a CPU with our kernels, it has enough channels and ``pixels``, and no gradient is needed.
    """
    if not _is_large(weight) or not are_enough(pixels):
        return None
    if not runs_on(weight) or why_reference("modulated_conv2d", weight):
        return None
    return at_points(weight)


def are_enough(pixels: int) -> bool:
    """Whether features with so many pixels are convolved so; what is kept of a weight depends on it."""
    return pixels >= FEWEST_PIXELS and not is_turned_off()


def runs_on(x: Tensor) -> bool:
    """Whether the convolution runs on this tensor's device and dtype."""
    return x.dtype == torch.float32 and _has_kernel(x.device)


@constant_in_graphs
def _has_kernel(device: torch.device) -> bool:
    return hasattr(_native.backend(device)[0], "winograd_conv2d")


def at_points(weight: Tensor) -> Tensor:
    """Returns ``G weight Gᵀ`` of each pair of channels, in the order of ``weight_at_points``."""
    outputs, inputs = weight.shape[:2]
    points = torch.empty((-(-outputs // PANEL), POINTS, inputs, PANEL), device=weight.device)
    _native.launch("winograd_weight", weight.device, weight, points)
    return points


def convolve_3x3(x: Tensor, weight: Tensor) -> Tensor:
    """Returns ``F.conv2d(x, weight, padding=1)`` for any kernel 3×3, by Winograd where that is faster.

    For weights that are not kept, as in a training: gradients of any order are formulas of the same kind.
    What only ``F.conv2d`` takes, as an image ``[I, H, W]``, or refuses, is left to it.
    """
    fits = x.ndim == 4 and _is_large(weight) and x.shape[1] == weight.shape[1]
    pays = fits and x.shape[0] * x.shape[2] * x.shape[3] >= FEWEST_PIXELS_ONCE
    if not pays or x.dtype != weight.dtype or not runs_on(x):
        return F.conv2d(x, weight, padding=1)
    if why_reference("modulated_conv2d", x, weight, differentiable=True):
        return F.conv2d(x, weight, padding=1)
    result: Tensor = _op(x, weight)
    return result


def _is_large(weight: Tensor) -> bool:
    return weight.shape[2:] == (3, 3) and min(weight.shape[:2]) >= FEWEST_CHANNELS


def _reference(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight, padding=1)


def _fake(x: Tensor, weight: Tensor) -> Tensor:
    return empty_image((x.shape[0], weight.shape[0], *x.shape[2:]), like=x)


def _native_convolve(x: Tensor, weight: Tensor) -> Tensor:
    """The result is laid out like ``x``: operators on tensors of two layouts are several times slower."""
    given, x = x, to_channels_last(x)
    out = empty_image((x.shape[0], weight.shape[0], *x.shape[2:]), like=x)
    nothing = (None, None, None, None, None, *tail_numbers("linear", None, None, None))
    for part, result in zip(weight.split(OUTPUTS_ONCE), out.split(OUTPUTS_ONCE, 1), strict=True):
        _native.launch("winograd_conv2d", x.device, x, at_points(part), *nothing, result)
    return out if is_channels_last(given) else out.contiguous()


def _backward(given: list[Any], needed: Sequence[bool], grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = given
    of_x = convolve_3x3(grad, weight.transpose(0, 1).flip(2, 3)) if needed[0] else None
    if not needed[1]:
        return of_x, None
    one = [1, 1]
    found = torch.ops.aten.convolution_backward(
        grad, x, weight, None, one, one, one, False, [0, 0], 1, [False, True, False]
    )
    return of_x, found[1]


_op = register("convolve_3x3", _reference, _native_convolve, _fake, _backward)
