"""The layers of genforce's StyleGAN2, and of higan's, which has other names for the same."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from higan_fast import ops
from higan_fast.compat.layers.kind import Kept, Kind, has, hooks_of, is_4d, takes
from higan_fast.compat.tally import note
from higan_fast.compat.weights import mirrored

FAMILY = "genforce / higan"
SLOPE = 0.2


def is_network(module: nn.Module) -> bool:
    takes_codes = takes(module, "wp", "randomize_noise") or takes(module, "w")
    return takes_codes and has(module, "early_layer", "layer0", "output0", "num_layers")


def is_genforce(module: nn.Module) -> bool:
    return takes(module, "x", "w", "randomize_noise") and has(
        module, "ksize", "in_c", "out_c", "res", "eps", "weight", "wscale", "style", "demodulate", "bias",
        "bscale", "use_conv2d_transpose", "activate", "activate_scale", "add_noise", "forward_style",
    )  # fmt: skip


def is_higan(module: nn.Module) -> bool:
    return takes(module, "x", "w") and has(
        module, "ksize", "in_c", "out_c", "res", "eps", "weight", "weight_scale", "lr_multiplier", "style",
        "demodulate", "scale_factor", "add_bias", "activate", "activate_scale", "add_noise",
        "randomize_noise",
    )  # fmt: skip


def _keep_genforce(layer: Any) -> Kept:
    scale, up = layer.wscale, layer.use_conv2d_transpose
    return Kept(_change(scale, up, higan=False), layer.filter.kernel if up else None)


def _keep_higan(layer: Any) -> Kept:
    scale, up = layer.weight_scale * layer.lr_multiplier, layer.scale_factor > 1
    return Kept(_change(scale, up, higan=True), layer.filter.kernel if up else None)


def _change(scale: float, up: bool, higan: bool) -> Any:
    """What makes a true weight ``[O, I, k, k]`` of a stored one; transposed convolutions mirror theirs."""

    def change(weight: Tensor) -> Tensor:
        weight = weight.permute(3, 2, 0, 1) if higan else weight
        return (mirrored(weight) if up else weight) * float(scale)

    return change


def _why_not(kept: Kept, layer: Any, x: Tensor, up: int) -> str:
    if not is_4d(x) or x.shape[1] != layer.in_c or up not in (1, 2):
        return "arguments that the original refuses"
    if layer.ksize not in (1, 3) or (up == 2 and layer.ksize != 3):
        return f"a kernel of {layer.ksize}×{layer.ksize}"
    if hooks_of(layer.activate, *([layer.filter] if up == 2 else [])):
        return "a hook on one of its parts"
    if up == 2 and tuple(layer.filter.padding) != (1, 1, 1, 1):
        return f"a filter with a padding of {tuple(layer.filter.padding)}"
    if up == 2 and not kept.has_four_taps(layer.filter.kernel):
        return "a filter that is not 4 taps for both axes"
    if _activation(layer) is None:
        return "another activation"
    if x.shape[2] * up != layer.res or x.shape[3] * up != layer.res:
        return "arguments that the original refuses"
    if layer.eps != 1e-8:
        return f"an epsilon of {layer.eps}"
    return ""


def _activation(layer: Any) -> str | None:
    activate = layer.activate
    if isinstance(activate, nn.Identity):
        return "linear"
    if isinstance(activate, nn.ReLU):
        return "relu"
    return "lrelu" if isinstance(activate, nn.LeakyReLU) and activate.negative_slope == SLOPE else None


def _why_not_genforce(kept: Kept, layer: Any, x: Tensor, w: Tensor, randomize_noise: bool = False) -> str:
    if layer.add_noise and layer.noise_type != "spatial":
        return "noise that differs between channels"
    return _why_not(kept, layer, x, 2 if layer.use_conv2d_transpose else 1)


def _why_not_higan(kept: Kept, layer: Any, x: Tensor, w: Tensor) -> str:
    return _why_not(kept, layer, x, layer.scale_factor)


def _genforce(
    kept: Kept, layer: Any, x: Tensor, w: Tensor, randomize_noise: bool = False
) -> tuple[Tensor, Tensor]:
    bias = None if layer.bias is None else layer.bias * layer.bscale
    style = layer.forward_style(w)
    y = _convolved(kept, layer, x, style, 2 if layer.use_conv2d_transpose else 1, bias, randomize_noise)
    return y, style


def _higan(kept: Kept, layer: Any, x: Tensor, w: Tensor) -> Tensor:
    bias = layer.bias * layer.lr_multiplier if layer.add_bias else None
    return _convolved(kept, layer, x, layer.style(w), layer.scale_factor, bias, layer.randomize_noise)


def _convolved(
    kept: Kept, layer: Any, x: Tensor, style: Tensor, up: int, bias: Tensor | None, randomize: bool
) -> Tensor:
    note("ModulateConvBlock", "modulated_conv2d", x, layer.weight, style, bias)
    weight, noise = kept.weight.get(layer.weight, x, up), None
    if layer.add_noise:
        noise = layer.noise
        if randomize:
            noise = torch.randn(len(x), 1, layer.res, layer.res).to(x)
        noise = noise * layer.noise_strength
    taps = kept.taps_of(layer.filter.kernel) if up == 2 else None
    y = ops.modulated_conv2d(
        x, weight.kernel, style, demodulate=layer.demodulate,
        weight_square=weight.square if layer.demodulate else None, weight_gain=weight.gain,
        weight_points=weight.points, up=up, resample_filter=None if taps is None else taps / 2, noise=noise,
        bias=bias, activation=_activation(layer) or "linear", gain=float(layer.activate_scale),
    )  # fmt: skip
    return kept.in_layout(y)


def is_upsampling(module: nn.Module) -> bool:
    return takes(module, "x") and has(module, "scale_factor", "kernel", "upsample_padding", "padding")


def _keep_upsampling(layer: Any) -> Kept:
    return Kept(filter=layer.kernel)


def _why_not_upsampling(kept: Kept, layer: Any, x: Tensor) -> str:
    if not is_4d(x) or tuple(layer.upsample_padding[1::4]) != (
        layer.scale_factor - 1,
        layer.scale_factor - 1,
        0,
    ):
        return "arguments that the original refuses"
    return ""


def _upsampling(kept: Kept, layer: Any, x: Tensor) -> Tensor:
    note("UpsamplingLayer", "upfirdn2d", x)
    taps = kept.taps_of(layer.kernel)
    filter_ = layer.kernel.flatten(0, 2) if taps is None else taps
    y = ops.upfirdn2d(x, filter_, up=layer.scale_factor, padding=list(layer.padding), flip_filter=True)
    return kept.in_layout(y)


KINDS = (
    Kind("UpsamplingLayer", FAMILY, is_upsampling, _keep_upsampling, _why_not_upsampling, _upsampling),
    Kind("ModulateConvBlock", FAMILY, is_genforce, _keep_genforce, _why_not_genforce, _genforce),
    Kind("ModulateConvBlock", FAMILY, is_higan, _keep_higan, _why_not_higan, _higan),
)
