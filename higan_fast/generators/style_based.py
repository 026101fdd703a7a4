"""The common base of the StyleGANs: a mapping to one ``w`` for all layers, which read it as styles."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import torch
from torch import Tensor

from higan_fast.generators.base import Activation, Generator, Layer


class StyleReader(NamedTuple):
    """A convolution, or whatever else in a generator reads one style.

    Attributes:
        layer: its place among all of them, its name, and the resolution at which it works.
        code: which layer code its style is read off.
        channels: the length of its style.
    """

    layer: Layer
    code: int
    channels: int


class StyleBased(Generator):
    """A generator with a mapping network to ``w``, whose layers start from a learned constant.

    Each layer code is read by affine transforms, and what those give, the styles, can be given in its place:
    ``styles`` → ``draw_styles``, or layer by layer ``styled``. A layer code may be read for several styles.

    Attributes:
        config: its ``channels`` are ``{resolution: channels}``.
        mapping_network: latents and one-hot labels → ``w``; its ``w_avg`` is the centre of truncation.
        synthesis: holds the constant, ``const`` ``[1, C, *start_size]``, and the layers.
    """

    config: Any
    mapping_network: Any
    synthesis: Any

    def mapping(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        self.check_latents(z)
        w: Tensor = self.mapping_network(z, self.one_hot(label, z))
        return w

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

    def features_of(self, index: int) -> int:
        layer, config = self.layers[index], self.config
        height, width = layer.shape
        channels: int = config.channels[4 * max(height, width) // max(config.start_size)]
        return channels * height * width

    @property
    def image_shape(self) -> tuple[int, int, int]:
        shape: tuple[int, int, int] = self.config.image_shape
        return shape

    @property
    @abc.abstractmethod
    def style_readers(self) -> tuple[StyleReader, ...]:
        """All that read a style, in the order in which they run."""

    @abc.abstractmethod
    def styles(self, codes: Tensor) -> Tensor:
        """Layer codes ``[N, num_layers, code_dim]`` → styles of all ``style_readers``, joined: ``[N, C]``."""

    @abc.abstractmethod
    def styled(self, index: int, activation: Activation, style: Tensor) -> Activation:
        """Runs the style reader ``index`` with its style ``[N, channels]``."""

    @abc.abstractmethod
    def draw_styles(self, center: Tensor, moves: Tensor, first: int, activation: Activation) -> Tensor:
        """Returns the images of the styles ``center + moves``, from the activation that enters ``first``.

        Args:
            center: of the style readers from ``first`` on, ``[C']``.
            moves: likewise, ``[N, C']``.
            first: the first style reader to run.
            activation: what enters it.
        """
