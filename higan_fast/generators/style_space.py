"""The style space of a generator (StyleSpace, Wu et al., arXiv 2011.12799), as a generator of its own.

Its layer codes are the styles, which all else sees as any layer codes: they are moved, measured and
differentiated layer by layer. A layer is one that reads a style, such as a modulated convolution.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.generators.around import Around
from higan_fast.generators.base import Activation, Generator, check_generator
from higan_fast.generators.style_based import StyleBased, StyleReader

# Styles of so many samples are taken at once.
BLOCK = 1024


class StyleSpace(Around[StyleBased]):
    """A StyleGAN whose layer codes are its styles, in standard deviations from their mean.

    A code ``[N, readers, most channels]`` holds the style of each reader, less the mean over some samples and
    divided by the standard deviation of each channel, and 0 behind its last channel. So a step of 1 along a
    single channel is one standard deviation of this channel, and all channels are alike. One that is the
    same in all samples is always 0, and nothing moves it.

    Attributes:
        network: the generator. It is in the same modes, and what is drawn is the same.
        readers: what reads the styles.
    """

    family: ClassVar[str] = "style space"
    shares_code: ClassVar[bool] = False
    mean: Tensor
    deviation: Tensor

    def __init__(self, network: StyleBased, mean: Tensor, deviation: Tensor) -> None:
        """
        Args:
            mean: of each channel of all readers, ``[C]``.
            deviation: standard deviation of each, ``[C]``.
        """
        super().__init__(network)
        self.readers: tuple[StyleReader, ...] = network.style_readers
        self.layers = tuple(reader.layer for reader in self.readers)
        self.code_dim = max(reader.channels for reader in self.readers)
        self.register_buffer("mean", mean.to(next(network.parameters())))
        self.register_buffer("deviation", deviation.to(next(network.parameters())))

    @classmethod
    def of(cls, generator: Generator, codes: NDArray[np.float32]) -> StyleSpace:
        """The style space of a generator, with means and standard deviations over samples.

        Args:
            generator: a StyleGAN, StyleGAN2 or StyleGAN3.
            codes: layer codes of the samples, ``[N, num_layers, code_dim]``.

        Raises:
            TypeError: if it is no generator.
            ValueError: if it has no styles, or there are fewer than 2 samples.
        """
        check_generator(generator)
        if not isinstance(generator, StyleBased):
            raise ValueError(
                f"stylespace (--stylespace): needs a generator whose layers have styles, StyleGAN, "
                f"StyleGAN2 or StyleGAN3, and this is {generator.family}; take --pca or --file"
            )
        if len(codes) < 2:
            raise ValueError(f"samples: got {len(codes)}, expected at least 2, over which styles vary")
        blocks = range(0, len(codes), BLOCK)
        with torch.inference_mode():
            parts = (_styles(generator, codes[start : start + BLOCK]) for start in blocks)
            first = next(parts)
            center = first.mean(dim=0)  # about which sums of squares lose nothing
            total, squares = (first - center).sum(dim=0), (first - center).square().sum(dim=0)
            for part in parts:
                total += (part - center).sum(dim=0)
                squares += (part - center).square().sum(dim=0)
        shift = total / len(codes)
        deviation = (squares / len(codes) - shift.square()).clamp(min=0).sqrt()
        still = deviation <= 1e-6 * (center + shift).abs()  # rounding
        mean, deviation = center + shift, deviation.masked_fill(still, 0)
        return cls(generator, *(tensor.clone() for tensor in (mean, deviation)))

    def layer_codes(
        self, w: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        return self.codes_of(self.network.layer_codes(w, truncation_psi, truncation_layers))

    def codes_of(self, codes: Tensor) -> Tensor:
        """Layer codes of the network ``[N, num_layers, code_dim]`` → those of its style space."""
        distance = self.network.styles(codes).to(codes.dtype) - self.mean
        standard = torch.where(self.deviation > 0, distance / self.deviation, 0.0)
        found = standard.new_zeros(len(codes), self.num_layers, self.code_dim)
        for reader, style in zip(self.readers, standard.split_with_sizes(self._channels(), 1), strict=True):
            found[:, reader.layer.index, : reader.channels] = style
        return found

    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        own = self._own(index)
        style = self.mean[own] + self.deviation[own] * code[:, : self.readers[index].channels]
        return self.network.styled(index, activation, style)

    def draw(self, codes: Tensor, first: int = 0, activation: Activation | None = None) -> Tensor:
        """As ``Generator.draw``, with all that the network does at once where it is drawn from codes."""
        if activation is None:
            activation = self.start(len(codes))
        later, before = self.readers[first:], sum(self._channels()[:first])
        joined = torch.cat([codes[:, one.layer.index, : one.channels] for one in later], dim=1)
        moves = self.deviation[before:] * joined
        return self.network.draw_styles(self.mean[before:], moves, first, activation)

    def features_of(self, index: int) -> int | None:
        return self.network.features_of(self.readers[index].code)

    def deviations(self, index: int) -> Tensor:
        """Returns the standard deviation of each channel that the reader ``index`` reads, ``[channels]``."""
        return self.deviation[self._own(index)]

    def _own(self, index: int) -> slice:
        """Where the channels of a reader stand among all."""
        before = sum(self._channels()[:index])
        return slice(before, before + self.readers[index].channels)

    def _channels(self) -> list[int]:
        return [reader.channels for reader in self.readers]


def _styles(generator: StyleBased, codes: NDArray[np.float32]) -> Tensor:
    """Of samples, ``[N, C]``, float64 but as exact as the network's."""
    like = next(generator.parameters())
    return generator.styles(torch.from_numpy(codes).to(like)).double()
