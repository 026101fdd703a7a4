"""The layers of stylegan2-ada-pytorch, and of the StyleGAN2 networks in stylegan3's code."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from higan_fast import ops
from higan_fast.compat.layers.kind import Kept, Kind, has, hooks_of, is_4d, random_noise, takes
from higan_fast.compat.modulated import modulated, why_not_ours
from higan_fast.compat.nvlabs import upsample2d
from higan_fast.compat.tally import counting, note
from higan_fast.ops.bias_act import ACTIVATIONS
from higan_fast.ops.modulated_conv2d import normalize_styles

FAMILY = "stylegan2-ada-pytorch"
BLOCK = ("x", "img", "ws", "force_fp32", "fused_modconv")  # arguments
NOISE_MODES = ("random", "const", "none")


def is_network(module: nn.Module) -> bool:
    return takes(module, "ws", "**") and has(module, "block_resolutions", "num_ws", "img_channels")


def is_layer(module: nn.Module) -> bool:
    return takes(module, "x", "w", "noise_mode", "fused_modconv", "gain") and has(
        module, "affine", "weight", "bias", "resample_filter", "up", "use_noise", "activation", "act_gain",
        "conv_clamp", "padding", "resolution",
    )  # fmt: skip


def is_to_rgb(module: nn.Module) -> bool:
    return takes(module, "x", "w", "fused_modconv") and has(
        module, "affine", "weight", "bias", "weight_gain", "conv_clamp"
    )


def is_block(module: Any) -> bool:
    if not (takes(module, *BLOCK, "**") or takes(module, *BLOCK, "update_emas", "**")):
        return False
    if not has(module, "in_channels", "architecture", "is_last", "use_fp16", "resample_filter", "conv1"):
        return False
    layers = [module.conv1, *([module.conv0] if module.in_channels else [])]
    return all(is_layer(layer) for layer in layers) and (
        not hasattr(module, "torgb") or is_to_rgb(module.torgb)
    )


# --- one layer


def _keep_layer(layer: Any) -> Kept:
    return Kept(filter=layer.resample_filter)


def _why_not_layer(
    kept: Kept,
    layer: Any,
    x: Tensor,
    w: Tensor,
    noise_mode: str = "random",
    fused_modconv: bool = True,
    gain: float = 1,
) -> str:
    if noise_mode not in NOISE_MODES or not is_4d(x) or x.shape[1] != layer.weight.shape[1]:
        return "arguments that the original refuses"
    if (x.shape[2] * layer.up, x.shape[3] * layer.up) != _size(layer):
        return "arguments that the original refuses"
    return "" if layer.activation in ACTIVATIONS else f"activation {layer.activation!r}"


def _size(layer: Any) -> tuple[int, int]:
    """Height and width of what a layer gives; where that is not square, its noise alone says so."""
    if layer.use_noise:
        height, width = layer.noise_const.shape
        return height, width
    return layer.resolution, layer.resolution


def _layer(
    kept: Kept,
    layer: Any,
    x: Tensor,
    w: Tensor,
    noise_mode: str = "random",
    fused_modconv: bool = True,
    gain: float = 1,
) -> Tensor:
    taps = kept.taps_of(layer.resample_filter)
    reason = why_not_ours(x, layer.weight, layer.up, 1, layer.padding, taps)
    note("SynthesisLayer", "modulated_conv2d", x, layer.weight, w, layer.bias, reason=reason)
    styles = layer.affine(w)
    if not reason:
        return kept.in_layout(convolved(kept, layer, x, styles, noise_mode, gain))
    with counting(None):  # its parts are a part of this call
        y = modulated(
            x, layer.weight, styles, noise=_noise(layer, noise_mode, len(styles), x.device), up=layer.up,
            padding=layer.padding, resample_filter=layer.resample_filter, flip_weight=layer.up == 1,
        )  # fmt: skip
    return ops.bias_act(y, layer.bias, activation=layer.activation, **_gains(layer, gain))


def convolved(
    kept: Kept,
    layer: Any,
    x: Tensor,
    styles: Tensor,
    noise_mode: str,
    gain: float,
    next_styles: Tensor | None = None,
    is_modulated: bool = False,
) -> Tensor:
    """Runs a whole layer as one op; see ``higan_fast.ops.modulated_conv2d`` for the arguments."""
    weight = kept.weight.get(layer.weight, x, layer.up)
    return ops.modulated_conv2d(
        x,
        weight.kernel,
        styles,
        weight_square=weight.square,
        weight_gain=weight.gain,
        weight_points=weight.points,
        up=layer.up,
        resample_filter=kept.taps_of(layer.resample_filter) if layer.up == 2 else None,
        noise=_noise(layer, noise_mode, len(styles), x.device),
        bias=layer.bias,
        activation=layer.activation,
        next_styles=next_styles,
        modulated=is_modulated,
        **_gains(layer, gain),
    )


def _gains(layer: Any, gain: float) -> dict[str, Any]:
    clamp = None if layer.conv_clamp is None else float(layer.conv_clamp * gain)
    return {"gain": float(layer.act_gain * gain), "clamp": clamp}


def _noise(layer: Any, noise_mode: str, num: int, device: torch.device) -> Tensor | None:
    if not layer.use_noise or noise_mode == "none":
        return None
    if noise_mode == "const":
        noise: Tensor = layer.noise_const
    else:
        noise = random_noise((num, 1, *_size(layer)), device)
    return noise * layer.noise_strength


# --- to RGB


def _keep_plain(layer: Any) -> Kept:
    return Kept()


def _why_not_to_rgb(kept: Kept, layer: Any, x: Tensor, w: Tensor, fused_modconv: bool = True) -> str:
    if not is_4d(x) or x.shape[1] != layer.weight.shape[1]:
        return "arguments that the original refuses"
    return ""


def _to_rgb(kept: Kept, layer: Any, x: Tensor, w: Tensor, fused_modconv: bool = True) -> Tensor:
    styles = layer.affine(w) * layer.weight_gain
    clamp = None if layer.conv_clamp is None else float(layer.conv_clamp)
    reason = why_not_ours(x, layer.weight, 1, 1, 0, None)
    note("ToRGBLayer", "modulated_conv2d", x, layer.weight, w, layer.bias, reason=reason)
    if reason:
        with counting(None):
            y = modulated(x, layer.weight, styles, demodulate=False)
        return ops.bias_act(y, layer.bias, clamp=clamp)
    weight = kept.weight.get(layer.weight, x, 1)
    y = ops.modulated_conv2d(
        x,
        weight.kernel,
        styles,
        demodulate=False,
        weight_gain=weight.gain,
        weight_points=weight.points,
        bias=layer.bias,
        clamp=clamp,
    )
    return kept.in_layout(y)


# --- a block


class _KeptBlock(Kept):
    def __init__(self, block: Any) -> None:
        super().__init__(filter=block.resample_filter)
        self.convs = [_keep_layer(layer) for layer in _convs(block)]
        # stylegan3's code has it so, and passes on what its other networks need.
        self.half_on_cuda_only = takes(block, *BLOCK, "update_emas", "**")


def _convs(block: Any) -> list[Any]:
    return [block.conv0, block.conv1] if block.in_channels else [block.conv1]


def _why_not_block(
    kept: Kept,
    block: Any,
    x: Tensor | None,
    img: Tensor | None,
    ws: Tensor,
    force_fp32: bool = False,
    fused_modconv: bool | None = None,
    update_emas: bool = False,
    **others: Any,
) -> str:
    convs, torgb = _convs(block), getattr(block, "torgb", None)
    if unknown := others.keys() - {"noise_mode", "gain"}:
        return f"the argument {sorted(unknown)[0]}"
    if hooks_of(*convs, *([torgb] if torgb is not None else [])):
        return "a hook on one of its layers"
    if others.get("noise_mode", "random") not in NOISE_MODES or ws.ndim != 3:
        return "arguments that the original refuses"
    if (x is None) != (block.in_channels == 0) or ws.shape[1] != len(convs) + (torgb is not None):
        return "arguments that the original refuses"
    if img is not None and (torgb is None or not is_4d(img)):
        return "an image before the block that makes one"
    if torgb is not None and torgb.weight.shape[2:] != (1, 1):
        return "an image that is made by another than a 1×1 convolution"
    for conv, up in zip(convs, (2, 1) if block.in_channels else (1,), strict=True):
        if conv.up != up or conv.weight.shape[2:] != (3, 3) or conv.padding != 1:
            return "convolutions that are not 3×3"
        if conv.activation not in ACTIVATIONS:
            return f"activation {conv.activation!r}"
    height, width = _size(convs[0])
    if x is not None and x.shape[1:] != (block.in_channels, height // 2, width // 2):
        return "arguments that the original refuses"
    return ""


def _block(
    kept: _KeptBlock,
    block: Any,
    x: Tensor | None,
    img: Tensor | None,
    ws: Tensor,
    force_fp32: bool = False,
    fused_modconv: bool | None = None,
    update_emas: bool = False,
    noise_mode: str = "random",
    gain: float = 1,
) -> tuple[Tensor, Tensor | None]:
    convs, codes = _convs(block), list(ws.unbind(1))
    half = block.use_fp16 and not force_fp32 and (not kept.half_on_cuda_only or ws.device.type == "cuda")
    dtype = torch.float16 if half else torch.float32
    x = block.const[None] if x is None else x  # one sample serves all styles
    x = x.to(dtype)
    taps = kept.taps_of(block.resample_filter)
    four = kept.has_four_taps(block.resample_filter) and all(
        conv.up == 1 or own.has_four_taps(conv.resample_filter)
        for conv, own in zip(convs, kept.convs, strict=True)
    )
    reason = "" if four else "a filter that is not 4 taps for both axes"
    note("SynthesisBlock", "modulated_conv2d", x, convs[0].weight, ws, reason=reason)
    residual = None
    if block.in_channels and block.architecture == "resnet":
        residual = block.skip(x, gain=math.sqrt(0.5))
    gains = [gain, gain if residual is None else math.sqrt(0.5)][-len(convs) :]
    styles = [_styles(conv, code, dtype) for conv, code in zip(convs, codes, strict=False)]
    for index, (conv, own) in enumerate(zip(convs, kept.convs, strict=True)):
        if reason:
            x = _layer(own, conv, x.expand(len(ws), -1, -1, -1), codes[index], noise_mode, gain=gains[index])
            continue
        following = styles[index + 1] if index + 1 < len(convs) else None
        x = convolved(
            own, conv, x, styles[index], noise_mode, gains[index], following, is_modulated=index > 0
        )
    if residual is not None:
        x = residual + x
    image = _with_image(block, x, img, codes, taps if four else None)
    return kept.in_layout(x), image


def _with_image(
    block: Any, x: Tensor, img: Tensor | None, codes: list[Tensor], taps: Tensor | None
) -> Tensor | None:
    """Returns the image with what this block adds to it, ``[N, C, H, W]`` in float32."""
    torgb = getattr(block, "torgb", None)
    if torgb is None:
        return img
    rgb = img
    if img is not None and taps is None:
        rgb = upsample2d(img, block.resample_filter)
    image = ops.to_rgb(
        x,
        torgb.weight,
        torgb.affine(codes[-1]) * torgb.weight_gain,
        bias=torgb.bias,
        rgb=rgb,
        resample_filter=taps,
        clamp=None if torgb.conv_clamp is None else float(torgb.conv_clamp),
    )
    return image.contiguous()


def _styles(layer: Any, code: Tensor, dtype: torch.dtype) -> Tensor:
    """Styles ``[N, I]``; in float16 scaled to a largest magnitude of 1, which demodulation cancels."""
    styles: Tensor = layer.affine(code)
    return normalize_styles(styles)[0] if dtype == torch.float16 else styles


KINDS = (
    Kind("SynthesisBlock", FAMILY, is_block, _KeptBlock, _why_not_block, _block),
    Kind("SynthesisLayer", FAMILY, is_layer, _keep_layer, _why_not_layer, _layer),
    Kind("ToRGBLayer", FAMILY, is_to_rgb, _keep_plain, _why_not_to_rgb, _to_rgb),
)
