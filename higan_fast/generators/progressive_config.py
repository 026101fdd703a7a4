"""The architecture shared by PGGAN, StyleGAN and StyleGAN2: a number of channels per resolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from higan_fast.generators.settings import RESOLUTIONS, check_channels, check_whole

IN_JSON = {str(resolution): resolution for resolution in RESOLUTIONS}


@dataclass(frozen=True)
class ProgressiveConfig:
    """The architecture of a generator that starts at 4×4 and repeatedly doubles the resolution.

    Attributes:
        channels: ``{resolution: channels}`` for 4, 8, … up to the image resolution.
        latent_dim: length of a latent.
    """

    channels: dict[int, int] = field(default_factory=lambda: {4: 128, 8: 128, 16: 128, 32: 64, 64: 32})
    latent_dim: int = 128

    def __post_init__(self) -> None:
        check_channels(self.channels)
        check_whole("latent_dim", self.latent_dim)

    @property
    def resolution(self) -> int:
        return max(self.channels)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuilds the config from ``asdict``'s result after a JSON round trip (int keys become strings).

        Raises:
            ValueError: if a setting is not what it may be.
        """
        channels = values["channels"]
        if isinstance(channels, dict):
            channels = {IN_JSON.get(resolution, resolution): width for resolution, width in channels.items()}
        return cls(**{**values, "channels": channels})
