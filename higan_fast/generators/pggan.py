"""PGGAN: the progressively grown generator (Karras et al., arXiv 1710.10196).

The latent enters only at the input, so the whole network is a single layer, and its code is the latent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from higan_fast.generators.base import Activation, Generator, layer_of_size
from higan_fast.generators.progressive_config import ProgressiveConfig
from higan_fast.generators.progressive_layers import Conv, ToRGB, pixel_norm
from higan_fast.generators.settings import check_flag, check_whole
from higan_fast.ops import bias_act


@dataclass(frozen=True)
class PGGANConfig(ProgressiveConfig):
    """The architecture.

    Attributes:
        label_dim: number of classes; 0: unconditional.
        tanh: whether a tanh is applied to the image.
    """

    label_dim: int = 0
    tanh: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("label_dim", self.label_dim, 0)
        check_flag("tanh", self.tanh)


class PGGAN(Generator):
    """PGGAN's generator. The code is the latent, followed by the one-hot class in conditional networks.

    Truncation scales the latent, but the network normalises its code. So truncation only changes the weight
    of the latent relative to the class; without classes it has no effect.
    """

    family: ClassVar[str] = "pggan"

    def __init__(self, config: PGGANConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PGGANConfig()
        self.latent_dim, self.label_dim = config.latent_dim, config.label_dim
        self.code_dim, self.resolution = config.latent_dim + config.label_dim, config.resolution
        self.layers = (layer_of_size(0, "z", config.image_shape[1:], 1),)
        resolutions = sorted(config.channels)
        widths = [config.channels[resolution] for resolution in resolutions]
        self.dense = nn.Linear(self.code_dim, math.prod(config.start_size) * widths[0])
        nn.init.normal_(self.dense.weight, std=math.sqrt(2 / (16 * self.code_dim)))
        convs = [Block(widths[0], widths[0])]
        for before, width in pairwise(widths):
            convs += [Block(before, width, up=True), Block(width, width)]
        self.blocks = nn.ModuleList(convs)
        self.rgb = ToRGB(widths[-1], config.image_channels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.config.image_shape

    def mapping(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        self.check_latents(z)
        return torch.cat([z, self.one_hot(label, z)], 1)

    def layer_codes(
        self, w: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        codes = w[:, None].clone()  # [N, 1, D]
        codes[:, :truncation_layers, : self.latent_dim] *= truncation_psi
        return codes

    def start(self, num: int) -> Activation:
        nothing = self.rgb.bias.new_zeros(num, 0, 4, 4, dtype=self.activation_dtype)
        return Activation(nothing)

    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        x = self.dense(pixel_norm(code)).unflatten(1, (-1, *self.config.start_size))  # [N, C, h, w]
        x = x.to(activation.features.dtype, memory_format=torch.channels_last)
        x = _tail(x, None)
        for block in self.blocks:
            x = block(x)
        return Activation(x)

    def image(self, activation: Activation) -> Tensor:
        rgb = self.rgb(activation.features)
        return rgb.tanh() if self.config.tanh else rgb

    def features_of(self, index: int) -> int:
        return max(
            width * math.prod(self.config.size_at(block)) for block, width in self.config.channels.items()
        )


class Block(nn.Module):
    """A convolution, then bias, leaky ReLU and pixel normalisation."""

    def __init__(self, inputs: int, outputs: int, up: bool = False) -> None:
        super().__init__()
        self.conv = Conv(inputs, outputs, up)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` → ``[N, outputs, H, W]``, or ``[N, outputs, 2H, 2W]`` with ``up``."""
        return _tail(self.conv(x), self.bias)


def _tail(x: Tensor, bias: Tensor | None) -> Tensor:
    return pixel_norm(bias_act(x, bias, activation="lrelu", gain=1))
