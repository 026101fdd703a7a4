"""StyleGAN2 with skip connections to RGB (Karras et al., arXiv 1912.04958).

Its parts run as stages, one for each layer code. A block has two convolutions; its RGB reads the
code of the next block's first convolution, so stage *l* is:

    0                   the 4² convolution on the learned constant
    1, 3, 5, …          RGB of the block just ended, then the upsampling convolution of the next
    2, 4, 6, …          the second convolution of a block
    num_layers − 1      RGB of the last block
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from higan_fast.generators.base import Activation, Generator, Group, Layer, moved_codes
from higan_fast.generators.stylegan2_layers import RGB, Linear, StyledConv

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

    def walk(self, codes: Tensor, first: int = 0, activation: Activation | None = None) -> Activation:
        """As layer by layer, but a block's first convolution leaves its result modulated for the second."""
        if activation is None:
            activation = self.start(codes.shape[0])
        if first == self.num_layers:
            return activation
        if first % 2 == 0:  # in the middle of a block
            activation = self.layer(first, activation, codes[:, first])
        for index in range(first + 1 - first % 2, self.num_layers - 1, 2):
            activation = self._block(index, activation, codes)
        return self.layer(self.num_layers - 1, activation, codes[:, -1])

    def fork(
        self, index: int, activation: Activation, codes: Tensor, moves: Tensor, steps: Tensor
    ) -> Activation:
        """At the fork all perturbations of a sample read the same features, and share their styles' sums."""
        synthesis: Any = self.synthesis
        features, rgb = activation
        moved = moved_codes(codes, moves, steps)  # [N M T, L, D]
        along = (codes[:, index], moves[:, index], steps)
        if index % 2 == 1:
            rgb = synthesis.rgbs[index // 2].fork(features, rgb, *along)
        elif rgb is not None:
            rgb = rgb.repeat_interleave(len(moves) * len(steps), 0)
        if index == self.num_layers - 1:
            return Activation(features, rgb)  # nobody reads these features any more
        conv = synthesis.convs[index]
        if index % 2 == 0:
            features = conv.fork(features, *along, self.noise_mode)
            return self.walk(moved, index + 1, Activation(features, rgb))
        after, next_code = synthesis.convs[index + 1], moved[:, index + 1]
        next_styles = after.styles(next_code, features.dtype)
        features = conv.fork(features, *along, self.noise_mode, next_styles)
        features = after(features, next_code, self.noise_mode, modulated_by=next_styles)
        return self.walk(moved, index + 2, Activation(features, rgb))

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
                return torch.cat([self._draw_blocks(index, activation.part(s), codes[s]) for s in slices])
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
