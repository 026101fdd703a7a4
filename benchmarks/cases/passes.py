"""Kernels that are one step of an op, with an op's signature and the PyTorch code that they replace."""

from __future__ import annotations

import torch
from torch import Tensor

from higan_fast import _native
from higan_fast.ops import bias_act, to_rgb, upfirdn2d
from higan_fast.ops.bias_act import ACTIVATIONS, tail_numbers
from higan_fast.ops.layout import small


def modulate(x: Tensor, styles: Tensor, impl: str) -> Tensor:
    """Features ``[N, C, H, W]`` times styles ``[N, C]``."""
    if impl == "reference":
        return x * _per_channel(styles, x)
    out = torch.empty_like(x)
    _native.launch("modulate", x.device, x, small(styles, x), out)
    return out


def fused_epilogue(
    x: Tensor,
    demod: Tensor,
    noise: Tensor,
    bias: Tensor,
    next_styles: Tensor | None,
    resample_filter: Tensor | None,
    impl: str,
    out: Tensor | None = None,
) -> Tensor:
    """Runs everything that follows the convolution in ``modulated_conv2d``.

    Args:
        x: the result of the convolution, ``[N, C, H, W]``; with a filter, ``[N, C, H + 1, W + 1]``.
        demod: ``[N, C]``.
        noise: ``[H, W]``.
        bias: ``[C]``.
        next_styles: ``[N, C]``, or None.
        resample_filter: ``[4]``; None: no upsampling.
        impl: ``"reference"`` or ``"native"``.
        out: tensor for the kernel's result; None: new memory.
    """
    if impl == "reference":
        return _passes(x, demod, noise, bias, next_styles, resample_filter)
    fir = resample_filter is not None
    num, channels, height, width = x.shape
    shape = (num, channels, height - fir, width - fir)
    if out is None:
        out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    _native.launch(
        "conv_epilogue", x.device, x, small(resample_filter, x), int(fir), small(demod, x),
        small(noise.expand(num, 1, *shape[2:]), x), small(bias, x), small(next_styles, x),
        *tail_numbers("lrelu", None, None, None), out,
    )  # fmt: skip
    return out


def block_end(
    x: Tensor,
    demod: Tensor,
    noise: Tensor,
    bias: Tensor,
    next_styles: Tensor | None,
    weight: Tensor,
    styles: Tensor,
    rgb: Tensor,
    resample_filter: Tensor,
    impl: str,
    out: Tensor | None = None,
    at_once: bool = True,
) -> tuple[Tensor | None, Tensor]:
    """Runs what follows a block's last convolution in ``finish_block``: the features, or None, and the RGB.

    Args:
        x: the result of the convolution, ``[N, C, H, W]``.
        demod, noise, bias: as in ``fused_epilogue``.
        next_styles: ``[N, C]``; None: the features are not kept.
        weight: ``[3, C, 1, 1]`` of the RGB layer.
        styles: ``[N, C]`` of the RGB layer.
        rgb: ``[N, 3, H / 2, W / 2]``.
        resample_filter: ``[4]``.
        impl: ``"reference"`` or ``"native"``.
        out: tensor for the kernel's features; None: new memory.
        at_once: whether one kernel does it all, or one for each step.
    """
    if impl == "reference" or not at_once:
        y = fused_epilogue(x, demod, noise, bias, None, None, impl, out)
        image = to_rgb(y, weight, styles, rgb=rgb, resample_filter=resample_filter, impl=impl)  # type: ignore[arg-type]
        return None if next_styles is None else modulate(y, next_styles, impl), image
    num, _channels, height, width = x.shape
    if out is None:
        out = torch.empty_like(x)
    image = torch.empty_like(x[:, :3], dtype=torch.float32, memory_format=torch.channels_last)
    _native.launch(
        "finish_block", x.device, x, small(demod, x), small(noise.expand(num, 1, height, width), x),
        small(bias, x), small(next_styles, x), *tail_numbers("lrelu", None, None, None), out,
        next_styles is not None, small(weight.flatten(1), x), small(styles, x), None, small(rgb, x),
        small(resample_filter, x), -1.0, image,
    )  # fmt: skip
    return None if next_styles is None else out, image


def _passes(
    x: Tensor,
    demod: Tensor,
    noise: Tensor,
    bias: Tensor,
    next_styles: Tensor | None,
    resample_filter: Tensor | None,
) -> Tensor:
    """Runs the reference's chain of passes, with the gain folded into the small tensors."""
    gain = ACTIVATIONS["lrelu"].default_gain
    if resample_filter is not None:
        x = upfirdn2d(x, resample_filter, padding=1, gain=4, impl="reference")
    x = x * _per_channel(demod * gain, x)
    x = x + (noise * gain).to(x.dtype)
    x = bias_act(x, bias * gain, activation="lrelu", gain=1, impl="reference")
    return x if next_styles is None else x * _per_channel(next_styles, x)


def _per_channel(factors: Tensor, x: Tensor) -> Tensor:
    return factors.to(x.dtype)[:, :, None, None]
