"""Checks every kernel when a device is first used, so that a faulty kernel never draws an image."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from higan_fast.ops import implementation
from higan_fast.ops.adain import adain
from higan_fast.ops.bias_act import bias_act
from higan_fast.ops.conditional_batch_norm_act import conditional_batch_norm_act
from higan_fast.ops.filtered_lrelu import filtered_lrelu
from higan_fast.ops.finish_block import finish_block
from higan_fast.ops.image_to_input import image_to_input
from higan_fast.ops.layer_styles import layer_styles
from higan_fast.ops.modulated_conv2d import modulated_conv2d
from higan_fast.ops.perturb_styles import perturb_styles
from higan_fast.ops.style_parts import StylePart
from higan_fast.ops.to_rgb import to_rgb
from higan_fast.ops.upfirdn2d import setup_filter, upfirdn2d

# Far above rounding in float16 and TF32 convolutions; far below the error of a wrong index or lost barrier.
TOLERANCE = 0.03
# Of float32 on tensor cores: sums of 144 products err by some 1e-7 in float32, and by 1e-3 in TF32.
SPLIT_TOLERANCE = 1e-5

_tested: set[tuple[torch.device, bool]] = set()

Draw = Callable[..., Tensor]


def examples(draw: Draw, fused: bool) -> dict[str, list[Callable[..., Any]]]:
    """Returns small calls of each op that reach its kernels; each call takes ``impl``.

    Args:
        draw: ``draw(*shape)`` returns activations, ``draw(*shape, small=True)`` styles, biases and the like.
        fused: whether our own convolution supports the dtype that ``draw`` returns.
    """
    x, weight = draw(2, 16, 16, 18), draw(24, 16, 3, 3)
    styles, bias, noise = (draw(*shape, small=True) for shape in ((2, 16), (24,), (1, 1, 16, 18)))
    half_rgb, scale = draw(2, 3, 8, 9, small=True), draw(2, 16, small=True)
    per_channel = [draw(16, small=True) for _ in range(2)]
    codes = draw(2, 7, 12, small=True)
    taps, long = setup_filter().to(styles), draw(24, small=True) / 4

    return {
        "bias_act": [lambda impl: bias_act(x, styles[0], activation="swish", clamp=1.0, impl=impl)],
        "upfirdn2d": [lambda impl: upfirdn2d(x, taps, up=2, padding=[2, 1, 2, 1], gain=4, impl=impl)],
        "modulated_conv2d": convolutions(draw, "library") + (convolutions(draw, "fused") if fused else []),
        "layer_styles": [
            lambda impl: layer_styles(
                codes,
                codes[0].repeat(3, 1)[:20],
                bias[:20],
                [StylePart(1, 12, 0), StylePart(0, 8, 3)],
                weight_square=bias.square(),
                gain=bias[:3],
                normalize=True,
                impl=impl,
            )
        ],
        "perturb_styles": [
            lambda impl: perturb_styles(
                styles,
                scale,
                torch.tensor([1, 0, 1], device=styles.device),
                torch.tensor([0, 0, 1], device=styles.device),
                bias[:3],
                [StylePart(0, 12, 2), StylePart(0, 4, 0)],
                weight_square=bias.square(),
                gain=bias[:2],
                normalize=True,
                impl=impl,
            )
        ],
        "adain": [lambda impl: adain(x, styles, scale, bias=per_channel[0], impl=impl)],
        "conditional_batch_norm_act": [
            lambda impl: conditional_batch_norm_act(
                x, per_channel[0], per_channel[1].square() + 0.1, styles, scale, up=2, impl=impl
            )
        ],
        "to_rgb": [
            lambda impl: to_rgb(
                x, weight[:3, :, :1, :1], styles, rgb=half_rgb, resample_filter=taps, impl=impl
            )
        ],
        "finish_block": [
            lambda impl: finish_block(
                x,
                weight,
                styles.repeat(1, 2)[:, :24],
                weight[:3, :1, :1, :1].expand(3, 24, 1, 1),
                styles.repeat(1, 2)[:, 4:28],
                noise=noise,
                bias=bias,
                activation="lrelu",
                next_styles=styles.repeat(1, 2)[:, 8:],
                rgb=half_rgb,
                resample_filter=taps,
                impl=impl,
            )
        ],
        "filtered_lrelu": [
            lambda impl, up=up, down_taps=down_taps: filtered_lrelu(
                x[:1, :2], long[: 6 * up], down_taps, styles[0, :2], up, 2, 9 + 2 * up, clamp=2.0, impl=impl
            )
            for up in (2, 3, 4)  # as StyleGAN3 does, and not
            for down_taps in (long[:12], torch.outer(long[:12], long[:12]))
        ],
        "image_to_input": [
            lambda impl: image_to_input(x[:, :3], 4, std=(0.2, 0.3, 0.4), round_to_uint8=False, impl=impl)
        ],
    }


def convolutions(draw: Draw, convolution: Any) -> list[Callable[..., Any]]:
    """Returns small modulated convolutions, as ``examples`` does."""
    x, weight = draw(2, 16, 16, 18), draw(24, 16, 3, 3)
    styles, bias, noise = (draw(*shape, small=True) for shape in ((2, 16), (24,), (1, 1, 16, 18)))
    taps = setup_filter().to(styles)
    tail: dict[str, Any] = {"bias": bias, "activation": "lrelu", "convolution": convolution}
    return [
        lambda impl: modulated_conv2d(x, weight, styles, noise=noise, impl=impl, **tail),
        lambda impl: modulated_conv2d(x, weight, styles, up=2, resample_filter=taps, impl=impl, **tail),
        lambda impl: modulated_conv2d(x, weight, styles.repeat_interleave(2, 0), impl=impl, **tail),
    ]


def self_test(device: torch.device, op: str = "") -> None:
    """Tests the kernels once per process and device; disables a kernel that fails, with a warning.

    Our convolution in float32 has a test of its own, which runs once ``op`` asks for it: a fault there leaves
    the library's convolution to all who do without.
    """
    split = op == implementation.SPLIT
    if (device, split) in _tested:
        return
    _tested.add((device, split))
    for dtype in (torch.float32,) if split else (torch.float32, torch.float16):
        _test(device, dtype, split)


def _test(device: torch.device, dtype: torch.dtype, split: bool) -> None:
    def drawer(on: torch.device, activations: torch.dtype, others: torch.dtype) -> Draw:
        random = torch.Generator().manual_seed(0)

        def draw(*shape: int, small: bool = False) -> Tensor:
            # Both sides get values rounded to dtype, so only the arithmetic differs.
            values = torch.randn(shape, generator=random).to(dtype).to(others if small else activations)
            return values.to(on)

        return draw

    def calls(draw: Draw) -> dict[str, list[Callable[..., Any]]]:
        if split:
            return {implementation.SPLIT: convolutions(draw, "fused")}
        return examples(draw, fused=dtype != torch.float32)

    here = calls(drawer(device, dtype, torch.float32))
    there = calls(drawer(torch.device("cpu"), torch.float64, torch.float64))
    instead = "the library's convolution" if split else "its PyTorch reference"
    with torch.inference_mode():
        for op in here:
            problem = _compare(here[op], there[op], SPLIT_TOLERANCE if split else TOLERANCE)
            if problem:
                implementation.disable(op, device, f"its self-test failed: {problem}")
                warnings.warn(
                    f"higan_fast: the {op} kernel failed its self-test on {device} ({problem}); "
                    f"{instead} runs instead",
                    RuntimeWarning,
                    stacklevel=2,
                )


def _compare(native: list[Callable[..., Any]], exact: list[Callable[..., Any]], tolerance: float) -> str:
    """Compares native calls with the same calls in float64; returns the problem, or an empty string."""
    for call, check in zip(native, exact, strict=True):
        try:
            found, expected = call(impl="native"), check(impl="reference")
        except RuntimeError as error:
            return str(error)
        pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
        for value, wanted in pairs:
            largest = wanted.abs().max().clamp(min=1)
            difference = ((value.cpu().double() - wanted).abs().max() / largest).item()
            if not difference <= tolerance:  # NaN too
                return f"relative difference {difference:.3g} on {value.dtype}, tolerated {tolerance}"
    return ""
