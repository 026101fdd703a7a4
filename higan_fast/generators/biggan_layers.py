"""What BigGAN and BigGAN-deep are made of: normalisation by a code, convolutions, attention, their frame."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from higan_fast.generators.base import Activation, Generator
from higan_fast.generators.progressive_layers import upsampling_kernel
from higan_fast.ops import conditional_batch_norm_act


class BlockGenerator(Generator):
    """A linear layer that makes the first features, residual blocks, and an image of the last features.

    Layer 0 is the linear layer, and layer *l* is block *l* − 1; self-attention belongs to the layer after
    which it runs.

    Attributes:
        config: with ``channels`` of the first features and after each block, and their ``bottom_width``.
        first: code ``[N, D]`` → features ``[N, channels[0] · width²]``.
        blocks: features ``[N, C, H, W]`` and code ``[N, D]`` → features; one for each layer above the first.
        attention: by the index of the layer after which it runs.
        last: the last features → images before their tanh.
    """

    config: Any
    first: nn.Linear
    blocks: nn.ModuleList
    attention: nn.ModuleDict
    last: Last

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.resolution, self.latent_dim = config.resolution, config.latent_dim
        self.label_dim = config.label_dim

    def start(self, num: int) -> Activation:
        nothing = self.first.weight.new_empty(num, 0, self.config.bottom_width, self.config.bottom_width)
        return Activation(nothing.to(self.activation_dtype or nothing.dtype))

    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        if index == 0:
            width = self.config.bottom_width
            features = self.first(code[:, : self.first.in_features]).unflatten(1, (-1, width, width))
            features = features.to(activation.features.dtype, memory_format=torch.channels_last)
        else:
            features = self.blocks[index - 1](activation.features, code)
        if str(index) in self.attention:
            features = self.attention[str(index)](features)
        return Activation(features)

    def image(self, activation: Activation) -> Tensor:
        return self.last(activation.features).to(self.first.weight.dtype).tanh()

    def features_of(self, index: int) -> int:
        channels: int = self.config.channels[index]
        return channels * self.layers[index].resolution ** 2


class Statistics(nn.Module):
    """Mean and variance of each channel, as training stored them: once, or for several truncations.

    Attributes:
        mean, variance: ``[S, C]``, for the truncations 0, 1/(S − 1), …, 1; where S is 1, for all.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, num: int = 1) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num, channels))
        self.register_buffer("variance", torch.ones(num, channels))
        self.place, self.share = num - 1, 0.0

    def use_truncation(self, truncation_psi: float) -> None:
        """Takes those of this truncation from now on; at first they are those of 1."""
        num = len(self.mean)
        if num > 1:
            # Written as the code is with which the published weights run: 0.7 lies at 34.999… of 51.
            share, place = math.modf(truncation_psi / (1 / (num - 1)))
            self.place, self.share = min(int(place), num - 1), share

    def forward(self) -> tuple[Tensor, Tensor]:
        """Mean and variance ``[C]``."""
        return self._at(self.mean), self._at(self.variance)

    def _at(self, stored: Tensor) -> Tensor:
        below = stored[self.place]
        if self.share == 0:
            return below
        # The nearer of the two gets the smaller weight, in the code of the published weights as here.
        above = stored[min(self.place + 1, len(stored) - 1)]
        return below * self.share + above * (1 - self.share)


class CodeNorm(nn.Module):
    """Batch normalisation with stored statistics, a scale and a shift that are affine in a code, and a ReLU.

    Source: arXiv 1809.11096, §B. The scale is 1 plus the code's part: the 1 is in the bias.
    """

    def __init__(self, channels: int, code_dim: int, epsilon: float, num_statistics: int = 1) -> None:
        super().__init__()
        self.statistics = Statistics(channels, num_statistics)
        self.affine = nn.Linear(code_dim, 2 * channels)
        with torch.no_grad():
            self.affine.bias.copy_(torch.cat([torch.ones(channels), torch.zeros(channels)]))
        self.epsilon = epsilon

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Features ``[N, C, H, W]`` and code ``[N, D]``, of which it reads the first entries."""
        mean, variance = self.statistics()
        scale, shift = self.affine(code[:, : self.affine.in_features]).chunk(2, dim=1)
        return conditional_batch_norm_act(x, mean, variance, scale, shift, epsilon=self.epsilon)


class Last(nn.Module):
    """The last features → RGB before its tanh: normalised, scaled, shifted, ReLU, convolved."""

    def __init__(self, channels: int, epsilon: float, num_statistics: int = 1) -> None:
        super().__init__()
        self.statistics = Statistics(channels, num_statistics)
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.conv = Conv(channels, 3, 3)
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        mean, variance = self.statistics()
        scale, shift = (each.expand(len(x), -1) for each in (self.scale, self.shift))
        x = conditional_batch_norm_act(x, mean, variance, scale, shift, epsilon=self.epsilon)
        return self.conv(x)


class Conv(nn.Module):
    """A convolution that keeps its size; or, with ``up``, a 3×3 one of its input with each pixel doubled."""

    def __init__(self, inputs: int, outputs: int, size: int, *, up: bool = False, bias: bool = True) -> None:
        super().__init__()
        weight = torch.randn(outputs, inputs, size, size) / math.sqrt(inputs * size**2)
        self.weight = nn.Parameter(doubling_kernel(weight) if up else weight)
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.up, self.padding = up, size // 2

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` → ``[N, outputs, H, W]``, or of twice the size."""
        weight, bias = self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype)
        if self.up:
            return F.conv_transpose2d(x, weight.permute(0, 3, 1, 2), bias, stride=2, padding=1)
        return F.conv2d(x, weight, bias, padding=self.padding)


def doubling_kernel(weight: Tensor) -> Tensor:
    """``[O, I, 3, 3]`` → ``[I, 4, 4, O]``: ``upsampling_kernel``, as channels-last features want it."""
    return upsampling_kernel(weight).permute(0, 2, 3, 1).contiguous()


class SelfAttention(nn.Module):
    """Each pixel reads all others, of the features at half the size (arXiv 1805.08318)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = Conv(channels, channels // 8, 1, bias=False)
        self.key = Conv(channels, channels // 8, 1, bias=False)
        self.value = Conv(channels, channels // 2, 1, bias=False)
        self.out = Conv(channels // 2, channels, 1, bias=False)
        self.gain = nn.Parameter(torch.zeros([]))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2).transpose(1, 2)  # [N, H·W, C / 8]
        key, value = (
            F.max_pool2d(conv(x), 2).flatten(2).transpose(1, 2)  # [N, H·W / 4, C / 8 or C / 2]
            for conv in (self.key, self.value)
        )
        # The kernels that never store all weights of a pixel want keys as long as values.
        missing = (0, value.shape[2] - key.shape[2])
        query, key = F.pad(query, missing), F.pad(key, missing)
        read = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None], scale=1.0)[:, 0]
        read = read.transpose(1, 2).unflatten(2, x.shape[2:])
        return x + self.gain.to(x.dtype) * self.out(read)


def make_attention(channels: tuple[int, ...], after: Collection[int]) -> nn.ModuleDict:
    """Self-attention after these layers, whose features have ``channels``."""
    return nn.ModuleDict({str(index): SelfAttention(channels[index]) for index in sorted(after)})


def check_architecture(
    channels: tuple[int, ...], latent_dim: int, label_dim: int, after: Collection[int]
) -> None:
    """Raises a ValueError when a network has no block, latent or class, or attention after a wrong layer."""
    least = {
        "number of channels": (len(channels), 2),
        "latent_dim": (latent_dim, 1),
        "label_dim": (label_dim, 1),
    }
    for name, (got, expected) in least.items():
        if got < expected:
            raise ValueError(f"{name}: got {got}, expected at least {expected}")
    for index in after:
        if not 0 <= index < len(channels):
            raise ValueError(f"attention: got layer {index}, expected one from 0 to {len(channels) - 1}")
        if channels[index] < 8:
            raise ValueError(f"attention: layer {index} has {channels[index]} channels, expected 8 at least")
