"""StyleGAN2 with skip connections to RGB (Karras et al., arXiv 1912.04958).

Its parts run as stages, one for each layer code. A block has two convolutions; its RGB reads the
code of the next block's first convolution, so stage *l* is:

    0                   the 4² convolution on the learned constant
    1, 3, 5, …          RGB of the block just ended, then the upsampling convolution of the next
    2, 4, 6, …          the second convolution of a block
    num_layers − 1      RGB of the last block
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from higan_fast.generators.base import Activation, Generator, Group, Layer
from higan_fast.generators.prepared import Prepared, WeightCache
from higan_fast.ops import bias_act, modulated_conv2d, setup_filter, to_rgb

# On CPUs the features of a layer stay below this: they fit the last cache of a few cores, and the C library's
# allocator keeps blocks of this size, where larger ones cost a page fault for every 4 KiB at every layer.
CACHE_BYTES = 17 * 2**20


@dataclass(frozen=True)
class StyleGAN2Config:
    """The architecture: everything that the weights do not say by themselves.

    Attributes:
        channels: ``{resolution: channels}`` for 4, 8, … up to the image's resolution.
        mapping_lr_multiplier: the mapping's weights are stored divided by it.
    """

    channels: dict[int, int] = field(default_factory=lambda: {4: 128, 8: 128, 16: 128, 32: 64, 64: 32})
    latent_dim: int = 128
    code_dim: int = 128
    mapping_depth: int = 4
    mapping_lr_multiplier: float = 0.01

    @property
    def resolution(self) -> int:
        return max(self.channels)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> StyleGAN2Config:
        """What ``asdict`` gave, after JSON has turned the resolutions into strings."""
        channels = {int(resolution): width for resolution, width in values["channels"].items()}
        return cls(**{**values, "channels": channels})


class StyleGAN2(Generator):
    """StyleGAN2's generator.

    Attributes:
        noise_mode: ``"const"``, the stored noise images (what probing needs); ``"random"``, fresh ones
            at each call (what training needs); ``"none"``.
        activation_dtype: dtype of the features; parameters, codes, styles and RGB stay as they are.
    """

    family: ClassVar[str] = "stylegan2"

    def __init__(self, config: StyleGAN2Config | None = None) -> None:
        super().__init__()
        self.config = config = config or StyleGAN2Config()
        self.latent_dim, self.code_dim, self.resolution = (
            config.latent_dim,
            config.code_dim,
            config.resolution,
        )
        self.mapping_network = Mapping(config)
        self.synthesis = Synthesis(config)
        self.noise_mode = "const"
        self.activation_dtype: torch.dtype | None = None
        self.layers = _layers(config)

    def mapping(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        if label is not None:
            raise ValueError("label: this generator is unconditional, expected None")
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"z: got shape {tuple(z.shape)}, expected [N, {self.latent_dim}]")
        return self.mapping_network(z)

    def layer_codes(
        self, w: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        codes = w[:, None].repeat(1, self.num_layers, 1)  # [N, L, D]
        if truncation_psi != 1:
            center = self.mapping_network.w_avg
            truncated = codes[:, :truncation_layers]
            codes[:, :truncation_layers] = center + (truncated - center) * truncation_psi
        return codes

    def start(self, num: int) -> Activation:
        const = self.synthesis.const
        features = const.to(self.activation_dtype or const.dtype).expand(num, -1, -1, -1)
        return Activation(features.contiguous(memory_format=torch.channels_last))

    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        features, rgb = activation
        if index % 2 == 1:
            rgb = self.synthesis.rgbs[index // 2](features, rgb, code)
        if index < len(self.synthesis.convs):
            features = self.synthesis.convs[index](features, code, self.noise_mode)
        return Activation(features, rgb)

    def image(self, activation: Activation) -> Tensor:
        assert activation.rgb is not None
        return activation.rgb

    def walk(self, codes: Tensor) -> Activation:
        """As layer by layer, but a block's first convolution leaves its result modulated for the second."""
        activation = self.layer(0, self.start(codes.shape[0]), codes[:, 0])
        for index in range(1, self.num_layers - 1, 2):
            activation = self._block(index, activation, codes)
        return self.layer(self.num_layers - 1, activation, codes[:, -1])

    def _block(self, index: int, activation: Activation, codes: Tensor) -> Activation:
        """The two layers of the block that begins at layer ``index``."""
        convs: Any = self.synthesis.convs
        features, rgb = activation
        code, next_code = codes[:, index], codes[:, index + 1]
        rgb = self.synthesis.rgbs[index // 2](features, rgb, code)
        next_styles = convs[index + 1].styles(next_code, features.dtype)
        features = convs[index](features, code, self.noise_mode, next_styles=next_styles)
        features = convs[index + 1](features, next_code, self.noise_mode, modulated_by=next_styles)
        return Activation(features, rgb)

    def draw(self, codes: Tensor) -> Tensor:
        activation = self.layer(0, self.start(codes.shape[0]), codes[:, 0])
        return self._draw_blocks(1, activation, codes)

    def _draw_blocks(self, first: int, activation: Activation, codes: Tensor) -> Tensor:
        """The blocks from layer ``first`` on, in ever smaller slices: features grow with the resolution."""
        for index in range(first, self.num_layers - 1, 2):
            most = self._samples_at_once(self.layers[index].resolution)
            if most is not None and most < len(codes):
                slices = [slice(start, start + most) for start in range(0, len(codes), most)]
                parts = [_part(activation, s) for s in slices]
                drawn = [self._draw_blocks(index, a, codes[s]) for a, s in zip(parts, slices, strict=True)]
                return torch.cat(drawn)
            activation = self._block(index, activation, codes)
        return self.image(self.layer(self.num_layers - 1, activation, codes[:, -1]))

    def samples_at_once(self) -> int | None:
        found = [self._samples_at_once(resolution) for resolution in self.config.channels]
        return None if found[0] is None else min(most for most in found if most is not None)

    def _samples_at_once(self, resolution: int) -> int | None:
        """How many samples' features of this resolution stay within the cache; None: it does not matter."""
        if self.device.type != "cpu":
            return None
        itemsize = (self.activation_dtype or self.synthesis.const.dtype).itemsize
        return max(1, CACHE_BYTES // (self.config.channels[resolution] * resolution**2 * itemsize))


def _part(activation: Activation, samples: slice) -> Activation:
    features, rgb = activation
    return Activation(features[samples], None if rgb is None else rgb[samples])


def _layers(config: StyleGAN2Config) -> tuple[Layer, ...]:
    """Stage by stage, with the resolution of the convolution that reads the code."""
    num = 2 * len(config.channels)
    layers = []
    for index in range(num):
        resolution = min(4 * 2 ** ((index + 1) // 2), config.resolution)
        name = f"b{resolution}.conv{(index + 1) % 2}" if index < num - 1 else f"b{resolution}.torgb"
        layers.append(Layer(index, name, resolution, _group(index, num)))
    return tuple(layers)


def _group(index: int, num: int) -> Group:
    """HiGAN's four groups (of 14 layers: 0–1, 2–5, 6–11, 12–13), scaled to ``num`` layers."""
    position = (index + 0.5) / num * 14
    return "bottom" if position < 2 else "lower" if position < 6 else "upper" if position < 12 else "top"


class Linear(nn.Module):
    """A fully connected layer with an equalised learning rate (arXiv 1710.10196, §4.1)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
        activation: str = "linear",
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full([outputs], bias_init / lr_multiplier))
        self.weight_gain, self.bias_gain = lr_multiplier / math.sqrt(inputs), lr_multiplier
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias * self.bias_gain
        # The gain goes to the codes, which are smaller than the weight.
        if self.activation == "linear":
            return torch.addmm(bias, x * self.weight_gain, self.weight.T)
        return bias_act((x * self.weight_gain) @ self.weight.T, bias, activation=self.activation)


class Mapping(nn.Module):
    """``z`` → ``w``: normalised to unit second moment, then fully connected layers."""

    w_avg: Tensor

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        widths = [config.latent_dim] + [config.code_dim] * config.mapping_depth
        self.fc = nn.ModuleList(
            Linear(a, b, config.mapping_lr_multiplier, activation="lrelu") for a, b in pairwise(widths)
        )
        self.register_buffer("w_avg", torch.zeros(config.code_dim))

    def forward(self, z: Tensor) -> Tensor:
        x = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for fc in self.fc:
            x = fc(x)
        return x


class Synthesis(nn.Module):
    """The weights of all blocks; ``StyleGAN2.layer`` says in which order they run."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        resolutions = sorted(config.channels)
        widths = [config.channels[resolution] for resolution in resolutions]
        self.const = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        convs = [StyledConv(widths[0], widths[0], 4, config.code_dim)]
        for before, width, resolution in zip(widths, widths[1:], resolutions[1:], strict=False):
            convs.append(StyledConv(before, width, resolution, config.code_dim, up=2))
            convs.append(StyledConv(width, width, resolution, config.code_dim))
        self.convs = nn.ModuleList(convs)
        self.rgbs = nn.ModuleList(RGB(width, config.code_dim) for width in widths)


class StyledConv(nn.Module):
    """A modulated 3×3 convolution with its style, noise, bias and leaky ReLU."""

    resample_filter: Tensor
    noise_const: Tensor

    def __init__(self, inputs: int, outputs: int, resolution: int, code_dim: int, up: int = 1) -> None:
        super().__init__()
        self.affine = Linear(code_dim, inputs, bias_init=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("resample_filter", setup_filter())
        self.up = up

        self.cache = WeightCache()

    def styles(self, code: Tensor, dtype: torch.dtype) -> Tensor:
        """Styles ``[N, inputs]`` for features of this dtype: in float16, a sample's largest is 1.

        That changes nothing but what products may reach, for demodulation takes the factor out again.
        """
        styles: Tensor = self.affine(code)
        if dtype == torch.float16:
            styles = styles / styles.abs().amax(1, keepdim=True).clamp(min=1e-20)
        return styles

    def forward(
        self,
        x: Tensor,
        code: Tensor,
        noise_mode: str,
        next_styles: Tensor | None = None,
        modulated_by: Tensor | None = None,
    ) -> Tensor:
        """Features ``[N, inputs, H, W]`` → ``[N, outputs, H·up, W·up]``.

        Args:
            x: the features; or, where ``modulated_by`` gives this layer's styles, the features times them.
            code: ``[N, code_dim]``.
            noise_mode: as ``StyleGAN2.noise_mode``.
            next_styles: the result leaves multiplied by them.
            modulated_by: the styles with which ``x`` arrived multiplied; None: it arrived as it is.
        """
        noise = None
        if noise_mode == "const":
            noise = self.noise_const
        elif noise_mode == "random":
            noise = torch.randn(x.shape[0], 1, *self.noise_const.shape, dtype=x.dtype, device=x.device)
        weight: Prepared = self.cache.get(self.weight, x.dtype, self.up)
        return modulated_conv2d(
            x,
            weight.kernel,
            self.styles(code, x.dtype) if modulated_by is None else modulated_by,
            weight_square=weight.square,
            weight_gain=weight.gain,
            up=self.up,
            resample_filter=self.resample_filter,
            noise=None if noise is None else noise * self.noise_strength.to(noise.dtype),
            bias=self.bias,
            activation="lrelu",
            next_styles=next_styles,
            modulated=modulated_by is not None,
        )


class RGB(nn.Module):
    """Features → RGB, added to the RGB so far."""

    resample_filter: Tensor

    def __init__(self, inputs: int, code_dim: int) -> None:
        super().__init__()
        self.affine = Linear(code_dim, inputs, bias_init=1)
        self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.weight_gain = 1 / math.sqrt(inputs)
        self.register_buffer("resample_filter", setup_filter())

    def forward(self, x: Tensor, rgb: Tensor | None, code: Tensor) -> Tensor:
        styles = self.affine(code) * self.weight_gain
        return to_rgb(x, self.weight, styles, bias=self.bias, rgb=rgb, resample_filter=self.resample_filter)
