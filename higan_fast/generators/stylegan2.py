"""StyleGAN2 in its three architectures (Karras et al., arXiv 1912.04958, §4.1).

The network runs in stages, one per layer code. A block has two convolutions. Its RGB layer, if it has one,
reads the same code as the first convolution of the next block. So stage *l* is:

    0                   the convolution on the learned constant, of 4² pixels mostly
    1, 3, 5, …          RGB of the previous block, then the upsampling convolution of the next
    2, 4, 6, …          the second convolution of a block, and the end of its residual branch
    num_layers − 1      RGB of the last block
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from higan_fast.generators.base import Activation, Layer, layer_of_size
from higan_fast.generators.prepared import Kept
from higan_fast.generators.progressive_config import ProgressiveConfig
from higan_fast.generators.settings import (
    MOST_LAYERS,
    check_positive,
    check_whole,
    check_whole_or_none,
    check_word,
)
from higan_fast.generators.style_bank import (
    Bank,
    LayerStyle,
    Place,
    Styles,
    all_styles,
    moved_styles,
    plain_styles,
)
from higan_fast.generators.style_based import StyleBased, StyleReader
from higan_fast.generators.stylegan2_layers import RGB, Linear, Skip, StyledConv

Architecture = Literal["skip", "orig", "resnet"]


@dataclass(frozen=True)
class StyleGAN2Config(ProgressiveConfig):
    """The architecture: everything that cannot be read off the weights.

    Attributes:
        mapping_lr_multiplier: the mapping network's weights are stored divided by this.
        architecture: "skip" sums the RGB of all blocks; "orig" and "resnet" use that of the last block, and
            "resnet" has residual blocks (arXiv 1912.04958, §4.1).
        conv_clamp: bound on the outputs of convolutions and RGB, for float16 training; None: no bound.
        label_dim: number of classes; 0: unconditional.
        embed_dim: length of an embedded class; None: ``code_dim``.
        hidden_dim: width of the mapping network; None: ``code_dim``.
    """

    code_dim: int = 128
    mapping_depth: int = 4
    mapping_lr_multiplier: float = 0.01
    architecture: Architecture = "skip"
    conv_clamp: float | None = None
    label_dim: int = 0
    embed_dim: int | None = None
    hidden_dim: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("code_dim", self.code_dim)
        check_whole("mapping_depth", self.mapping_depth, 1, MOST_LAYERS)
        check_positive("mapping_lr_multiplier", self.mapping_lr_multiplier)
        check_word("architecture", self.architecture, get_args(Architecture))
        if self.conv_clamp is not None:
            check_positive("conv_clamp", self.conv_clamp)
        check_whole("label_dim", self.label_dim, 0)
        check_whole_or_none("embed_dim", self.embed_dim)
        check_whole_or_none("hidden_dim", self.hidden_dim)


class StyleGAN2(StyleBased):
    """StyleGAN2's generator.

    Attributes:
        noise_mode: ``"const"`` uses the stored noise images (for probing), ``"random"`` draws new ones at
            each call (for training), ``"none"`` adds no noise; synthesis raises ValueError on any other.
        activation_dtype: dtype of the features; parameters, codes, styles and RGB keep theirs.
    """

    family: ClassVar[str] = "stylegan2"

    def __init__(self, config: StyleGAN2Config | None = None) -> None:
        super().__init__()
        self.config = config = config or StyleGAN2Config()
        self.latent_dim, self.code_dim = config.latent_dim, config.code_dim
        self.resolution, self.label_dim = config.resolution, config.label_dim
        self.mapping_network = Mapping(config)
        self.synthesis = Synthesis(config)
        self.noise_mode = "const"
        self.activation_dtype: torch.dtype | None = None
        self.layers = _layers(config)

    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        synthesis, features = self.synthesis, activation.features
        style = rgb_styles = None
        if index < len(synthesis.convs):
            style = synthesis.convs[index].style(code, features.dtype)
        if (block := synthesis.rgb_at(index)) is not None:
            rgb_styles = synthesis.rgbs[block].styles(code)
        return self._layer(index, activation, style, rgb_styles)

    def _layer(
        self, index: int, activation: Activation, style: LayerStyle | None, rgb_styles: Tensor | None
    ) -> Activation:
        """Runs layer ``index``; it lacks one of the two styles, or has both."""
        synthesis = self.synthesis
        features, rgb, residual = activation
        if index % 2 == 1:
            if rgb_styles is not None:
                rgb = synthesis.rgbs[synthesis.rgb_at(index)](features, rgb, rgb_styles)
            residual = synthesis.residual(index // 2, features)
        if style is not None:
            features = synthesis.convs[index](features, style, self.noise_mode)
        if index % 2 == 1:
            return Activation(features, rgb, residual)
        return Activation(_added(features, residual), rgb)

    def image(self, activation: Activation) -> Tensor:
        assert activation.rgb is not None
        return activation.rgb

    def draw(self, codes: Tensor, first: int = 0, activation: Activation | None = None) -> Tensor:
        """Like ``Generator.draw``, with the styles of all layers at once."""
        if activation is None:
            activation = self.start(len(codes))
        return self._drawn(self._styles(codes, activation, first), first, activation)

    @property
    def style_readers(self) -> tuple[StyleReader, ...]:
        """The convolutions and RGB layers; each code is read by one of either, or by both, RGB first."""
        synthesis, found = self.synthesis, []
        for index, (code, is_conv, number) in enumerate(synthesis.places()):
            layer, reader = self.layers[code], (synthesis.convs if is_conv else synthesis.rgbs)[number]
            at = layer if is_conv else self.layers[code - 1]
            name = layer.name if is_conv else f"{at.name.partition('.')[0]}.torgb"
            own = Layer(index, name, at.resolution, layer.group, at.size)
            found.append(StyleReader(own, code, len(reader.affine.weight)))
        return tuple(found)

    def styles(self, codes: Tensor) -> Tensor:
        """As in ``StyleBased``; those of RGB layers have the gain of their weights."""
        return plain_styles(self.synthesis, self.synthesis.bank, codes)

    def styled(self, index: int, activation: Activation, style: Tensor) -> Activation:
        synthesis, (code, is_conv, number) = self.synthesis, self.synthesis.places()[index]
        features, rgb, residual = activation
        if not is_conv:
            return Activation(features, synthesis.rgbs[number](features, rgb, style), residual)
        conv = synthesis.convs[number]
        if code % 2 == 1:  # the first of its block
            residual = synthesis.residual(code // 2, features)
        features = conv(features, conv.style_of(style, features.dtype), self.noise_mode)
        if code % 2 == 1:
            return Activation(features, rgb, residual)
        return Activation(_added(features, residual), rgb)

    def draw_styles(self, center: Tensor, moves: Tensor, first: int, activation: Activation) -> Tensor:
        code, is_conv, number = self.synthesis.places()[first]
        if is_conv and code % 2 == 1:  # its RGB ran before, and no block begins behind that
            channels = len(self.synthesis.convs[number].affine.weight)
            activation = self.styled(first, activation, center[:channels] + moves[:, :channels])
            return self.draw_styles(center[channels:], moves[:, channels:], first + 1, activation)
        synthesis: Any = self.synthesis
        styles = moved_styles(synthesis, synthesis.bank, center, moves, activation.features.dtype, first)
        return self._drawn(styles, code, activation)

    def _styles(self, codes: Tensor, activation: Activation, first: int) -> Styles:
        """The styles of all layers from ``first`` on, for features like these."""
        synthesis: Any = self.synthesis
        return all_styles(synthesis, synthesis.bank, codes, activation.features.dtype, first)

    def _drawn(self, styles: Styles, first: int, activation: Activation, ready: bool = False) -> Tensor:
        """Runs the layers from ``first`` on, by block.

        A block's first convolution modulates for its second. That one adds the block's RGB and modulates for
        the next block; ``ready``: the activation comes from one that did.
        """
        if first % 2 == 0 and first < self.num_layers:  # in the middle of a block
            style = styles.convs[first]
            assert style is not None
            activation, ready = self._end(first, activation, style, styles, modulated=False)
            first += 1
        for index in range(first, self.num_layers - 1, 2):
            if parts := self.slices(index, len(activation.features)):
                images = (
                    self._drawn(styles.part(part), index, activation.part(part), ready) for part in parts
                )
                return torch.cat(list(images))
            activation, ready = self._block(index, activation, styles, ready)
        if first < self.num_layers and not ready:
            activation = self._layer(self.num_layers - 1, activation, None, styles.rgbs[-1])
        return self.image(activation)

    def _block(
        self, index: int, activation: Activation, styles: Styles, ready: bool
    ) -> tuple[Activation, bool]:
        """Runs both layers of the block that begins at layer ``index``; ``ready`` as in ``_drawn``."""
        synthesis: Any = self.synthesis
        features, rgb, _ = activation
        style, next_style = styles.convs[index], styles.convs[index + 1]
        assert style is not None and next_style is not None
        if not ready and (block := synthesis.rgb_at(index)) is not None:
            rgb = synthesis.rgbs[block](features, rgb, styles.rgbs[block])
        residual = synthesis.residual(index // 2, features)
        features = synthesis.convs[index](
            features, style, self.noise_mode, next_styles=next_style.styles, modulated=ready
        )
        activation = Activation(features, rgb, residual)
        return self._end(index + 1, activation, next_style, styles, modulated=True)

    def _end(
        self, index: int, activation: Activation, style: LayerStyle, styles: Styles, modulated: bool
    ) -> tuple[Activation, bool]:
        """Runs the last layer of a block, ``index``, and what the next block needs of it.

        Returns the activation, and whether it is modulated and has the RGB already. In residual networks it
        is not: there the shortcut is added first, and starts from features that are not modulated.
        """
        synthesis: Any = self.synthesis
        conv, block = synthesis.convs[index], synthesis.rgb_at(index + 1)
        features, rgb, residual = activation
        if synthesis.skips is not None:
            features = conv(features, style, self.noise_mode, modulated=modulated)
            return Activation(_added(features, residual), rgb), False
        following = styles.convs[index + 1] if index + 1 < len(synthesis.convs) else None
        next_styles = None if following is None else following.styles
        if block is None:
            features = conv(features, style, self.noise_mode, next_styles=next_styles, modulated=modulated)
            return Activation(features, rgb), True
        kept, rgb = conv.end_block(
            features, style, self.noise_mode, synthesis.rgbs[block], styles.rgbs[block], rgb,
            next_styles=next_styles, modulated=modulated,
        )  # fmt: skip
        return Activation(features if kept is None else kept, rgb), True  # image() reads only the RGB


def _layers(config: StyleGAN2Config) -> tuple[Layer, ...]:
    """Lists the stages, with the resolution of the convolution that reads each code."""
    num = 2 * len(config.channels)
    layers = []
    for index in range(num):
        block = min(4 * 2 ** ((index + 1) // 2), max(config.channels))
        name = f"b{block}.conv{(index + 1) % 2}" if index < num - 1 else f"b{block}.torgb"
        layers.append(layer_of_size(index, name, config.size_at(block), num))
    return tuple(layers)


class Mapping(nn.Module):
    """``z`` → ``w``: normalised, concatenated with the normalised class embedding, then fully connected."""

    w_avg: Tensor

    def __init__(self, config: Any) -> None:
        """``config``: StyleGAN2's, or StyleGAN3's, whose mapping is the same."""
        super().__init__()
        embed_dim = (config.embed_dim or config.code_dim) if config.label_dim else 0
        hidden_dim = config.hidden_dim or config.code_dim
        widths = [config.latent_dim + embed_dim, *[hidden_dim] * (config.mapping_depth - 1), config.code_dim]
        self.embed = Linear(config.label_dim, embed_dim) if config.label_dim else None
        self.fc = nn.ModuleList(
            Linear(a, b, config.mapping_lr_multiplier, activation="lrelu") for a, b in pairwise(widths)
        )
        self.register_buffer("w_avg", torch.zeros(config.code_dim))

    def forward(self, z: Tensor, one_hot: Tensor) -> Tensor:
        x = _normalized(z)
        if self.embed is not None:
            x = torch.cat([x, _normalized(self.embed(one_hot))], 1)
        for fc in self.fc:
            x = fc(x)
        return x


def _normalized(x: Tensor) -> Tensor:
    """Scales each row to unit second moment."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class Synthesis(nn.Module):
    """The weights of all blocks; ``StyleGAN2.layer`` defines the order in which they run."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        resolutions = sorted(config.channels)
        widths = [config.channels[resolution] for resolution in resolutions]
        residual = config.architecture == "resnet"
        clamp = config.conv_clamp
        self.const = nn.Parameter(torch.randn(1, widths[0], *config.start_size))
        convs = [StyledConv(widths[0], widths[0], config.start_size, config.code_dim, clamp=clamp)]
        for before, width, resolution in zip(widths, widths[1:], resolutions[1:], strict=False):
            size = config.size_at(resolution)
            convs.append(StyledConv(before, width, size, config.code_dim, up=2, clamp=clamp))
            convs.append(StyledConv(width, width, size, config.code_dim, clamp=clamp, half=residual))
        self.convs = nn.ModuleList(convs)
        with_rgb = widths if config.architecture == "skip" else widths[-1:]
        self.rgbs = nn.ModuleList(
            RGB(width, config.code_dim, clamp, config.image_channels) for width in with_rgb
        )
        self.first_rgb = len(widths) - len(with_rgb)  # the first block that has one
        self.skips = nn.ModuleList(Skip(a, b) for a, b in pairwise(widths)) if residual else None
        self.bank: Kept[Bank] = Kept()

    def rgb_at(self, layer: int) -> int | None:
        """Returns which RGB layer reads the code of this layer; None: none does."""
        block = layer // 2 - self.first_rgb
        return block if layer % 2 == 1 and block >= 0 else None

    def places(self) -> tuple[Place, ...]:
        """Returns which layers read each code, in the order of the codes."""
        found = []
        for code in range(len(self.convs) + 1):
            if (rgb := self.rgb_at(code)) is not None:
                found.append(Place(code, False, rgb))
            if code < len(self.convs):
                found.append(Place(code, True, code))
        return tuple(found)

    def residual(self, block: int, features: Tensor) -> Tensor | None:
        """Returns the shortcut from this block's features to the end of the next block, if there is one."""
        if self.skips is None or block == len(self.skips):
            return None
        residual: Tensor = self.skips[block](features)
        return residual


def _added(features: Tensor, residual: Tensor | None) -> Tensor:
    return features if residual is None else features + residual
