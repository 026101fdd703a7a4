"""StyleGAN (Karras et al., arXiv 1812.04948): styles applied after instance normalisation.

Every resolution has two layers, and the first of them upsamples. A layer is a convolution followed by noise,
bias, leaky ReLU, instance normalisation and style. Layer 0 has a learned constant in place of a convolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from higan_fast.generators.base import Activation, Layer, layer_of_size
from higan_fast.generators.progressive_config import ProgressiveConfig
from higan_fast.generators.progressive_layers import Conv, ToRGB, pixel_norm
from higan_fast.generators.settings import MOST_LAYERS, check_whole, check_whole_or_none
from higan_fast.generators.style_based import StyleBased, StyleReader
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

    def start(self, num: int) -> Activation:
        """Returns the constant, normalised: all that layer 0 does before it reads its code."""
        return Activation(self.synthesis.layers[0].normalized(super().start(num).features))

    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        """Applies the style of layer ``index``, then what layer ``index`` + 1 does before it reads its code.

        So perturbations of a sample share all of that.
        """
        return self.styled(index, activation, self.synthesis.layers[index].affine(code))

    def image(self, activation: Activation) -> Tensor:
        image: Tensor = self.synthesis.rgb(activation.features)
        return image

    def draw(self, codes: Tensor, first: int = 0, activation: Activation | None = None) -> Tensor:
        """Like ``Generator.draw``; each later layer normalises and applies its style in one pass."""
        if activation is None:
            activation = self.start(len(codes))
        later = enumerate(self.synthesis.layers[first:], first)
        return self._from_styles([layer.affine(codes[:, index]) for index, layer in later], activation)

    @property
    def style_readers(self) -> tuple[StyleReader, ...]:
        """All layers; the first half of a style is added to 1 and scales, and the second half shifts."""
        layers: Any = self.synthesis.layers
        widths = [len(layer.affine.weight) for layer in layers]
        return tuple(StyleReader(layer, layer.index, widths[layer.index]) for layer in self.layers)

    def styles(self, codes: Tensor) -> Tensor:
        layers: Any = self.synthesis.layers
        codes = codes.to(layers[0].affine.weight.dtype)
        return torch.cat([layer.affine(codes[:, index]) for index, layer in enumerate(layers)], dim=1)

    def styled(self, index: int, activation: Activation, style: Tensor) -> Activation:
        layers: Any = self.synthesis.layers
        features = layers[index].styled(activation.features, style)
        return Activation(layers[index + 1].normalized(features) if index + 1 < len(layers) else features)

    def draw_styles(self, center: Tensor, moves: Tensor, first: int, activation: Activation) -> Tensor:
        channels = [one.channels for one in self.style_readers[first:]]
        return self._from_styles((center + moves).split_with_sizes(channels, 1), activation)

    def _from_styles(self, styles: Sequence[Tensor], activation: Activation) -> Tensor:
        """Images of the styles of the last layers, from the activation that enters the first of these."""
        first, layers = self.num_layers - len(styles), self.synthesis.layers
        features = layers[first].styled(activation.features, styles[0])
        return self._drawn(styles, first + 1, features)

    def _drawn(self, styles: Sequence[Tensor], first: int, features: Tensor) -> Tensor:
        """Images of the features after layer ``first`` − 1; the last ones of ``styles`` are read."""
        layers: Any = self.synthesis.layers
        for index in range(first, self.num_layers):
            if parts := self.slices(index - 1, len(features)):
                shares = ([style[part] for style in styles] for part in parts)
                pairs = zip(shares, parts, strict=True)
                return torch.cat([self._drawn(share, index, features[part]) for share, part in pairs])
            features = layers[index](features, styles[index - self.num_layers])
        return self.image(Activation(features))

    def features_of(self, index: int) -> int:
        """Of the convolution that runs after the style of layer ``index``."""
        return super().features_of(min(index + 1, self.num_layers - 1))


def _layers(config: StyleGANConfig) -> tuple[Layer, ...]:
    names = [f"b{resolution}.conv{i}" for resolution in sorted(config.channels) for i in (0, 1)]
    names[0] = "b4.const"
    sizes = [config.size_at(resolution) for resolution in sorted(config.channels) for _ in (0, 1)]
    return tuple(layer_of_size(index, name, sizes[index], len(names)) for index, name in enumerate(names))


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
            size = config.size_at(resolution)
            layers.append(StyledLayer(before, width, size, config.code_dim, up=resolution > 4))
            layers.append(StyledLayer(width, width, size, config.code_dim))
            before = width
        self.const = nn.Parameter(torch.ones(1, widths[0][1], *config.start_size))
        self.layers = nn.ModuleList(layers)
        self.rgb = ToRGB(widths[-1][1], config.image_channels)


class StyledLayer(nn.Module):
    """A convolution, then noise, bias, leaky ReLU, instance normalisation and style."""

    noise_const: Tensor
    blur_filter: Tensor

    def __init__(
        self, inputs: int | None, channels: int, size: tuple[int, int], code_dim: int, up: bool = False
    ) -> None:
        """``inputs`` None: no convolution; the layer's input is the constant. ``size``: of its output."""
        super().__init__()
        self.conv = None if inputs is None else Conv(inputs, channels, up)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.noise_strength = nn.Parameter(torch.zeros(channels))
        self.affine = nn.Linear(code_dim, 2 * channels)
        nn.init.normal_(self.affine.weight, std=1 / math.sqrt(code_dim))
        nn.init.zeros_(self.affine.bias)
        self.register_buffer("noise_const", torch.randn(size))
        if up:
            self.register_buffer("blur_filter", setup_filter((1, 2, 1)))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Features ``[N, inputs, H, W]`` → ``[N, channels, H, W]``, or ``[N, channels, 2H, 2W]`` with ``up``.

        Args:
            x: the features.
            style: what the affine makes of the code, ``[N, 2 channels]``.
        """
        return self._tail(self._convolved(x), *_scale_and_shift(style))

    def normalized(self, x: Tensor) -> Tensor:
        """Does all that ``forward`` does before the style."""
        x = self._convolved(x)
        plain = x.new_ones(x.shape[:2], dtype=self.affine.weight.dtype)
        return self._tail(x, plain, torch.zeros_like(plain))

    def styled(self, x: Tensor, style: Tensor) -> Tensor:
        """Applies the style to what ``normalized`` gave: each plane's scale and shift."""
        scale, shift = (part.to(x.dtype)[:, None, None] for part in _scale_and_shift(style))
        # [N, H, W, C]: channels-last in memory, like x
        return torch.addcmul(shift, x.permute(0, 2, 3, 1), scale).permute(0, 3, 1, 2)

    def _convolved(self, x: Tensor) -> Tensor:
        if self.conv is None:
            return x
        x = self.conv(x)
        return upfirdn2d(x, self.blur_filter, padding=1) if self.conv.up else x

    def _tail(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return adain(x, scale, shift, noise=self.noise_const, strength=self.noise_strength, bias=self.bias)


def _scale_and_shift(style: Tensor) -> tuple[Tensor, Tensor]:
    """Returns those of each plane, ``[N, channels]`` each."""
    scale, shift = style.chunk(2, dim=1)
    return scale + 1, shift
