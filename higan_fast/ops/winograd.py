"""3×3 convolutions with a quarter of the products: Winograd's F(4×4, 3×3), on CPUs in float32.

Source: Lavin and Gray, arXiv 1509.09308. A tile of 4×4 results takes 36 products for each pair of channels
instead of 144. ``csrc/kernels/winograd_conv2d.h`` says at which points, and what that does to rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from higan_fast import _native
from higan_fast.ops.implementation import why_reference

TILE, POINTS, PANEL = 4, 36, 32
# With fewer pixels most of the time goes into reading the weight, which has four times the numbers here; with
# fewer channels, into the tiles.
FEWEST_PIXELS, FEWEST_CHANNELS = 256, 16


def weight_at_points(weight: Tensor, pixels: int) -> Tensor | None:
    """Returns a weight as Winograd's convolution reads it, or None where that would not be faster.

    Args:
        weight: ``[O, I, k, k]``.
        pixels: of one sample of the features that are convolved with it.

    Returns:
        ``[⌈O / 32⌉, 36, I, 32]``, four times the weight's size; None unless the weight is 3×3 and in float32
        on a CPU with our kernels, it has enough channels and ``pixels``, and no gradient is needed.
    """
    if weight.shape[2:] != (3, 3) or min(weight.shape[:2]) < FEWEST_CHANNELS or pixels < FEWEST_PIXELS:
        return None
    if not runs_on(weight) or why_reference("modulated_conv2d", weight):
        return None
    return at_points(weight)


def runs_on(x: Tensor) -> bool:
    """Whether the convolution runs on this tensor's device and dtype."""
    return x.dtype == torch.float32 and hasattr(_native.backend(x.device)[0], "winograd_conv2d")


def at_points(weight: Tensor) -> Tensor:
    """Returns ``G weight Gᵀ`` of each pair of channels, in the order of ``weight_at_points``."""
    outputs, inputs = weight.shape[:2]
    points = torch.empty((-(-outputs // PANEL), POINTS, inputs, PANEL), device=weight.device)
    _native.launch("winograd_weight", weight.device, weight, points)
    return points
