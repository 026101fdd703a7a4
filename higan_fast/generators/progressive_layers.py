"""Building blocks of the progressively grown generators, PGGAN and StyleGAN.

Stored weights already include the gains of the equalised learning rate (arXiv 1710.10196, §4.1).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from higan_fast.ops.layout import accumulator_dtype


def pixel_norm(x: Tensor) -> Tensor:
    """Scales ``[N, C, ...]`` to unit second moment over the channels (arXiv 1710.10196, §4.2)."""
    power = x.to(accumulator_dtype(x.dtype)).square().mean(1, keepdim=True)
    return x * (power + 1e-8).rsqrt().to(x.dtype)


def upsampling_kernel(weight: Tensor) -> Tensor:
    """``[O, I, 3, 3]`` → ``[I, O, 4, 4]``, for a transposed convolution with stride 2 and padding 1.

    The transposed convolution equals nearest-neighbour upsampling followed by a convolution with ``weight``,
    at 4 products per pixel instead of 9. Its kernel is the flipped weight convolved with a 2×2 box.
    Networks trained in this form ("fused scale") store the weight flipped.
    """
    weight = F.pad(weight.flip(2, 3).transpose(0, 1), [1, 1, 1, 1])  # [I, O, 5, 5]
    return weight[..., 1:, 1:] + weight[..., :-1, 1:] + weight[..., 1:, :-1] + weight[..., :-1, :-1]


class Conv(nn.Module):
    """A 3×3 convolution, optionally after nearest-neighbour upsampling; no bias, no activation."""

    def __init__(self, inputs: int, outputs: int, up: bool) -> None:
        super().__init__()
        weight = torch.randn(outputs, inputs, 3, 3) * math.sqrt(2 / (9 * inputs))
        self.weight = nn.Parameter(upsampling_kernel(weight) if up else weight)
        self.up = up

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` → ``[N, outputs, H, W]``, or ``[N, outputs, 2H, 2W]`` with ``up``."""
        weight = self.weight.to(x.dtype)
        if self.up:
            return F.conv_transpose2d(x, weight, stride=2, padding=1)
        return F.conv2d(x, weight, padding=1)


class ToRGB(nn.Module):
    """Features → an image in the dtype of the parameters, RGB or of another number of channels."""

    def __init__(self, inputs: int, outputs: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1) / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` → ``[N, outputs, H, W]``."""
        rgb = F.conv2d(x, self.weight.to(x.dtype)).to(self.bias.dtype)
        return rgb + self.bias[:, None, None]
