"""Building blocks of BigGAN and BigGAN-deep: code-conditional normalisation, convolutions, attention."""

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
    """Frame of both BigGANs: a linear layer, residual blocks with self-attention, then the image.

    Layer 0 is the linear layer; layer *l* is block *l* − 1. Self-attention is part of the layer it follows,
    and the normalisation before the image is part of the last layer, whose code may select its statistics.

    Attributes:
        config: its ``channels`` are those of the first features, then after each block; its
            ``bottom_width`` is the size of the first features.
        first: code ``[N, D]`` → first features ``[N, channels[0] · width²]``.
        blocks: features ``[N, C, H, W]`` and code ``[N, D]`` → features; one per layer above the first.
        attention: self-attention modules, keyed by the index of the layer they follow.
        last: the normalisation of the last features, and the convolution to images before the tanh.
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
        if index == self.num_layers - 1:
            features = self.last.normalised(features, code)
        return Activation(features)

    def image(self, activation: Activation) -> Tensor:
        return self.last(activation.features).to(self.first.weight.dtype).tanh()

    def features_of(self, index: int) -> int:
        channels: int = self.config.channels[index]
        return channels * self.layers[index].resolution ** 2


class Statistics(nn.Module):
    """Stored mean and variance of each channel, for one or several truncations.

    Attributes:
        mean, variance: ``[S, C]``, for the truncations 0, 1/(S − 1), …, 1; with S = 1, for all truncations.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, num: int = 1) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num, channels))
        self.register_buffer("variance", torch.ones(num, channels))

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and variance: each ``[C]`` with S = 1, otherwise ``[N, C]``.

        Args:
            code: ``[N, D]``. With S > 1 its last entry is a position in the tables, clamped to [0, S − 1];
                between two rows, the statistics are mixed linearly. See ``position_of``.
        """
        last = len(self.mean) - 1
        if last == 0:
            return self.mean[0], self.variance[0]
        position = code[:, -1].clamp(0, last)
        below = position.nan_to_num().long()  # what is not a number shows in the share
        above, share = (below + 1).clamp(max=last), (position - below)[:, None]
        mean = self.mean[below].lerp(self.mean[above], share)
        return mean, self.variance[below].lerp(self.variance[above], share)


def position_of(truncation_psi: float, num: int) -> float:
    """Returns where in tables of ``num`` truncations the statistics of this one are, in [0, ``num`` − 1].

    This is how the code published with the weights reads them. Of two rows, the nearer gets the smaller
    weight: 0.42 of 11 lies at 4.2, and its position is 4.8. And 0.58 of 51 lies at 28.999…, so it is row 28.
    """
    share, below = math.modf(truncation_psi / (1 / (num - 1)))
    return min(below + 1 - share if share else below, num - 1)


class CodeNorm(nn.Module):
    """Batch normalisation with stored statistics, then a scale and shift affine in a code, then ReLU.

    Source: arXiv 1809.11096, §B. The scale is 1 plus a linear map of the code; the bias holds the 1.
    """

    def __init__(self, channels: int, code_dim: int, epsilon: float, num_statistics: int = 1) -> None:
        super().__init__()
        self.statistics = Statistics(channels, num_statistics)
        self.affine = nn.Linear(code_dim, 2 * channels)
        with torch.no_grad():
            self.affine.bias.copy_(torch.cat([torch.ones(channels), torch.zeros(channels)]))
        self.epsilon = epsilon

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Features ``[N, C, H, W]`` and code ``[N, D]`` → same shape as the features.

        The scale and shift read the first ``in_features`` of the code; the statistics, its last entry.
        """
        mean, variance = self.statistics(code)
        scale, shift = self.affine(code[:, : self.affine.in_features]).chunk(2, dim=1)
        return conditional_batch_norm_act(x, mean, variance, scale, shift, epsilon=self.epsilon)


class Last(nn.Module):
    """The last features → RGB before the tanh: normalisation, scale and shift, ReLU; then a convolution."""

    def __init__(self, channels: int, epsilon: float, num_statistics: int = 1) -> None:
        super().__init__()
        self.statistics = Statistics(channels, num_statistics)
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.conv = Conv(channels, 3, 3)
        self.epsilon = epsilon

    def normalised(self, x: Tensor, code: Tensor) -> Tensor:
        """Features ``[N, C, H, W]`` → same shape, with the statistics that the last layer's code selects."""
        mean, variance = self.statistics(code)
        scale, shift = (each.expand(len(x), -1) for each in (self.scale, self.shift))
        return conditional_batch_norm_act(x, mean, variance, scale, shift, epsilon=self.epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised features ``[N, C, H, W]`` → ``[N, 3, H, W]``."""
        return self.conv(x)


class Conv(nn.Module):
    """A size-preserving convolution; with ``up``, a 3×3 convolution after nearest-neighbour upsampling."""

    def __init__(self, inputs: int, outputs: int, size: int, *, up: bool = False, bias: bool = True) -> None:
        super().__init__()
        weight = torch.randn(outputs, inputs, size, size) / math.sqrt(inputs * size**2)
        self.weight = nn.Parameter(doubling_kernel(weight) if up else weight)
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.up, self.padding = up, size // 2

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` → ``[N, outputs, H, W]``, or ``[N, outputs, 2H, 2W]`` with ``up``."""
        weight, bias = self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype)
        if self.up:
            return F.conv_transpose2d(x, weight.permute(0, 3, 1, 2), bias, stride=2, padding=1)
        return F.conv2d(x, weight, bias, padding=self.padding)


def doubling_kernel(weight: Tensor) -> Tensor:
    """``[O, I, 3, 3]`` → ``[I, 4, 4, O]``: ``upsampling_kernel``, laid out for channels-last features."""
    return upsampling_kernel(weight).permute(0, 2, 3, 1).contiguous()


class SelfAttention(nn.Module):
    """Self-attention (arXiv 1805.08318): every pixel attends to the features at half the resolution."""

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
        # Fused attention kernels need keys as long as values.
        missing = (0, value.shape[2] - key.shape[2])
        query, key = F.pad(query, missing), F.pad(key, missing)
        read = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None], scale=1.0)[:, 0]
        read = read.transpose(1, 2).unflatten(2, x.shape[2:])
        return x + self.gain.to(x.dtype) * self.out(read)


def make_attention(channels: tuple[int, ...], after: Collection[int]) -> nn.ModuleDict:
    """Builds self-attention for the layers in ``after``; ``channels`` lists the channels of every layer."""
    return nn.ModuleDict({str(index): SelfAttention(channels[index]) for index in sorted(after)})
