"""The layers of StyleGAN3."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from higan_fast.generators.lowpass import lowpass
from higan_fast.generators.prepared import Kept, Prepared, prepare
from higan_fast.generators.style_bank import LayerStyle
from higan_fast.generators.stylegan2_layers import Linear
from higan_fast.generators.stylegan3_config import Signal, StyleGAN3Config
from higan_fast.ops import filtered_lrelu, modulated_conv2d, to_rgb
from higan_fast.ops.modulated_conv2d import normalize_styles


class FourierInput(nn.Module):
    """Waves of fixed frequencies on a plane that the first code turns and shifts, and a mix of them.

    Attributes:
        transform: where each point of the image lies on the plane before that, ``[3, 3]``, in widths of the
            image from its centre (homogeneous coordinates); the identity unless someone moves the image.
        weight_gain: what styles have been multiplied by: nothing.
    """

    transform: Tensor
    freqs: Tensor
    phases: Tensor

    weight_gain = 1.0

    def __init__(self, signal: Signal, code_dim: int) -> None:
        super().__init__()
        self.signal = signal
        self.affine = Linear(code_dim, 4)
        with torch.no_grad():
            self.affine.weight.zero_()
            self.affine.bias.copy_(torch.tensor([1.0, 0, 0, 0]))
        self.weight = nn.Parameter(torch.randn(signal.channels, signal.channels))
        angle, radius = 2 * math.pi * torch.rand(signal.channels), torch.rand(signal.channels).sqrt()
        freqs = signal.cutoff * radius * torch.stack([angle.cos(), angle.sin()])  # all over a disc
        self.register_buffer("freqs", freqs.T.contiguous())  # [C, 2]
        self.register_buffer("phases", torch.rand(signal.channels) - 0.5)
        self.register_buffer("transform", torch.eye(3))

    def forward(self, pose: Tensor) -> Tensor:
        """Features ``[N, C, H, W]`` of poses ``[N, 4]``: cosine, sine, and a shift to the right and down.

        All four are divided by the length of the first two.
        """
        pose = pose / pose[:, :2].norm(dim=1, keepdim=True)
        cos, sin = pose[:, 0], pose[:, 1]
        rotation = torch.stack([cos, -sin, sin, cos], dim=1).unflatten(1, (2, 2))
        freqs = self.freqs @ rotation  # [N, C, 2]
        shift = self.transform[:2, 2] - pose[:, 2:]
        phases = self.phases + (freqs @ shift[:, :, None]).squeeze(2)
        freqs = freqs @ self.transform[:2, :2]
        _, size, rate, cutoff, _ = self.signal
        # What a transform moves beyond the band of the layers would alias: it fades out up to Nyquist.
        fading = (freqs.norm(dim=2) - cutoff) / (rate / 2 - cutoff)
        amplitude = (1 - fading).clamp(0, 1)[:, None]
        place = (torch.arange(size, device=pose.device, dtype=pose.dtype) + 0.5 - size / 2) / rate
        across = 2 * math.pi * (place[:, None] * freqs[:, None, :, 0] + phases[:, None])  # [N, W, C]
        down = 2 * math.pi * place[:, None] * freqs[:, None, :, 1]  # [N, H, C]
        # sin(a + b): sines of rows and columns alone
        waves = across.sin()[:, None] * (amplitude * down.cos())[:, :, None]
        waves = waves.addcmul(across.cos()[:, None], (amplitude * down.sin())[:, :, None])  # [N, H, W, C]
        mixed = waves @ (self.weight / math.sqrt(len(self.weight))).T
        return mixed.permute(0, 3, 1, 2)  # channels-last in memory


class FilteredConv(nn.Module):
    """A modulated convolution, then a leaky ReLU at a higher rate, between two low-pass filters.

    The convolution sees zeros beyond its features on all sides, and what it gives is larger than these by a
    pixel less than the kernel; the filters take that off again, and what else is too much.
    """

    magnitude_ema: Tensor
    up_filter: Tensor
    down_filter: Tensor

    def __init__(self, config: StyleGAN3Config, index: int) -> None:
        """``index``: which layer of ``config.channels`` it is."""
        super().__init__()
        signals = config.signals
        before, after = signals[max(0, index - 1)], signals[index]
        self.affine = Linear(config.code_dim, before.channels, bias_init=1)
        kernel = config.kernel
        self.weight = nn.Parameter(torch.randn(after.channels, before.channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(after.channels))
        self.register_buffer("magnitude_ema", torch.ones([]))  # mean square of what comes in, in training
        self.up, self.down, self.padding = config.resampling(index)
        rate, taps = before.rate * self.up, config.filter_size
        radial = config.radial and index < len(config.channels) - config.num_critical
        up_filter = lowpass(taps * self.up, before.cutoff, before.half_width, rate)
        down_filter = lowpass(taps * self.down, after.cutoff, after.half_width, rate, radial)
        self.register_buffer("up_filter", up_filter)
        self.register_buffer("down_filter", down_filter)
        self.pixels = (before.size + kernel - 1) ** 2
        self.clamp = config.conv_clamp
        self.kept: Kept[Prepared] = Kept()

    @property
    def of_styles(self) -> tuple[Tensor, ...]:
        """What decides the demodulation factors of its styles."""
        return self.weight, self.magnitude_ema

    def prepared(self, dtype: torch.dtype) -> Prepared:
        """Returns the weight as kernels need it for features of this dtype.

        Its ``square`` has ``magnitude_ema`` in it: the factors that follow from it divide by the features'
        magnitude too.
        """

        def make() -> Prepared:
            weight = self.weight if torch.is_grad_enabled() else self.weight.detach()
            found = prepare(_of_unit_square(weight), dtype, 1, self.pixels)
            return found._replace(square=found.square * self.magnitude_ema)

        return self.kept.get([self.weight, self.magnitude_ema], dtype, make)

    def style(self, code: Tensor, dtype: torch.dtype) -> LayerStyle:
        """As ``StyledConv.style``."""
        return self.style_of(self.affine(code), dtype)

    def style_of(self, styles: Tensor, dtype: torch.dtype) -> LayerStyle:
        """As ``style``, of what the affine gave, ``[N, inputs]``."""
        return LayerStyle(normalize_styles(styles)[0] if dtype == torch.float16 else styles)

    def forward(self, x: Tensor, style: LayerStyle) -> Tensor:
        """Features ``[N, inputs, H, W]`` → ``[N, outputs, H', W']``; ``style`` is for ``x``'s dtype."""
        weight = self.prepared(x.dtype)
        if self.weight.shape[-1] == 3:
            x = F.pad(x, [1, 1, 1, 1])  # and the op pads by as much
        x = modulated_conv2d(
            x,
            weight.kernel,
            style.styles,
            demod=style.demod,
            normalized=style.demod is not None,
            weight_square=weight.square,
            weight_gain=weight.gain,
            weight_points=weight.points,
            bias=self.bias,
        )
        return filtered_lrelu(
            x,
            self.up_filter,
            self.down_filter,
            up=self.up,
            down=self.down,
            padding=self.padding,
            clamp=self.clamp,
        )


class ScaledRGB(nn.Module):
    """Features → the image."""

    magnitude_ema: Tensor

    def __init__(self, signal: Signal, config: StyleGAN3Config) -> None:
        super().__init__()
        self.affine = Linear(config.code_dim, signal.channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(config.image_channels, signal.channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(config.image_channels))
        self.register_buffer("magnitude_ema", torch.ones([]))
        self.weight_gain = 1 / math.sqrt(signal.channels)
        self.clamp, self.scale = config.conv_clamp, config.output_scale

    def styles(self, code: Tensor) -> Tensor:
        """Returns the style ``[N, inputs]``, with the weight's gain."""
        styles: Tensor = self.affine(code) * self.weight_gain
        return styles

    def forward(self, x: Tensor, styles: Tensor) -> Tensor:
        """Features ``[N, inputs, H, W]`` → images ``[N, channels, H, W]``; ``styles`` as from ``styles``."""
        weight = self.weight * self.magnitude_ema.rsqrt()
        return to_rgb(x, weight, styles, bias=self.bias, clamp=self.clamp) * self.scale


def _of_unit_square(weight: Tensor) -> Tensor:
    """Scales each output channel of ``[O, I, k, k]`` to a mean square of 1, which demodulation cancels."""
    return weight * weight.square().mean([1, 2, 3], keepdim=True).rsqrt()
