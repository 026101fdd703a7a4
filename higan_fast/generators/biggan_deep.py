"""BigGAN-deep (Brock et al., arXiv 1809.11096, §B): four-layer blocks that all read the whole latent.

The linear layer and every block read the same code, apart from truncation: the latent, the class embedding
and, where the batch statistics depend on the truncation, the position in their tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
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
    position_of,
)
from higan_fast.generators.settings import (
    check_attention,
    check_blocks,
    check_flag,
    check_positive,
    check_resolution,
    check_whole,
    with_tuples,
)
from higan_fast.wording import in_words


@dataclass(frozen=True)
class BigGANDeepConfig:
    """The architecture: everything that cannot be read off the weights.

    Attributes:
        channels: number of channels of the first features, then after each block; never increasing.
        up: for each block, whether it doubles the resolution.
        latent_dim: length of a latent.
        label_dim: number of classes.
        embed_dim: length of an embedded class.
        attention: layers followed by self-attention; 0 is the linear layer, 1 the first block.
        bottom_width: height and width of the first features.
        num_statistics: number of truncations from 0 to 1 with their own batch statistics; 1: one set for all.
        epsilon: added to the variances in the blocks.
        last_epsilon: added to the variances in the normalisation before the image.
    """

    channels: tuple[int, ...]
    up: tuple[bool, ...]
    latent_dim: int
    label_dim: int
    embed_dim: int
    attention: tuple[int, ...] = ()
    bottom_width: int = 4
    num_statistics: int = 51
    epsilon: float = 1e-4
    last_epsilon: float = 1e-4

    def __post_init__(self) -> None:
        check_blocks(self.channels)
        check_whole("latent_dim", self.latent_dim)
        check_whole("label_dim", self.label_dim)
        check_whole("embed_dim", self.embed_dim)
        check_whole("bottom_width", self.bottom_width)
        check_whole("num_statistics", self.num_statistics)
        check_positive("epsilon", self.epsilon, below=1)
        check_positive("last_epsilon", self.last_epsilon, below=1)
        if not isinstance(self.up, tuple | list):
            raise ValueError(f"up: got {in_words(self.up)}, expected a list of true and false")
        if len(self.up) != len(self.channels) - 1:
            raise ValueError(
                f"up: got {len(self.up)} entries, expected {len(self.channels) - 1}, one for each block"
            )
        for index, up in enumerate(self.up):
            check_flag(f"up[{index}]", up)
        check_resolution(self.resolution)
        check_attention(self.attention, self.channels, self.sizes)
        for index, (before, after) in enumerate(zip(self.channels, self.channels[1:], strict=False)):
            if not 0 < after <= before or before < 4:
                raise ValueError(
                    f"channels: block {index} has {before} inputs and {after} outputs; expected at least 4 "
                    "inputs and no more outputs than inputs, because the shortcut keeps the first channels"
                )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Height and width of each layer's features."""
        doublings = accumulate(self.up, initial=0)
        return tuple(self.bottom_width * 2**number for number in doublings)

    @property
    def resolution(self) -> int:
        return self.sizes[-1]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> BigGANDeepConfig:
        """Rebuilds the config from ``asdict``'s result after a JSON round trip (tuples become lists).

        Raises:
            ValueError: if a setting is not what it may be.
        """
        return cls(**with_tuples(values))


class BigGANDeep(BlockGenerator):
    """BigGAN-deep's generator. Its ``w`` is the latent followed by the embedded class.

    Truncation scales the latent part of the codes towards 0, as the published examples do, and leaves the
    class unchanged. Where the batch statistics depend on the truncation, each layer's code ends with their
    position (``Statistics``), an entry more than ``w`` has: so a layer uses the statistics of the truncation
    that its own code was made with, and the normalisation before the image those of the last layer. A step
    along a direction in ``w`` leaves the position as it is.
    """

    family: ClassVar[str] = "biggan-deep"

    def __init__(self, config: BigGANDeepConfig) -> None:
        super().__init__(config)
        self.code_dim = self.w_dim + (config.num_statistics > 1)
        self.embedding = nn.Linear(config.label_dim, config.embed_dim, bias=False)
        self.first = nn.Linear(self.w_dim, config.channels[0] * config.bottom_width**2)
        self.blocks = nn.ModuleList(
            Block(inputs, outputs, up, self.w_dim, config)
            for inputs, outputs, up in zip(config.channels, config.channels[1:], config.up, strict=False)
        )
        self.attention = make_attention(config.channels, config.attention)
        self.last = Last(config.channels[-1], config.last_epsilon, config.num_statistics)
        self.layers = _layers(config)

    @property
    def w_dim(self) -> int:
        return self.latent_dim + self.config.embed_dim

    def mapping(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents ``[N, latent_dim]`` and classes → ``w`` ``[N, w_dim]``."""
        self.check_latents(z)
        return torch.cat([z, self.embedding(self.one_hot(label, z))], 1)

    def layer_codes(
        self, w: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        """``w`` ``[N, w_dim]`` → layer codes ``[N, num_layers, code_dim]``.

        ``truncation_psi`` scales the latent part on the first ``truncation_layers`` layers (None: all), and
        selects their batch statistics; the others have those of truncation 1.

        Raises:
            ValueError: as ``check_truncation``.
        """
        self.check_truncation(truncation_psi, truncation_layers)
        codes = w[:, None].repeat(1, self.num_layers, 1)
        codes[:, :truncation_layers, : self.latent_dim] *= truncation_psi
        num = self.config.num_statistics
        if num == 1:
            return codes
        positions = codes.new_full((len(w), self.num_layers, 1), position_of(1, num))
        positions[:, :truncation_layers] = position_of(truncation_psi, num)
        return torch.cat([codes, positions], 2)

    def check_truncation(self, truncation_psi: float, truncation_layers: int | None = None) -> None:
        """Raises ValueError if there are no batch statistics for it; there are for 0 to 1."""
        super().check_truncation(truncation_psi, truncation_layers)
        if self.config.num_statistics > 1 and not 0 <= truncation_psi <= 1:
            raise ValueError(
                f"truncation_psi (--trunc): got {truncation_psi}, expected 0 to 1, the range of this "
                "generator's batch statistics"
            )


def _layers(config: BigGANDeepConfig) -> tuple[Layer, ...]:
    """Lists the linear layer, then the blocks, numbered from 0 within each resolution."""
    num, size, count = len(config.channels), config.bottom_width, 0
    layers = [Layer(0, "linear", size, group_of(0, num))]
    for index, up in enumerate(config.up, start=1):
        size, count = (size * 2, 0) if up else (size, count)
        layers.append(Layer(index, f"b{size}.block{count}", size, group_of(index, num)))
        count += 1
    return tuple(layers)


class Block(nn.Module):
    """A residual block with a bottleneck of a quarter of its input channels.

    ``[N, I, H, W]`` → ``[N, O, H, W]``, or ``[N, O, 2H, 2W]`` with ``up``.
    """

    def __init__(self, inputs: int, outputs: int, up: bool, code_dim: int, config: BigGANDeepConfig) -> None:
        super().__init__()
        width, statistics = inputs // 4, config.num_statistics
        self.norms = nn.ModuleList(
            CodeNorm(channels, code_dim, config.epsilon, statistics)
            for channels in (inputs, width, width, width)
        )
        self.convs = nn.ModuleList(
            [
                Conv(inputs, width, 1),
                Conv(width, width, 3, up=up),
                Conv(width, width, 3),
                Conv(width, outputs, 1),
            ]
        )
        self.outputs, self.up = outputs, up

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv(norm(y, code))
        kept = x[:, : self.outputs]
        return y + (F.interpolate(kept, scale_factor=2, mode="nearest") if self.up else kept)
