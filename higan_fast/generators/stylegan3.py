"""StyleGAN3, configurations T and R (Karras et al., arXiv 2106.12423): layers of continuous signals.

The first code turns and shifts the plane on which Fourier features are drawn. Each further layer is a
modulated convolution and a filtered leaky ReLU; the last one gives RGB. All have a code of their own, so that
published networks have 16. Features reach beyond the image, and there is no noise.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from higan_fast.generators.base import Activation, Layer, group_of
from higan_fast.generators.prepared import Kept
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
from higan_fast.generators.stylegan2 import Mapping
from higan_fast.generators.stylegan3_config import StyleGAN3Config
from higan_fast.generators.stylegan3_layers import FilteredConv, FourierInput, ScaledRGB


class StyleGAN3(StyleBased):
    """StyleGAN3's generator.

    Attributes:
        activation_dtype: dtype of the features after the Fourier features; parameters, codes, styles and RGB
            keep theirs.
    """

    family: ClassVar[str] = "stylegan3"

    def __init__(self, config: StyleGAN3Config | None = None) -> None:
        super().__init__()
        self.config = config = config or StyleGAN3Config()
        self.latent_dim, self.code_dim = config.latent_dim, config.code_dim
        self.resolution, self.label_dim = config.resolution, config.label_dim
        self.mapping_network = Mapping(config)
        self.synthesis = Synthesis(config)
        self.layers = _layers(config)
        first, *_ = signals = config.signals
        left = [signal.channels * signal.size**2 for signal in (first, *signals)]
        self.most_features = tuple(map(max, left, [left[0], *left]))  # with what comes in

    def move_image(self, rotate: float = 0.0, translate: tuple[float, float] = (0.0, 0.0)) -> None:
        """Turns and shifts all images, by the plane of the Fourier features; replaces what was set before.

        The arguments are those of ``gen_images.py`` in NVlabs' code. They are part of the weights, and so of
        files and fingerprints. What comes into sight was beyond the image before.

        Args:
            rotate: in degrees, counterclockwise.
            translate: to the right and down, in widths of the image.
        """
        angle = math.radians(rotate)
        moved = torch.tensor(
            [
                [math.cos(angle), math.sin(angle), translate[0]],
                [-math.sin(angle), math.cos(angle), translate[1]],
                [0, 0, 1],
            ],
            dtype=torch.float64,
        )
        with torch.no_grad():
            self.synthesis.input.transform.copy_(moved.inverse())

    def start(self, num: int) -> Activation:
        """Returns nothing for each sample: the first layer draws its features from its code alone."""
        weight = self.synthesis.input.weight
        return Activation(weight.new_empty(num, 0, 1, 1, dtype=self.activation_dtype or weight.dtype))

    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        synthesis = self.synthesis
        if index == 0:
            return self._layer(index, activation, synthesis.input.affine(code))
        if index == self.num_layers - 1:
            return self._layer(index, activation, synthesis.rgb.styles(code))
        return self._layer(
            index, activation, synthesis.convs[index - 1].style(code, activation.features.dtype)
        )

    def _layer(self, index: int, activation: Activation, style: Tensor | LayerStyle) -> Activation:
        features, synthesis = activation.features, self.synthesis
        if index == 0:
            return Activation(synthesis.input(style).to(features.dtype))
        if index == self.num_layers - 1:
            return Activation(synthesis.rgb(features, style))
        return Activation(synthesis.convs[index - 1](features, style))

    def image(self, activation: Activation) -> Tensor:
        """Returns what the last layer gave."""
        return activation.features

    def draw(self, codes: Tensor, first: int = 0, activation: Activation | None = None) -> Tensor:
        """Like ``Generator.draw``, with the styles of all layers at once."""
        if activation is None:
            activation = self.start(len(codes))
        synthesis = self.synthesis
        styles = all_styles(synthesis, synthesis.bank, codes, activation.features.dtype, first)
        return self._drawn(styles, first, activation)

    @property
    def style_readers(self) -> tuple[StyleReader, ...]:
        """All layers; the style of the first has the cosine and the sine of an angle, and a shift."""
        readers = self.synthesis.readers
        return tuple(
            StyleReader(layer, layer.index, len(reader.affine.weight))
            for layer, reader in zip(self.layers, readers, strict=True)
        )

    def styles(self, codes: Tensor) -> Tensor:
        """As in ``StyleBased``; those of RGB have the gain of its weight."""
        return plain_styles(self.synthesis, self.synthesis.bank, codes)

    def styled(self, index: int, activation: Activation, style: Tensor) -> Activation:
        if 0 < index < self.num_layers - 1:
            conv = self.synthesis.convs[index - 1]
            return self._layer(index, activation, conv.style_of(style, activation.features.dtype))
        return self._layer(index, activation, style)

    def draw_styles(self, center: Tensor, moves: Tensor, first: int, activation: Activation) -> Tensor:
        synthesis, dtype = self.synthesis, activation.features.dtype
        return self._drawn(
            moved_styles(synthesis, synthesis.bank, center, moves, dtype, first), first, activation
        )

    def _drawn(self, styles: Styles, first: int, activation: Activation) -> Tensor:
        """Runs the layers from ``first`` on."""
        by_layer = (styles.rgbs[0], *styles.convs, styles.rgbs[1])
        for index in range(first, self.num_layers):
            if parts := self.slices(index, len(activation.features)):
                images = (self._drawn(styles.part(part), index, activation.part(part)) for part in parts)
                return torch.cat(list(images))
            style = by_layer[index]
            assert style is not None
            activation = self._layer(index, activation, style)
        return self.image(activation)

    def features_of(self, index: int) -> int:
        """Of what comes in, or goes out, whichever are more."""
        return self.most_features[index]


class Synthesis(nn.Module):
    """The weights of all layers.

    Attributes:
        bank: what their styles are made of.
    """

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__()
        signals, depth = config.signals, len(config.channels)
        self.input = FourierInput(signals[0], config.code_dim)
        self.convs = nn.ModuleList(FilteredConv(config, index) for index in range(depth))
        self.rgb = ScaledRGB(signals[depth - 1], config)
        self.bank: Kept[Bank] = Kept()

    @property
    def readers(self) -> tuple[FourierInput | FilteredConv | ScaledRGB, ...]:
        """All layers, in the order in which they run."""
        return (self.input, *self.convs, self.rgb)

    @property
    def rgbs(self) -> tuple[FourierInput | ScaledRGB, ...]:
        """The layers that do not demodulate, as ``style_bank`` calls them."""
        return self.input, self.rgb

    def places(self) -> tuple[Place, ...]:
        """Returns which layer reads each code."""
        convs = (Place(index + 1, True, index) for index in range(len(self.convs)))
        return (Place(0, False, 0), *convs, Place(len(self.convs) + 1, False, 1))


def _layers(config: StyleGAN3Config) -> tuple[Layer, ...]:
    """Lists the layers with their sampling rates; names have the size with what is beyond the image."""
    signals = config.signals
    names = ["input", *(f"L{i}_{signal.size}_{signal.channels}" for i, signal in enumerate(signals))]
    rates = [signals[0].rate, *(signal.rate for signal in signals)]
    return tuple(
        Layer(index, name, rate, group_of(index, len(names)))
        for index, (name, rate) in enumerate(zip(names, rates, strict=True))
    )
