"""The architecture of StyleGAN3, and the signals that its layers pass on (arXiv 2106.12423, §3.2).

All frequencies are in cycles over the image's width, and rates in pixels over it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

from higan_fast.generators.settings import (
    MOST_LAYERS,
    RESOLUTIONS,
    check_flag,
    check_positive,
    check_whole,
    check_whole_or_none,
    with_tuples,
)
from higan_fast.wording import in_words

FIRST_STOPBAND, LAST_STOPBAND = 2**2.1, 2**0.3
MOST_CHANNELS = 60  # layers that have some; published networks have 14


class Signal(NamedTuple):
    """What a layer passes on.

    Attributes:
        channels: number of features.
        size: their height and width in pixels, with what lies beyond the image on all sides.
        rate: pixels over the width of the image.
        cutoff: the frequency up to which it is passed.
        half_width: of the band in which filters fall off, from ``cutoff`` to its end.
    """

    channels: int
    size: int
    rate: int
    cutoff: float
    half_width: float


class Resampling(NamedTuple):
    """What a layer does to the sampling rate, around its nonlinearity.

    Attributes:
        up, down: factors.
        padding: pixels that are added to the upsampled features on the left, right, top and bottom;
            negative: taken away.
    """

    up: int
    down: int
    padding: tuple[int, int, int, int]


@dataclass(frozen=True)
class StyleGAN3Config:
    """The architecture of configurations T and R, and of all between them; ``of`` gives the published ones.

    Attributes:
        resolution: height and width of an image.
        channels: of each layer between the Fourier features and RGB; the features have as many as the first.
        mapping_lr_multiplier: the mapping network's weights are stored divided by this.
        label_dim: number of classes; 0: unconditional.
        embed_dim: length of an embedded class; None: ``code_dim``.
        hidden_dim: width of the mapping network; None: ``code_dim``.
        kernel: height and width of the convolutions: 3 in T, 1 in R.
        radial: whether downsampling filters have no direction, as in R; not those of the critical layers.
        num_critical: so many of the last layers have their cutoff at half of the sampling rate.
        first_cutoff, first_stopband: where the first layer's filters begin to fall off, and end to.
        last_stopband: the end of the last layer's band, relative to its cutoff.
        margin: pixels beyond the image on each side.
        oversampling: the rate at which the nonlinearity acts, relative to the higher one of its two sides.
        filter_size: taps of a filter, in pixels of its lower rate.
        conv_clamp: bound on what the nonlinearities give; None: no bound.
        output_scale: factor on the image.
        image_channels: of an image: 1 for gray, 3 for RGB, or any other number.
    """

    resolution: int = 64
    channels: tuple[int, ...] = (128,) * 10 + (102, 81, 64, 64)
    latent_dim: int = 128
    code_dim: int = 128
    mapping_depth: int = 2
    mapping_lr_multiplier: float = 0.01
    label_dim: int = 0
    embed_dim: int | None = None
    hidden_dim: int | None = None
    kernel: int = 3
    radial: bool = False
    num_critical: int = 2
    first_cutoff: float = 2.0
    first_stopband: float = FIRST_STOPBAND
    last_stopband: float = LAST_STOPBAND
    margin: int = 10
    oversampling: int = 2
    filter_size: int = 6
    conv_clamp: float | None = 256.0
    output_scale: float = 0.25
    image_channels: int = 3

    def __post_init__(self) -> None:
        if type(self.resolution) is not int or self.resolution not in RESOLUTIONS:
            raise ValueError(
                f"resolution: got {in_words(self.resolution)}, expected 4, 8, 16 and so on up to "
                f"{RESOLUTIONS[-1]}"
            )
        if not isinstance(self.channels, tuple | list):
            raise ValueError(
                f"channels: got {in_words(self.channels)}, expected a list of numbers of channels"
            )
        check_whole("number of channels", len(self.channels), 2, MOST_CHANNELS)
        for index, width in enumerate(self.channels):
            check_whole(f"channels[{index}]", width)
        for name in ("latent_dim", "code_dim", "filter_size", "image_channels"):
            check_whole(name, getattr(self, name))
        check_whole("mapping_depth", self.mapping_depth, 1, MOST_LAYERS)
        check_whole("label_dim", self.label_dim, 0)
        check_whole_or_none("embed_dim", self.embed_dim)
        check_whole_or_none("hidden_dim", self.hidden_dim)
        check_whole("kernel", self.kernel, 1, 3)
        if self.kernel == 2:
            raise ValueError("kernel: got 2, expected 1 or 3")
        check_flag("radial", self.radial)
        check_whole("num_critical", self.num_critical, 0, len(self.channels) - 1)
        check_whole("margin", self.margin, 0)
        check_whole("oversampling", self.oversampling, 2, 8)
        for name in ("mapping_lr_multiplier", "output_scale"):
            check_positive(name, getattr(self, name))
        if self.conv_clamp is not None:
            check_positive("conv_clamp", self.conv_clamp)
        self._check_bands()

    def _check_bands(self) -> None:
        """Raises ValueError unless the first and the last band end above their cutoffs, and in this order."""
        for name in ("first_cutoff", "first_stopband", "last_stopband"):
            check_positive(name, getattr(self, name))
        half = self.resolution / 2
        if not self.first_cutoff < half:
            raise ValueError(
                f"first_cutoff: got {self.first_cutoff:g}, expected less than half of the resolution, "
                f"{half:g}"
            )
        if not self.last_stopband > 1:
            raise ValueError(f"last_stopband: got {self.last_stopband:g}, expected more than 1")
        last = half * self.last_stopband
        if not self.first_cutoff < self.first_stopband < last:
            raise ValueError(
                f"first_stopband: got {self.first_stopband:g}, expected more than first_cutoff, "
                f"{self.first_cutoff:g}, and less than the end of the last layer's band, {last:g}"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.image_channels, self.resolution, self.resolution

    @classmethod
    def of(
        cls,
        configuration: Literal["t", "r"],
        resolution: int,
        channel_base: int | None = None,
        channel_max: int | None = None,
        num_layers: int = 14,
        **others: Any,
    ) -> Self:
        """A published configuration; R has twice the channels, 1×1 convolutions, and radial filters.

        Args:
            configuration: ``"t"``, equivariant to translation, or ``"r"``, to rotation too.
            resolution: height and width of an image.
            channel_base: layers have half of it, divided by their cutoff, many channels; None: 32768, in R
                65536.
            channel_max: the most channels; None: 512, in R 1024.
            num_layers: between the Fourier features and RGB.
            others: other settings.
        """
        rotates = configuration == "r"
        base, most = channel_base or (65536 if rotates else 32768), channel_max or (1024 if rotates else 512)
        kind: dict[str, Any] = {"kernel": 1, "radial": True} if rotates else {}
        plain = cls(resolution, (1,) * num_layers, **kind | others)
        widths = tuple(round(min(base / 2 / signal.cutoff, most)) for signal in plain.signals[:-1])
        return cls(resolution, widths, **kind | others)

    @property
    def signals(self) -> tuple[Signal, ...]:
        """What each layer passes on, RGB last; cutoffs and ends of bands grow geometrically."""
        depth, last = len(self.channels), self.resolution / 2
        found = []
        for index, channels in enumerate((*self.channels, self.image_channels)):
            share = min(index / (depth - self.num_critical), 1)
            cutoff = self.first_cutoff * (last / self.first_cutoff) ** share
            stopband = self.first_stopband * (last * self.last_stopband / self.first_stopband) ** share
            rate = 2 ** math.ceil(math.log2(min(2 * stopband, self.resolution)))
            size = rate + 2 * self.margin if index < depth - 1 else self.resolution
            found.append(Signal(channels, size, rate, cutoff, max(stopband, rate / 2) - cutoff))
        return tuple(found)

    def resampling(self, index: int) -> Resampling:
        """Returns that of the layer with ``channels[index]``.

        What goes out lies symmetrically about the centre of what comes in (appendix C.3).
        """
        signals = self.signals
        before, after = signals[max(0, index - 1)], signals[index]
        rate = max(before.rate, after.rate) * self.oversampling
        up, down = rate // before.rate, rate // after.rate
        convolved = before.size + self.kernel - 1  # with zeros all around
        lost = self.filter_size * (up + down) - 2  # by the two filters
        total = (after.size - 1) * down + 1 - convolved * up + lost
        low = (total + up) // 2
        return Resampling(up, down, (low, total - low, low, total - low))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuilds the config from ``asdict``'s result after a JSON round trip.

        Raises:
            ValueError: if a setting is not what it may be.
        """
        return cls(**with_tuples(values))
