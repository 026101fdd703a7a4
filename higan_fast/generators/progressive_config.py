"""The architecture shared by PGGAN, StyleGAN and StyleGAN2: a number of channels per resolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from higan_fast.generators.settings import (
    RESOLUTIONS,
    check_channels,
    check_start_size,
    check_whole,
    with_tuples,
)

IN_JSON = {str(resolution): resolution for resolution in RESOLUTIONS}


@dataclass(frozen=True)
class ProgressiveConfig:
    """The architecture of a generator that starts at 4×4, or another size, and repeatedly doubles it.

    Attributes:
        channels: ``{resolution: channels}`` for 4, 8, … up to that of the last block. A block of resolution r
            has features of ``start_size`` times r / 4: of r² pixels, where it starts at 4×4.
        latent_dim: length of a latent.
        image_channels: of an image: 1 for gray, 3 for RGB, 4 for RGBA, or any other number.
        start_size: height and width of the first features; 4×2 for images that are twice as high as wide.
        not_fingerprinted: what the shapes of the tensors say, which fingerprints cover.
    """

    not_fingerprinted: ClassVar[tuple[str, ...]] = ("image_channels", "start_size")

    channels: dict[int, int] = field(default_factory=lambda: {4: 128, 8: 128, 16: 128, 32: 64, 64: 32})
    latent_dim: int = 128
    image_channels: int = field(default=3, kw_only=True)
    start_size: tuple[int, int] = field(default=(4, 4), kw_only=True)

    def __post_init__(self) -> None:
        check_channels(self.channels)
        check_whole("latent_dim", self.latent_dim)
        check_whole("image_channels", self.image_channels)
        check_start_size(self.start_size, max(self.channels))

    @property
    def resolution(self) -> int:
        """Pixels of the longer side of an image."""
        return max(self.size_at(max(self.channels)))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.image_channels, *self.size_at(max(self.channels))

    def size_at(self, resolution: int) -> tuple[int, int]:
        """Height and width of the features of the block of this resolution."""
        height, width = self.start_size
        return height * resolution // 4, width * resolution // 4

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuilds the config from ``asdict``'s result after a JSON round trip (int keys become strings).

        Raises:
            ValueError: if a setting is not what it may be.
        """
        channels = values["channels"]
        if isinstance(channels, dict):
            channels = {IN_JSON.get(resolution, resolution): width for resolution, width in channels.items()}
        return cls(**{**with_tuples(values), "channels": channels})
