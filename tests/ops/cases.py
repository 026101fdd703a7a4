"""What every implementation of every op is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from higan_fast.ops import (
    adain,
    bias_act,
    conditional_batch_norm_act,
    filtered_lrelu,
    finish_block,
    image_to_input,
    layer_styles,
    modulated_conv2d,
    perturb_styles,
    setup_filter,
    to_rgb,
    upfirdn2d,
)
from tests.ops.calls import Case
from tests.tolerances import CONVOLUTION

FILTER = setup_filter()


def convolution(
    name: str,
    k: int = 3,
    inputs: int = 16,
    outputs: int = 24,
    size: tuple[int, int] = (5, 7),
    per_sample: int = 1,
    tail: bool = True,
    **options: Any,
) -> Case:
    """A modulated convolution of two samples, with all of its tail or none."""
    up, num = options.get("up", 1), 2 * per_sample
    others = {"styles": (num, inputs)}
    if tail:
        others |= {
            "noise": (1, 1, size[0] * up, size[1] * up),
            "bias": (outputs,),
            "next_styles": (num, outputs),
        }
        options = {"activation": "lrelu", "clamp": 3.0, **options}
    return Case(
        modulated_conv2d,
        name,
        {"x": (2, inputs, *size), "weight": (outputs, inputs, k, k)},
        others,
        {"resample_filter": FILTER} if up == 2 else {},
        options,
        roundings=CONVOLUTION,
    )


def fused(name: str, **arguments: Any) -> Case:
    made = convolution(name, convolution="fused", **arguments)
    return replace(made, only=("emulated", "cuda"))


def block(
    name: str,
    outputs: int = 24,
    size: tuple[int, int] = (5, 7),
    colors: int = 3,
    rgb: tuple[int, int] | None = None,
    next_styles: bool = True,
    per_sample: int = 1,
    **options: Any,
) -> Case:
    """The end of a block of two samples, whose RGB is added to one of size ``rgb``."""
    num = 2 * per_sample
    others = {
        "demod": (num, outputs),
        "rgb_styles": (num, outputs),
        "bias": (outputs,),
        "rgb_bias": (colors,),
    }
    others |= {"styles": (num, 16), "noise": (1, 1, *size)}
    if next_styles:
        others["next_styles"] = (num, outputs)
    if rgb is not None:
        others["rgb"] = (num, colors, *rgb)
    return Case(
        finish_block,
        name,
        {"x": (2, 16, *size), "weight": (outputs, 16, 3, 3), "rgb_weight": (colors, outputs, 1, 1)},
        others,
        {"resample_filter": FILTER} if rgb not in (None, size) else {},
        {"activation": "lrelu", "clamp": 60.0, "rgb_clamp": 300.0, **options},  # of sums of 144 products
        roundings=CONVOLUTION,
    )


def filtered(
    name: str, up: int, taps: tuple[int, ...], down: int, x: tuple[int, ...] = (2, 3, 4, 3), **options: Any
) -> Case:
    """A leaky ReLU between filters, of which the first has 6 taps for each pixel, as in StyleGAN3."""
    others = {"up_filter": (6 * up,), "down_filter": taps, "bias": x[1:2]}
    return Case(filtered_lrelu, name, {"x": x}, others, options={"up": up, "down": down, **options})


PLAIN = {"x": (2, 16, 5, 7)}
CASES = [
    *[
        Case(bias_act, name, {"x": (3, 5, 4, 7)}, {"bias": (5,)}, options={"activation": name, "clamp": 1.1})
        for name in ("linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish")
    ],
    Case(bias_act, "rows", {"x": (9, 33)}, {"bias": (33,)}, options={"activation": "lrelu", "gain": -0.7}),
    Case(
        bias_act,
        "dim 2",
        {"x": (3, 4, 5)},
        {"bias": (5,)},
        options={"dim": 2, "alpha": 0.3, "activation": "lrelu"},
    ),
    Case(bias_act, "no bias", {"x": (2, 8, 4, 8)}, options={"activation": "relu"}),
    Case(
        upfirdn2d,
        "up",
        PLAIN,
        given={"filter": FILTER},
        options={"up": 2, "padding": [2, 1, 2, 1], "gain": 4},
    ),
    Case(upfirdn2d, "down", PLAIN, given={"filter": FILTER}, options={"down": 2, "padding": 1}),
    Case(upfirdn2d, "blur", {"x": (2, 3, 6, 5)}, given={"filter": FILTER}, options={"padding": [2, 1, 0, 3]}),
    Case(
        upfirdn2d,
        "2-D",
        PLAIN,
        {"filter": (3, 2)},
        options={"up": 3, "down": 2, "padding": [3, 0, 1, 2], "flip_filter": True},
    ),
    Case(upfirdn2d, "crop", {"x": (1, 4, 9, 8)}, {"filter": (5,)}, options={"padding": [-1, 4, 2, -2]}),
    Case(
        upfirdn2d,
        "12 taps",
        {"x": (1, 8, 9, 8)},
        {"filter": (12,)},
        options={"up": 4, "padding": [6, 7, 8, 5]},
    ),
    convolution("plain", tail=False),
    convolution("whole tail"),
    convolution("1×1", k=1),
    convolution("up", up=2),
    convolution("up 1×1", up=2, k=1),
    convolution("odd", inputs=3, outputs=5, size=(1, 9)),
    convolution("odd up", inputs=5, outputs=3, size=(3, 1), up=2),
    convolution("three styles each", per_sample=3),
    convolution("no demodulation", demodulate=False, clamp=None),
    convolution("swish", activation="swish", gain=-1.5),
    fused("fused", size=(16, 17)),
    fused("fused small"),
    fused("fused, plain", tail=False, inputs=8, outputs=40),
    fused("fused 1×1", k=1, inputs=72, outputs=130),
    fused("fused up", up=2, inputs=40, size=(17, 16)),
    fused("fused up 1×1", up=2, k=1, inputs=24, size=(9, 3)),
    fused("fused, three styles each", per_sample=3, size=(16, 16), outputs=7),
    Case(
        layer_styles,
        "normalised",
        {},
        {
            "codes": (9, 4, 136),
            "weight": (112, 136),
            "bias": (112,),
            "weight_square": (4 * 40 + 40 * 64,),
            "gain": (44,),
        },
        options={"parts": [(3, 40, 4), (1, 8, 0), (0, 64, 40)], "normalize": True},
        positive=("weight_square",),
    ),
    Case(
        layer_styles,
        "odd",
        {},
        {"codes": (2, 3, 5), "weight": (9, 5), "bias": (9,), "weight_square": (3 * 7 + 1 * 2,)},
        options={"parts": [(0, 3, 7), (2, 5, 0), (1, 1, 2)]},
        positive=("weight_square",),
    ),
    Case(
        layer_styles,
        "styles only",
        {},
        {"codes": (2, 1, 8), "weight": (4, 8), "bias": (4,)},
        options={"parts": [(0, 4, 0)], "normalize": True},
    ),
    Case(
        perturb_styles,
        "normalised",
        {},
        {
            "base": (3, 112),
            "directions": (5, 112),
            "steps": (9,),
            "weight_square": (4 * 40 + 40 * 64,),
            "gain": (44,),
        },
        options={
            "parts": [(3, 40, 4), (1, 8, 0), (0, 64, 40)],
            "normalize": True,
            "source": torch.tensor([2, 0, 0, 1, 2, 2, 1, 0, 2]),
            "direction": torch.tensor([4, 4, 0, 1, 3, 3, 2, 0, 4]),
        },
        positive=("weight_square",),
    ),
    Case(
        perturb_styles,
        "odd",
        {},
        {"base": (2, 9), "directions": (1, 9), "steps": (3,), "weight_square": (3 * 7 + 1 * 2,)},
        options={
            "parts": [(0, 3, 7), (0, 5, 0), (0, 1, 2)],
            "source": torch.tensor([1, 1, 0]),
            "direction": torch.tensor([0, 0, 0]),
        },
        positive=("weight_square",),
    ),
    Case(
        perturb_styles,
        "styles only",
        {},
        {"base": (2, 1100), "directions": (3, 1100), "steps": (2,)},
        options={
            "parts": [(0, 1100, 0)],
            "normalize": True,
            "source": torch.tensor([0, 1]),
            "direction": torch.tensor([2, 0]),
        },
    ),
    Case(
        adain,
        "whole",
        PLAIN,
        {"scale": (2, 16), "shift": (2, 16), "noise": (1, 1, 5, 7), "strength": (16,), "bias": (16,)},
    ),
    Case(
        adain,
        "plain",
        {"x": (2, 5, 9, 11)},
        {"scale": (2, 5), "shift": (2, 5)},
        options={"activation": "linear"},
    ),
    Case(
        adain,
        "noise of each sample",
        {"x": (2, 24, 33, 32)},
        {"scale": (2, 24), "shift": (2, 24), "noise": (2, 1, 33, 32), "strength": (24,)},
    ),
    Case(
        conditional_batch_norm_act,
        "as it is",
        PLAIN,
        {"mean": (16,), "variance": (16,), "scale": (2, 16), "shift": (2, 16)},
        positive=("variance",),
    ),
    Case(
        conditional_batch_norm_act,
        "statistics of each sample",
        PLAIN,
        {"mean": (2, 16), "variance": (2, 16), "scale": (2, 16), "shift": (2, 16)},
        positive=("variance",),
    ),
    Case(
        conditional_batch_norm_act,
        "up",
        {"x": (2, 5, 3, 6)},
        {"mean": (5,), "variance": (5,), "scale": (2, 5), "shift": (2, 5)},
        positive=("variance",),
        options={"up": 2, "activation": "swish"},
    ),
    Case(
        to_rgb,
        "alone",
        PLAIN | {"weight": (3, 16, 1, 1)},
        {"styles": (2, 16), "bias": (3,)},
        options={"clamp": 2.0},
    ),
    Case(
        to_rgb,
        "upsampled",
        {"x": (2, 37, 6, 8), "weight": (3, 37, 1, 1)},
        {"styles": (2, 37), "bias": (3,), "rgb": (2, 3, 3, 4)},
        given={"resample_filter": FILTER},
    ),
    Case(
        to_rgb,
        "gray, odd",
        {"x": (2, 24, 6, 8), "weight": (1, 24, 1, 1)},
        {"styles": (2, 24), "bias": (1,), "rgb": (2, 1, 3, 4)},
        given={"resample_filter": FILTER},
    ),
    Case(
        to_rgb,
        "of seven, odd",
        {"x": (2, 16, 4, 10), "weight": (7, 16, 1, 1)},
        {"styles": (2, 16), "bias": (7,), "rgb": (2, 7, 2, 5)},
        given={"resample_filter": FILTER},
    ),
    Case(
        to_rgb,
        "same size",
        {"x": (2, 64, 5, 7), "weight": (3, 64, 1, 1)},
        {"styles": (2, 64), "rgb": (2, 3, 5, 7)},
    ),
    block("first"),
    block("upsampled", outputs=72, size=(6, 8), rgb=(3, 4), per_sample=2),
    block("last", rgb=(5, 7), next_styles=False, keep=False, clamp=None),
    block("odd", outputs=5, size=(2, 18), rgb=(1, 9), gain=-0.5),
    block("swish", colors=4, activation="swish"),
    block("gray, odd", colors=1, size=(6, 4), rgb=(3, 2)),
    block("RGBA, odd", colors=4, size=(8, 4), rgb=(4, 2)),
    block("of six, odd", colors=6, size=(2, 10), rgb=(1, 5)),
    block("of six, odd, last", colors=6, next_styles=False, keep=False),
    replace(block("fused", size=(16, 17), convolution="fused"), only=("emulated", "cuda")),
    filtered("StyleGAN3-T", 2, (12,), 2, padding=[9, 10, 11, 8], clamp=9.0),
    filtered("odd, StyleGAN3-R", 4, (12, 12), 2, padding=[13, 14, 15, 12]),
    filtered("odd", 3, (2, 3), 1, (1, 19, 4, 3), padding=[1, 16, -2, 14], flip_filter=True, gain=0.7),
    Case(
        image_to_input,
        "normalise",
        {"images": (2, 3, 6, 7)},
        options={"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)},
    ),
    Case(
        image_to_input,
        "gray, odd",
        {"images": (2, 1, 9, 14)},
        options={"size": 6, "mean": [0.4], "std": [0.3]},
    ),
    Case(image_to_input, "RGBA, odd", {"images": (2, 4, 5, 11)}, options={"size": (7, 4)}),
    Case(
        image_to_input,
        "of six, odd",
        {"images": (2, 6, 8, 5)},
        options={"size": (4, 9), "mean": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), "std": (0.2,) * 6},
    ),
    Case(image_to_input, "shrink", {"images": (2, 3, 23, 17)}, options={"size": 7}),
    Case(image_to_input, "enlarge", {"images": (2, 3, 5, 6)}, options={"size": 13}),
    Case(
        image_to_input, "four neighbours", {"images": (2, 3, 23, 17)}, options={"size": 7, "antialias": False}
    ),
    Case(image_to_input, "rounded", {"images": (2, 3, 16, 16)}, options={"size": 9, "round_to_uint8": True}),
]
