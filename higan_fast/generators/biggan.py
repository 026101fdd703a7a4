"""BigGAN (Brock et al., arXiv 1809.11096): class-conditional, with a part of the latent for each block.

Its layer codes are what the linear layer and the blocks are fed. With hierarchical latents these are

    layer 0      the latent's first chunk
    layer l      the latent's chunk l, then the class embedding

and without them the whole latent, then nothing but the class. So the class can be perturbed as well, layer by
layer. A layer that reads less than others has zeros at the end of its code, which it does not look at.
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
    check_architecture,
    make_attention,
)

# Of the normalisation before the image, whatever the blocks' own is: as in the official PyTorch code.
LAST_EPSILON = 1e-5


@dataclass(frozen=True)
class BigGANConfig:
    """The architecture: everything that the weights do not say by themselves.

    Attributes:
        channels: of the first features, and after each block.
        latent_dim: length of a latent; with ``hierarchical``, a multiple of ``len(channels)``.
        label_dim: number of classes.
        embed_dim: length of an embedded class; None: the blocks read the class as one-hot.
        hierarchical: whether each block reads a chunk of the latent beside its class.
        attention: after which layers self-attention runs; 1 is the first block.
        bottom_width: height and width of the first features.
        epsilon: added to the blocks' variances.
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
        check_architecture(self.channels, self.latent_dim, self.label_dim, self.attention)
        if self.hierarchical and self.latent_dim % len(self.channels):
            raise ValueError(
                f"latent_dim: got {self.latent_dim}, expected a multiple of {len(self.channels)}: "
                "one chunk for each block, and one for the first features"
            )

    @property
    def resolution(self) -> int:
        return self.bottom_width * 2 ** (len(self.channels) - 1)

    @property
    def chunk_dim(self) -> int:
        """How much of the latent each layer reads that reads any."""
        return self.latent_dim // len(self.channels) if self.hierarchical else self.latent_dim

    @property
    def block_dim(self) -> int:
        """How long the code is that a block reads."""
        return (self.embed_dim or self.label_dim) + (self.chunk_dim if self.hierarchical else 0)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> BigGANConfig:
        """What ``asdict`` gave, after JSON has turned tuples into lists."""
        tuples = {name: tuple(values[name]) for name in ("channels", "attention")}
        return cls(**{**values, **tuples})


class BigGAN(BlockGenerator):
    """BigGAN's generator. Its ``w`` is the latent, then the class: embedded, or one-hot where it is not.

    Truncation scales the latent's part of the codes, around 0, and leaves the class as it is; the paper
    draws values that are too large anew, and then a code is no longer a function of its latent.
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
        """Latents ``[N, latent_dim]`` and classes → ``w``: both, one behind the other."""
        self.check_latents(z)
        classes = self.one_hot(label, z)
        return torch.cat([z, classes if self.embedding is None else self.embedding(classes)], 1)

    def layer_codes(
        self, w: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        """``w`` ``[N, w_dim]`` → layer codes ``[N, num_layers, code_dim]``.

        Their latents' part is multiplied by ``truncation_psi`` on the first ``truncation_layers`` layers
        (None: on all), and by 1 on the others.
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
    num = len(config.channels)
    sizes = [config.bottom_width * 2**index for index in range(num)]
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
        # A 1×1 convolution gives the same before upsampling as after it.
        return y + F.interpolate(self.shortcut(x), scale_factor=2, mode="nearest")
