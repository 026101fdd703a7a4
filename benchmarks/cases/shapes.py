"""The layers of the generators whose ops are timed: shapes, products, bytes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from benchmarks.roofline import Work

FLOAT32 = 4  # bytes


def widths(channel_base: int, resolution: int = 256) -> dict[int, int]:
    """Returns StyleGAN2's channels at each resolution, 512 at most; channel_base 32768 is its config-f.

    With a channel base of 16384 they are also StyleGAN's.
    """
    powers = range(2, resolution.bit_length())
    return {2**power: min(512, channel_base // 2**power) for power in powers}


@dataclass(frozen=True)
class Conv:
    """A modulated 3×3 convolution of StyleGAN2.

    Attributes:
        resolution: resolution of the result.
        inputs, outputs: numbers of channels.
        up: 2 for a transposed convolution and an FIR filter, otherwise 1.
    """

    resolution: int
    inputs: int
    outputs: int
    up: int = 1

    def __str__(self) -> str:
        return f"{self.resolution}² {self.inputs}→{self.outputs}{' up' if self.up == 2 else ''}"

    def flop(self, batch: int) -> int:
        return 2 * batch * self.inputs * self.outputs * 9 * (self.resolution // self.up) ** 2

    def work(self, batch: int, itemsize: int) -> Work:
        """One fused kernel: features, weight and noise are read, features are written."""
        read = batch * self.inputs * (self.resolution // self.up) ** 2 + 9 * self.inputs * self.outputs
        written = batch * self.outputs * self.resolution**2
        return Work(itemsize * (read + written) + FLOAT32 * self.resolution**2, self.flop(batch))


@dataclass(frozen=True)
class Filtered:
    """What follows a convolution of StyleGAN3: a leaky ReLU between upsampling and downsampling by 2.

    Attributes:
        before, size: pixels along one axis, of the convolution's result and of this one.
        channels: of both.
        up: 2, or 4 where the layer doubles the sampling rate.
        radial: whether the downsampling filter is of two axes, as in configuration R.
    """

    before: int
    size: int
    channels: int
    up: int
    radial: bool

    def __str__(self) -> str:
        radial = " radial" if self.radial else ""
        return f"{self.before}²→{self.size}² ×{self.channels} up {self.up}{radial}"

    def flop(self, batch: int) -> int:
        """The products of the filters, each along its own axis where it has one, without inserted zeros."""
        tall = (self.size - 1) * 2 + 12  # upsampled pixels along one axis
        up = tall * (self.before + tall) * 6
        down = self.size**2 * 144 if self.radial else self.size * (tall + self.size) * 12
        return 2 * batch * self.channels * (up + down)


def stylegan3(resolution: int) -> list[Filtered]:
    """Returns two layers near the end of both configurations: one that doubles the resolution, one not."""
    size, found = resolution + 20, []
    for radial, kernel, base, most in ((False, 3, 32768, 512), (True, 1, 65536, 1024)):
        channels = min(most, base // resolution, 8 * resolution)  # fewer in tiny networks
        for up in (4, 2):
            before = resolution // (up // 2) + 20 + kernel - 1
            found.append(Filtered(before, size, channels, up, radial))
    return found


@dataclass(frozen=True)
class Rgb:
    """A modulated 1×1 convolution to RGB, added to the previous block's upsampled RGB (except at 4²)."""

    resolution: int
    inputs: int

    def __str__(self) -> str:
        return f"{self.resolution}² {self.inputs}→3"

    def flop(self, batch: int) -> int:
        return 2 * batch * self.inputs * 3 * self.resolution**2

    def work(self, batch: int, itemsize: int) -> Work:
        """One fused kernel: features and the smaller RGB are read, RGB is written, in float32."""
        before = 0 if self.resolution == 4 else (self.resolution // 2) ** 2
        rgb = FLOAT32 * 3 * batch * (self.resolution**2 + before)
        return Work(itemsize * batch * self.inputs * self.resolution**2 + rgb, self.flop(batch))


def stylegan2(channels: dict[int, int]) -> list[Conv | Rgb]:
    """The layers of StyleGAN2's synthesis, in the order in which they run."""
    layers: list[Conv | Rgb] = [Conv(4, channels[4], channels[4]), Rgb(4, channels[4])]
    for before, resolution in pairwise(channels):
        layers.append(Conv(resolution, channels[before], channels[resolution], up=2))
        layers.append(Conv(resolution, channels[resolution], channels[resolution]))
        layers.append(Rgb(resolution, channels[resolution]))
    return layers


def biggan(width: int = 96) -> list[tuple[int, int, int]]:
    """Returns channels, resolution and upsampling of each normalisation in BigGAN's blocks, 128² and 256²."""
    networks = {128: (16, 16, 8, 4, 2, 1), 256: (16, 16, 8, 8, 4, 2, 1)}  # channels after each block
    layers = []
    for multiples in networks.values():
        for index, (inputs, outputs) in enumerate(pairwise(multiples)):
            resolution = 4 * 2**index
            layers.append((inputs * width, resolution, 2))
            layers.append((outputs * width, 2 * resolution, 1))
    return sorted(set(layers), key=lambda layer: (layer[1] * layer[2], layer))
