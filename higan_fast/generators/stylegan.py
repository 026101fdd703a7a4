"""StyleGAN (Karras et al., arXiv 1812.04948): styles applied after instance normalisation.

Every resolution has two layers, and the first of them upsamples. A layer is a convolution followed by noise,
bias, leaky ReLU, instance normalisation and style. Layer 0 has a learned constant in place of a convolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from higan_fast.generators.base import Activation, Layer, group_of, moved_codes
from higan_fast.generators.progressive_config import ProgressiveConfig
from higan_fast.generators.progressive_layers import Conv, ToRGB, pixel_norm
from higan_fast.generators.settings import MOST_LAYERS, check_whole, check_whole_or_none
from higan_fast.generators.style_based import StyleBased
from higan_fast.ops import adain, setup_filter, upfirdn2d


@dataclass(frozen=True)
class StyleGANConfig(ProgressiveConfig):
    """The architecture.

    Attributes:
        label_dim: number of classes; 0: unconditional.
        hidden_dim: width of the mapping network; None: ``code_dim``.
    """

    code_dim: int = 128
    mapping_depth: int = 8
    label_dim: int = 0
    hidden_dim: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("code_dim", self.code_dim)
        check_whole("mapping_depth", self.mapping_depth, 1, MOST_LAYERS)
        check_whole("label_dim", self.label_dim, 0)
        check_whole_or_none("hidden_dim", self.hidden_dim)


class StyleGAN(StyleBased):
    """StyleGAN's generator, with stored noise images."""

    family: ClassVar[str] = "stylegan"

    def __init__(self, config: StyleGANConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or StyleGANConfig()
        self.latent_dim, self.code_dim = config.latent_dim, config.code_dim
        self.resolution, self.label_dim = config.resolution, config.label_dim
        self.mapping_network = Mapping(config)
        self.synthesis = Synthesis(config)
        self.layers = _layers(config)

    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        return Activation(self.synthesis.layers[index](activation.features, code))

    def image(self, activation: Activation) -> Tensor:
        image: Tensor = self.synthesis.rgb(activation.features)
        return image

    def fork(self, index: int, activation: Activation, codes: Tensor, moves: Tensor, steps: Tensor) -> Tensor:
        """Runs convolution and normalisation of layer ``index`` once per sample: only the style differs."""
        layer: Any = self.synthesis.layers[index]
        moved = moved_codes(codes, moves, steps)  # [N M T, L, D]
        features = layer.fork(activation.features, moved[:, index])
        return self.draw(moved, index + 1, Activation(features))


def _layers(config: StyleGANConfig) -> tuple[Layer, ...]:
    names = [f"b{resolution}.conv{i}" for resolution in sorted(config.channels) for i in (0, 1)]
    names[0] = "b4.const"
    return tuple(
        Layer(index, name, 4 * 2 ** (index // 2), group_of(index, len(names)))
        for index, name in enumerate(names)
    )


class Mapping(nn.Module):
    """``z`` → ``w``: concatenated with the class embedding, normalised, then fully connected layers."""

    w_avg: Tensor

    def __init__(self, config: StyleGANConfig) -> None:
        super().__init__()
        inputs = config.latent_dim * (2 if config.label_dim else 1)
        hidden = [config.hidden_dim or config.code_dim] * (config.mapping_depth - 1)
        self.embed = None
        if config.label_dim:
            self.embed = nn.Linear(config.label_dim, config.latent_dim, bias=False)
        self.fc = nn.ModuleList(_dense(a, b) for a, b in pairwise([inputs, *hidden, config.code_dim]))
        self.register_buffer("w_avg", torch.zeros(config.code_dim))

    def forward(self, z: Tensor, one_hot: Tensor) -> Tensor:
        x = z if self.embed is None else torch.cat([z, self.embed(one_hot)], 1)
        x = pixel_norm(x)
        for fc in self.fc:
            x = F.leaky_relu(fc(x), 0.2)
        return x


def _dense(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=math.sqrt(2 / inputs))
    nn.init.zeros_(layer.bias)
    return layer


class Synthesis(nn.Module):
    """The learned constant, the layers in execution order, and the RGB layer."""

    def __init__(self, config: StyleGANConfig) -> None:
        super().__init__()
        widths = [(resolution, config.channels[resolution]) for resolution in sorted(config.channels)]
        layers = []
        before = None
        for resolution, width in widths:
            layers.append(StyledLayer(before, width, resolution, config.code_dim, up=resolution > 4))
            layers.append(StyledLayer(width, width, resolution, config.code_dim))
            before = width
        self.const = nn.Parameter(torch.ones(1, widths[0][1], 4, 4))
        self.layers = nn.ModuleList(layers)
        self.rgb = ToRGB(widths[-1][1])


class StyledLayer(nn.Module):
    """A convolution, then noise, bias, leaky ReLU, instance normalisation and style."""

    noise_const: Tensor
    blur_filter: Tensor

    def __init__(
        self, inputs: int | None, channels: int, resolution: int, code_dim: int, up: bool = False
    ) -> None:
        """``inputs`` None: no convolution; the layer's input is the constant."""
        super().__init__()
        self.conv = None if inputs is None else Conv(inputs, channels, up)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.noise_strength = nn.Parameter(torch.zeros(channels))
        self.affine = nn.Linear(code_dim, 2 * channels)
        nn.init.normal_(self.affine.weight, std=1 / math.sqrt(code_dim))
        nn.init.zeros_(self.affine.bias)
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        if up:
            self.register_buffer("blur_filter", setup_filter((1, 2, 1)))

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Features ``[N, inputs, H, W]`` → ``[N, channels, H, W]``, or ``[N, channels, 2H, 2W]`` with ``up``.

        Args:
            x: the features.
            code: ``[N, code_dim]``.
        """
        return self._tail(self._convolved(x), *self._style(code))

    def fork(self, x: Tensor, codes: Tensor) -> Tensor:
        """Like ``forward``, but applies P codes to each sample: ``[N, …]`` → ``[N·P, …]``.

        Args:
            x: the features.
            codes: ``[N·P, code_dim]``, ordered by sample.
        """
        x = self._convolved(x)
        plain = x.new_ones(x.shape[:2], dtype=codes.dtype)
        x = self._tail(x, plain, torch.zeros_like(plain))
        scale, shift = (part.to(x.dtype).unflatten(0, (len(x), -1)) for part in self._style(codes))
        # [N, P, H, W, C]: channels-last in memory, like x
        styled = torch.addcmul(
            shift[:, :, None, None], x.permute(0, 2, 3, 1)[:, None], scale[:, :, None, None]
        )
        return styled.flatten(0, 1).permute(0, 3, 1, 2)

    def _convolved(self, x: Tensor) -> Tensor:
        if self.conv is None:
            return x
        x = self.conv(x)
        return upfirdn2d(x, self.blur_filter, padding=1) if self.conv.up else x

    def _style(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the scale and the shift of each plane, ``[N, channels]`` each."""
        scale, shift = self.affine(code).chunk(2, dim=1)
        return scale + 1, shift

    def _tail(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return adain(x, scale, shift, noise=self.noise_const, strength=self.noise_strength, bias=self.bias)
