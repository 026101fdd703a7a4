"""The layers of StyleGAN2."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from higan_fast.checks import check_choice
from higan_fast.generators.prepared import Kept, Prepared, WeightCache
from higan_fast.generators.style_bank import LayerStyle
from higan_fast.ops import bias_act, finish_block, modulated_conv2d, setup_filter, to_rgb, upfirdn2d
from higan_fast.ops.modulated_conv2d import normalize_styles

NOISE_MODES = ("const", "random", "none")


class Linear(nn.Module):
    """A fully connected layer with an equalised learning rate (arXiv 1710.10196, §4.1)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
        activation: str = "linear",
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full([outputs], bias_init / lr_multiplier))
        self.weight_gain, self.bias_gain = lr_multiplier / math.sqrt(inputs), lr_multiplier
        self.activation = activation

    def linear(self, x: Tensor) -> Tensor:
        """Returns the product with the weight, without bias and activation."""
        # Scaling the codes is cheaper than scaling the weight.
        return (x * self.weight_gain) @ self.weight.T

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias * self.bias_gain
        if self.activation == "linear":
            return torch.addmm(bias, x * self.weight_gain, self.weight.T)
        return bias_act(self.linear(x), bias, activation=self.activation)


class StyledConv(nn.Module):
    """A modulated 3×3 convolution with its style, noise, bias and leaky ReLU."""

    resample_filter: Tensor
    noise_const: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: tuple[int, int],
        code_dim: int,
        up: int = 1,
        clamp: float | None = None,
        half: bool = False,
    ) -> None:
        """``half``: the layer ends a residual branch and halves the variance of its output."""
        super().__init__()
        self.affine = Linear(code_dim, inputs, bias_init=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.randn(size))
        self.register_buffer("resample_filter", setup_filter())
        self.up = up
        self.gain = 1.0 if half else math.sqrt(2)
        self.clamp = clamp * self.gain / math.sqrt(2) if clamp is not None else None
        self.cache = WeightCache()
        self.kept_noise: Kept[Tensor] = Kept()

    @property
    def of_styles(self) -> tuple[Tensor, ...]:
        """What decides the demodulation factors of its styles."""
        return (self.weight,)

    def prepared(self, dtype: torch.dtype) -> Prepared:
        """Returns the weight as kernels need it for features of this dtype."""
        return self.cache.get(self.weight, dtype, self.up, self.noise_const.numel() // self.up**2)

    def style(self, code: Tensor, dtype: torch.dtype) -> LayerStyle:
        """Returns the style for features of this dtype; ``style_bank`` gives those of all layers at once.

        In float16 each sample's styles are scaled to a largest magnitude of 1, so that products cannot
        overflow. Demodulation cancels the factor.
        """
        return self.style_of(self.affine(code), dtype)

    def style_of(self, styles: Tensor, dtype: torch.dtype) -> LayerStyle:
        """As ``style``, of what the affine gave, ``[N, inputs]``."""
        return LayerStyle(normalize_styles(styles)[0] if dtype == torch.float16 else styles)

    def forward(
        self,
        x: Tensor,
        style: LayerStyle,
        noise_mode: str,
        next_styles: Tensor | None = None,
        modulated: bool = False,
    ) -> Tensor:
        """Features ``[N, inputs, H, W]`` → ``[N, outputs, H·up, W·up]``.

        Args:
            x: the features.
            style: this layer's, for features of ``x``'s dtype.
            noise_mode: see ``StyleGAN2.noise_mode``.
            next_styles: ``[N, outputs]``, multiplied into the result; None: nothing is.
            modulated: whether ``x`` is already multiplied by the style.
        """
        weight = self.prepared(x.dtype)
        return modulated_conv2d(
            x,
            weight.kernel,
            style.styles,
            demod=style.demod,
            normalized=style.demod is not None,
            modulated=modulated,
            weight_square=weight.square,
            weight_gain=weight.gain,
            weight_points=weight.points,
            up=self.up,
            resample_filter=self.resample_filter,
            noise=self._noise(noise_mode, x),
            bias=self.bias,
            activation="lrelu",
            gain=self.gain,
            clamp=self.clamp,
            next_styles=next_styles,
        )

    def end_block(
        self,
        x: Tensor,
        style: LayerStyle,
        noise_mode: str,
        rgb_layer: RGB,
        rgb_styles: Tensor,
        rgb: Tensor | None,
        next_styles: Tensor | None,
        modulated: bool,
    ) -> tuple[Tensor | None, Tensor]:
        """Like ``forward``, with the block's RGB layer; no features are kept if there are no ``next_styles``.

        Args:
            x, style, noise_mode, next_styles, modulated: as in ``forward``; the style has its ``demod``.
            rgb_layer: reads the features.
            rgb_styles: as from ``rgb_layer.styles``.
            rgb: RGB accumulated so far, or None.
        """
        assert style.demod is not None
        weight = self.prepared(x.dtype)
        return finish_block(
            x,
            weight.kernel,
            style.demod,
            rgb_layer.weight,
            rgb_styles,
            styles=None if modulated else style.styles,
            weight_points=weight.points,
            noise=self._noise(noise_mode, x),
            bias=self.bias,
            activation="lrelu",
            gain=self.gain,
            clamp=self.clamp,
            next_styles=next_styles,
            keep=next_styles is not None,
            rgb_bias=rgb_layer.bias,
            rgb=rgb,
            resample_filter=rgb_layer.resample_filter,
            rgb_clamp=rgb_layer.clamp,
        )

    def _noise(self, noise_mode: str, x: Tensor) -> Tensor | None:
        check_choice("noise_mode", noise_mode, NOISE_MODES)
        if noise_mode == "none":
            return None
        noise, strength = self.noise_const, self.noise_strength
        if noise_mode == "random":
            noise = torch.randn(len(x), 1, *noise.shape, dtype=x.dtype, device=x.device)
            return noise * strength.to(noise.dtype)
        return self.kept_noise.get([noise, strength], None, lambda: noise * strength.to(noise.dtype))


class RGB(nn.Module):
    """Features → RGB, or whatever channels images have, added to those accumulated so far."""

    resample_filter: Tensor

    def __init__(self, inputs: int, code_dim: int, clamp: float | None = None, outputs: int = 3) -> None:
        super().__init__()
        self.clamp = clamp
        self.affine = Linear(code_dim, inputs, bias_init=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.weight_gain = 1 / math.sqrt(inputs)
        self.register_buffer("resample_filter", setup_filter())

    def styles(self, code: Tensor) -> Tensor:
        """Returns styles ``[N, inputs]`` for a code ``[N, code_dim]``, with the weight's gain."""
        styles: Tensor = self.affine(code) * self.weight_gain
        return styles

    def forward(self, x: Tensor, rgb: Tensor | None, styles: Tensor) -> Tensor:
        """Adds the RGB of features ``[N, inputs, H, W]`` to ``rgb``; ``styles`` are as from ``styles``."""
        return to_rgb(
            x,
            self.weight,
            styles,
            bias=self.bias,
            rgb=rgb,
            resample_filter=self.resample_filter,
            clamp=self.clamp,
        )


class Skip(nn.Module):
    """The shortcut of a residual block: a plain 1×1 convolution, then the upsampling filter."""

    resample_filter: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))
        self.weight_gain = math.sqrt(0.5 / inputs)
        self.register_buffer("resample_filter", setup_filter())

    def forward(self, x: Tensor) -> Tensor:
        """Features ``[N, inputs, H, W]`` → ``[N, outputs, 2H, 2W]``, with half the variance."""
        y = F.conv2d(x, (self.weight * self.weight_gain).to(x.dtype))
        return _upsampled(y, self.resample_filter)


def _upsampled(x: Tensor, resample_filter: Tensor) -> Tensor:
    return upfirdn2d(x, resample_filter, up=2, padding=[2, 1, 2, 1], gain=4)
