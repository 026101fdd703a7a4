"""The layers of stylegan3's own networks: a full convolution, then a leaky ReLU between two filters."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from higan_fast import ops
from higan_fast.compat.layers.kind import Kept, Kind, has, is_4d, takes
from higan_fast.compat.nvlabs_sg3 import filtered_lrelu
from higan_fast.compat.tally import counting, note
from higan_fast.ops.modulated_conv2d import demodulation

FAMILY = "stylegan3"


def is_network(module: nn.Module) -> bool:
    return takes(module, "ws", "**") and has(module, "layer_names", "num_ws", "output_scale", "input")


def is_layer(module: nn.Module) -> bool:
    return takes(module, "x", "w", "noise_mode", "force_fp32", "update_emas") and has(
        module, "affine", "weight", "bias", "magnitude_ema", "up_filter", "down_filter", "up_factor",
        "down_factor", "padding", "conv_kernel", "conv_clamp", "is_torgb", "use_fp16", "in_size",
    )  # fmt: skip


def _of_unit_square(weight: Tensor) -> Tensor:
    """Scales each output channel of ``[O, I, k, k]`` to a mean square of 1."""
    return weight * weight.square().mean([1, 2, 3], keepdim=True).rsqrt()


def _keep(layer: Any) -> Kept:
    return Kept(None if layer.is_torgb else _of_unit_square)


def _why_not(
    kept: Kept,
    layer: Any,
    x: Tensor,
    w: Tensor,
    noise_mode: str = "random",
    force_fp32: bool = False,
    update_emas: bool = False,
) -> str:
    if update_emas:
        return "update_emas"  # it measures the features
    if noise_mode not in ("random", "const", "none") or not is_4d(x) or x.shape[1] != layer.weight.shape[1]:
        return "arguments that the original refuses"
    if layer.conv_kernel not in (1, 3):
        return f"a kernel of {layer.conv_kernel}×{layer.conv_kernel}"
    width, height = (int(size) for size in layer.in_size)
    return "" if x.shape[2:] == (height, width) else "arguments that the original refuses"


def _serve(
    kept: Kept,
    layer: Any,
    x: Tensor,
    w: Tensor,
    noise_mode: str = "random",
    force_fp32: bool = False,
    update_emas: bool = False,
) -> Tensor:
    note("SynthesisLayer", "modulated_conv2d", x, layer.weight, w, layer.bias)
    styles = layer.affine(w)
    if layer.is_torgb:
        styles = styles / math.sqrt(layer.in_channels * layer.conv_kernel**2)
    half = layer.use_fp16 and not force_fp32 and x.device.type == "cuda"
    x = x.to(torch.float16 if half else torch.float32)
    weight = kept.weight.get(layer.weight, x, 1)
    demod = None
    if not layer.is_torgb:
        styles = styles * styles.square().mean().rsqrt()
        demod = demodulation(styles, weight.square)  # what comes in is scaled afterwards
    styles = styles * layer.magnitude_ema.rsqrt()
    more = layer.conv_kernel - 1 - layer.conv_kernel // 2  # our op pads by half of the kernel
    x = F.pad(x, [more] * 4) if more else x
    clamp = None if layer.conv_clamp is None else float(layer.conv_clamp)
    plain = _is_plain(layer)
    y = ops.modulated_conv2d(
        x, weight.kernel, styles, demodulate=demod is not None, demod=demod, weight_gain=weight.gain,
        weight_points=weight.points, bias=layer.bias, clamp=clamp if plain else None,
    )  # fmt: skip
    if not plain:
        gain, slope = (1.0, 1.0) if layer.is_torgb else (math.sqrt(2), 0.2)
        with counting(None):  # a part of this call
            y = filtered_lrelu(
                y, layer.up_filter, layer.down_filter, up=layer.up_factor, down=layer.down_factor,
                padding=layer.padding, gain=gain, slope=slope, clamp=clamp,
            )  # fmt: skip
    return kept.in_layout(y)


def _is_plain(layer: Any) -> bool:
    """Whether nothing but a bias and a clamp follows the convolution."""
    unchanged = layer.up_factor == layer.down_factor == 1 and not any(layer.padding)
    return layer.is_torgb and unchanged and layer.up_filter is None and layer.down_filter is None


KINDS = (Kind("SynthesisLayer", FAMILY, is_layer, _keep, _why_not, _serve),)
