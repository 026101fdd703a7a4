"""The layers of rosinality's stylegan2-pytorch."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from higan_fast import ops
from higan_fast.compat.layers.kind import Kept, Kind, has, hooks_of, is_4d, takes
from higan_fast.compat.tally import note

FAMILY = "rosinality's stylegan2-pytorch"
SLOPE = 0.2  # of our op's leaky ReLU


def is_network(module: nn.Module) -> bool:
    return has(module, "conv1", "to_rgb1", "convs", "to_rgbs", "input", "n_latent", "noises")


def is_styled(module: nn.Module) -> bool:
    return (
        takes(module, "input", "style", "noise")
        and has(module, "conv", "noise", "activate")
        and _is_modulated(module.conv)
        and has(module.noise, "weight")
        and has(module.activate, "bias", "negative_slope", "scale")
    )


def is_to_rgb(module: nn.Module) -> bool:
    return (
        takes(module, "input", "style", "skip") and has(module, "conv", "bias") and _is_modulated(module.conv)
    )


def _is_modulated(module: Any) -> bool:
    return takes(module, "input", "style") and has(
        module, "modulation", "weight", "scale", "demodulate", "upsample", "downsample", "kernel_size"
    )


def _keep_styled(layer: Any) -> Kept:
    scale = layer.conv.scale
    return Kept(lambda weight: weight[0] * scale, layer.conv.blur.kernel if layer.conv.upsample else None)


def _why_not_styled(kept: Kept, layer: Any, input: Tensor, style: Tensor, noise: Tensor | None = None) -> str:
    conv = layer.conv
    if not is_4d(input) or style.ndim != 2 or input.shape[1] != conv.weight.shape[2]:
        return "arguments that the original refuses"
    if hooks_of(conv, layer.noise, layer.activate):
        return "a hook on one of its parts"
    if conv.downsample or not conv.demodulate:
        return "a convolution that downsamples, or does not demodulate"
    if conv.weight.shape[-1] not in (1, 3):
        return f"a kernel of {conv.weight.shape[-1]}×{conv.weight.shape[-1]}"
    if conv.upsample and (tuple(conv.blur.pad) != (1, 1) or conv.weight.shape[-1] != 3):
        return f"a blur with a padding of {tuple(conv.blur.pad)}"
    if conv.upsample and not kept.has_four_taps(conv.blur.kernel):
        return "a filter that is not 4 taps for both axes"
    if layer.activate.bias is None or layer.activate.negative_slope != SLOPE:
        return "another activation"
    times = 2 if conv.upsample else 1
    goal = (1, input.shape[2] * times, input.shape[3] * times)
    if noise is not None and (not is_4d(noise) or noise.shape[1:] != goal):
        return "noise of another shape"
    return ""


def _styled(kept: Kept, layer: Any, input: Tensor, style: Tensor, noise: Tensor | None = None) -> Tensor:
    conv, up = layer.conv, 2 if layer.conv.upsample else 1
    taps = _taps(kept, conv.blur.kernel) if conv.upsample else None
    note("StyledConv", "modulated_conv2d", input, conv.weight, style, layer.activate.bias)
    if noise is None:
        shape = (len(input), 1, input.shape[2] * up, input.shape[3] * up)
        noise = input.new_empty(shape).normal_()
    weight = kept.weight.get(conv.weight, input, up)
    y = ops.modulated_conv2d(
        input, weight.kernel, conv.modulation(style), weight_square=weight.square, weight_gain=weight.gain,
        weight_points=weight.points, up=up, resample_filter=taps, noise=noise * layer.noise.weight,
        bias=layer.activate.bias, activation="lrelu", gain=float(layer.activate.scale),
    )  # fmt: skip
    return kept.in_layout(y)


def _keep_to_rgb(layer: Any) -> Kept:
    return Kept(filter=layer.upsample.kernel if hasattr(layer, "upsample") else None)


def _why_not_to_rgb(kept: Kept, layer: Any, input: Tensor, style: Tensor, skip: Tensor | None = None) -> str:
    conv = layer.conv
    if not is_4d(input) or style.ndim != 2 or input.shape[1] != conv.weight.shape[2]:
        return "arguments that the original refuses"
    if hooks_of(conv, *([layer.upsample] if hasattr(layer, "upsample") else [])):
        return "a hook on one of its parts"
    if conv.demodulate or conv.upsample or conv.downsample or conv.weight.shape[-2:] != (1, 1):
        return "a convolution that is not plain"
    if skip is not None and (layer.upsample.factor != 2 or tuple(layer.upsample.pad) != (2, 1)):
        return "another upsampling"
    if skip is not None and not kept.has_four_taps(layer.upsample.kernel):
        return "a filter that is not 4 taps for both axes"
    return ""


def _to_rgb(kept: Kept, layer: Any, input: Tensor, style: Tensor, skip: Tensor | None = None) -> Tensor:
    conv = layer.conv
    note("ToRGB", "to_rgb", input, conv.weight, style, layer.bias, skip)
    image = ops.to_rgb(
        input,
        conv.weight[0],
        conv.modulation(style) * conv.scale,
        bias=layer.bias.flatten(),
        rgb=skip,
        resample_filter=None if skip is None else _taps(kept, layer.upsample.kernel),
    )
    return image.to(input.dtype).contiguous()


def _taps(kept: Kept, kernel: Tensor) -> Tensor:
    """The taps of a filter whose values make up for the zeros of upsampling, as our ops do by themselves."""
    taps = kept.taps_of(kernel)
    assert taps is not None
    return taps / 2


KINDS = (
    Kind("StyledConv", FAMILY, is_styled, _keep_styled, _why_not_styled, _styled),
    Kind("ToRGB", FAMILY, is_to_rgb, _keep_to_rgb, _why_not_to_rgb, _to_rgb),
)
