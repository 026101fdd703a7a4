"""The discriminator that trains the embedded generator: residual, and with a second task, reading the scene.

Besides real or fake it predicts the factors of a scene, on renders only. The generator never sees these
predictions. They make the discriminator's features notice beds and windows from the start; otherwise a small
discriminator spends most of its training on texture.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from higan_fast.generators.stylegan2_layers import Linear
from higan_fast.ops import bias_act


class Conv(nn.Module):
    """A convolution with an equalised learning rate, bias and activation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, activation: str, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        # Weight and bias include the activation's gain: leaky ReLU commutes with a positive factor.
        self.gain = math.sqrt(2) if activation == "lrelu" else 1.0
        self.weight_gain = self.gain / math.sqrt(inputs * kernel**2)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight * self.weight_gain).to(x.dtype)
        x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        bias = None if self.bias is None else self.bias * self.gain
        return bias_act(x, bias, activation=self.activation, gain=1)


class Block(nn.Module):
    """Two convolutions that halve the resolution, and a 1×1 shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = Conv(inputs, inputs, 3, "lrelu")
        self.conv1 = Conv(inputs, outputs, 3, "lrelu")
        self.skip = Conv(inputs, outputs, 1, "linear", bias=False)

    def forward(self, x: Tensor) -> Tensor:
        deep = self.conv1(_halve(self.conv0(x)))
        return (deep + self.skip(_halve(x))) * math.sqrt(0.5)


class Discriminator(nn.Module):
    """Images → (logits for real ``[N]``, factors ``[N, num_factors]``).

    Args:
        channels: ``{resolution: channels}``, like the generator's.
        num_factors: number of scene factors to predict.
    """

    def __init__(self, channels: dict[int, int], num_factors: int) -> None:
        super().__init__()
        resolutions = sorted(channels, reverse=True)
        widths = [channels[resolution] for resolution in resolutions]
        self.from_rgb = Conv(3, widths[0], 1, "lrelu")
        self.blocks = nn.ModuleList(Block(a, b) for a, b in pairwise(widths))
        self.conv = Conv(widths[-1] + 1, widths[-1], 3, "lrelu")
        self.fc = Linear(widths[-1] * 16, widths[-1], activation="lrelu")
        self.real = Linear(widths[-1], 1)
        self.factors = Linear(widths[-1], num_factors)
        self.activation_dtype: torch.dtype | None = None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = images.contiguous(memory_format=torch.channels_last)
        x = self.from_rgb(x.to(self.activation_dtype or x.dtype))
        for block in self.blocks:
            x = block(x)
        x = self.conv(torch.cat([x, _minibatch_deviation(x)], dim=1)).to(images.dtype)
        x = self.fc(x.flatten(1))
        return self.real(x).squeeze(1), self.factors(x)


def _minibatch_deviation(x: Tensor, group: int = 4) -> Tensor:
    """Returns the deviation within groups of samples (arXiv 1710.10196, §3) as a channel ``[N, 1, H, W]``."""
    num, channels, height, width = x.shape
    group = group if num % group == 0 else num
    y = x.float().reshape(group, num // group, channels, height, width)
    deviation = (y.var(0, unbiased=False) + 1e-8).sqrt().mean([1, 2, 3])  # [N / group]
    return deviation.to(x.dtype).repeat(group)[:, None, None, None].expand(num, 1, height, width)


def _halve(x: Tensor) -> Tensor:
    """Averages 2×2 pixels; uses interpolation because its backward pass is fast on CPUs."""
    return F.interpolate(x, scale_factor=0.5, mode="bilinear")
