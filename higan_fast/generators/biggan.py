"""BigGAN (Brock et al., arXiv 1809.11096): class-conditional, with a part of the latent for each block.

The layer codes are the inputs of the linear layer and of the blocks:

                 hierarchical latents                            otherwise
    layer 0      chunk 0 of the latent                           the whole latent
    layer l      chunk l of the latent, then the class           the class

The class is embedded or one-hot. It is part of the codes, so it can be perturbed layer by layer as well.
Codes shorter than ``code_dim`` are padded with zeros at the end, which the layer ignores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from higan_fast.generators.base import Layer, group_of
from higan_fast.generators.biggan_layers import (
    BlockGenerator,
    CodeNorm,
    Conv,
    Last,
    make_attention,
)
from higan_fast.generators.settings import (
    check_attention,
    check_blocks,
    check_flag,
    check_positive,
    check_resolution,
    check_whole,
    check_whole_or_none,
    with_tuples,
)

# Epsilon of the normalisation before the image, independent of the blocks': as in the official PyTorch code.
LAST_EPSILON = 1e-5


@dataclass(frozen=True)
class BigGANConfig:
    """The architecture: everything that cannot be read off the weights.

    Attributes:
        channels: number of channels of the first features, then after each block.
        latent_dim: length of a latent; with ``hierarchical``, a multiple of ``len(channels)``.
        label_dim: number of classes.
        embed_dim: length of an embedded class; None: the blocks read the class as one-hot.
        hierarchical: whether each block reads a chunk of the latent in addition to the class.
        attention: layers followed by self-attention; 0 is the linear layer, 1 the first block.
        bottom_width: height and width of the first features.
        epsilon: added to the variances in the blocks.
    """

    channels: tuple[int, ...]
    latent_dim: int
    label_dim: int
    embed_dim: int | None = None
    hierarchical: bool = True
    attention: tuple[int, ...] = ()
    bottom_width: int = 4
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_blocks(self.channels)
        check_whole("latent_dim", self.latent_dim)
        check_whole("label_dim", self.label_dim)
        check_whole_or_none("embed_dim", self.embed_dim)
        check_flag("hierarchical", self.hierarchical)
        check_whole("bottom_width", self.bottom_width)
        check_resolution(self.resolution)
        check_attention(self.attention, self.channels, self.sizes)
        check_positive("epsilon", self.epsilon, below=1)
        if self.hierarchical and self.latent_dim % len(self.channels):
            raise ValueError(
                f"latent_dim: got {self.latent_dim}, expected a multiple of {len(self.channels)}: "
                "one chunk for each block, and one for the first features"
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Height and width of each layer's features."""
        return tuple(self.bottom_width * 2**index for index in range(len(self.channels)))

    @property
    def resolution(self) -> int:
        return self.sizes[-1]

    @property
    def chunk_dim(self) -> int:
        """Number of latent entries read by each layer that reads the latent."""
        return self.latent_dim // len(self.channels) if self.hierarchical else self.latent_dim

    @property
    def block_dim(self) -> int:
        """Length of the code that a block reads."""
        return (self.embed_dim or self.label_dim) + (self.chunk_dim if self.hierarchical else 0)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> BigGANConfig:
        """Rebuilds the config from ``asdict``'s result after a JSON round trip (tuples become lists).

        Raises:
            ValueError: if a setting is not what it may be.
        """
        return cls(**with_tuples(values))


class BigGAN(BlockGenerator):
    """BigGAN's generator. Its ``w`` is the latent followed by the class (embedded, or else one-hot).

    Truncation scales the latent part of the codes towards 0 and leaves the class unchanged. The paper
    resamples large values instead, but then a code would no longer be a function of its latent.
    """

    family: ClassVar[str] = "biggan"
    shares_code: ClassVar[bool] = False

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__(config)
        self.code_dim = max(config.chunk_dim, config.block_dim)
        self.embedding = None
        if config.embed_dim is not None:
            self.embedding = nn.Linear(config.label_dim, config.embed_dim, bias=False)
        self.first = nn.Linear(config.chunk_dim, config.channels[0] * config.bottom_width**2)
        self.blocks = nn.ModuleList(
            Block(inputs, outputs, config.block_dim, config.epsilon)
            for inputs, outputs in zip(config.channels, config.channels[1:], strict=False)
        )
        self.attention = make_attention(config.channels, config.attention)
        self.last = Last(config.channels[-1], LAST_EPSILON)
        self.layers = _layers(config)

    @property
    def w_dim(self) -> int:
        return self.latent_dim + (self.config.embed_dim or self.label_dim)

    def mapping(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents ``[N, latent_dim]`` and classes → ``w`` ``[N, w_dim]``, their concatenation."""
        self.check_latents(z)
        classes = self.one_hot(label, z)
        return torch.cat([z, classes if self.embedding is None else self.embedding(classes)], 1)

    def layer_codes(
        self, w: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        """``w`` ``[N, w_dim]`` → layer codes ``[N, num_layers, code_dim]``.

        ``truncation_psi`` scales the latent part on the first ``truncation_layers`` layers (None: all).
        """
        z, classes = w[:, : self.latent_dim], w[:, self.latent_dim :]
        truncated = self.num_layers if truncation_layers is None else truncation_layers
        codes = []
        for index in range(self.num_layers):
            chunk = z[:, index * self.config.chunk_dim : (index + 1) * self.config.chunk_dim]
            if index < truncated:
                chunk = chunk * truncation_psi
            code = chunk if index == 0 else torch.cat([chunk, classes], 1)
            codes.append(F.pad(code, (0, self.code_dim - code.shape[1])))
        return torch.stack(codes, 1)


def _layers(config: BigGANConfig) -> tuple[Layer, ...]:
    num, sizes = len(config.channels), config.sizes
    names = ["linear", *(f"b{size}" for size in sizes[1:])]
    return tuple(Layer(i, names[i], sizes[i], group_of(i, num)) for i in range(num))


class Block(nn.Module):
    """A residual block that doubles the resolution: ``[N, I, H, W]`` → ``[N, O, 2H, 2W]``."""

    def __init__(self, inputs: int, outputs: int, code_dim: int, epsilon: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(CodeNorm(width, code_dim, epsilon) for width in (inputs, outputs))
        self.convs = nn.ModuleList([Conv(inputs, outputs, 3, up=True), Conv(outputs, outputs, 3)])
        self.shortcut = Conv(inputs, outputs, 1)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv(norm(y, code))
        # A 1×1 convolution commutes with nearest-neighbour upsampling.
        return y + F.interpolate(self.shortcut(x), scale_factor=2, mode="nearest")
