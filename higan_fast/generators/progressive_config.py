"""What the architectures of PGGAN, StyleGAN and StyleGAN2 have in common: channels for each resolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class ProgressiveConfig:
    """The architecture of a generator that begins at 4² and doubles its resolution.

    Attributes:
        channels: ``{resolution: channels}`` for 4, 8, … up to the image's resolution.
        latent_dim: length of a latent.
    """

    channels: dict[int, int] = field(default_factory=lambda: {4: 128, 8: 128, 16: 128, 32: 64, 64: 32})
    latent_dim: int = 128

    @property
    def resolution(self) -> int:
        return max(self.channels)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What ``asdict`` gave, after JSON has turned the resolutions into strings."""
        channels = {int(resolution): width for resolution, width in values["channels"].items()}
        return cls(**{**values, "channels": channels})
