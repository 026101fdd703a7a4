"""The common base of StyleGAN and StyleGAN2: a mapping to one ``w`` for all layers, and a constant input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from higan_fast.generators.base import Activation, Generator


class StyleBased(Generator):
    """A generator with a mapping network to ``w`` and layers that start from a learned constant.

    Attributes:
        config: its ``channels`` are ``{resolution: channels}``.
        mapping_network: latents and one-hot labels → ``w``; its ``w_avg`` is the centre of truncation.
        synthesis: holds the constant, ``const`` ``[1, C, 4, 4]``, and the layers.
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
        resolution = self.layers[index].resolution
        channels: int = self.config.channels[resolution]
        return channels * resolution**2
