"""The last convolution of a StyleGAN2 block with all that follows: RGB, and modulation for the next block.

Run one after another, a tail, an RGB layer and a modulation read the features three times and write them
twice. Here they are read once, and written once or, in the last block, not at all.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from higan_fast import _native
from higan_fast.ops.arrays import takes_arrays
from higan_fast.ops.bias_act import check_activation, tail_numbers
from higan_fast.ops.checks import check_clamp
from higan_fast.ops.implementation import Impl, use_native
from higan_fast.ops.layout import accumulator_dtype, empty_image, small
from higan_fast.ops.modulated_conv2d import Convolution, check_convolution, convolve
from higan_fast.ops.modulated_conv2d import in_passes as convolve_in_passes
from higan_fast.ops.registration import register
from higan_fast.ops.to_rgb import MOST_COLORS, check_rgb, in_groups, to_rgb
from higan_fast.ops.to_rgb import in_passes as rgb_in_passes


@takes_arrays
def finish_block(
    x: Tensor,
    weight: Tensor,
    demod: Tensor,
    rgb_weight: Tensor,
    rgb_styles: Tensor,
    *,
    styles: Tensor | None = None,
    noise: Tensor | None = None,
    bias: Tensor | None = None,
    activation: str = "linear",
    gain: float | None = None,
    clamp: float | None = None,
    next_styles: Tensor | None = None,
    keep: bool = True,
    rgb_bias: Tensor | None = None,
    rgb: Tensor | None = None,
    resample_filter: Tensor | None = None,
    rgb_clamp: float | None = None,
    weight_points: Tensor | None = None,
    convolution: Convolution = "auto",
    impl: Impl = "auto",
) -> tuple[Tensor | None, Tensor]:
    """Computes ``y = bias_act(demod · conv(x, weight) + noise, bias)``, ``next_styles · y`` and the RGB of y.

    Args:
        x: ``[N, I, H, W]``, already multiplied by the convolution's styles unless these are given.
        weight: ``[O, I, k, k]``, k = 1 or 3; for float16 features one that ``normalize_weight`` has scaled.
        demod: ``[N·P, O]``; undoes what normalised the weight and the styles.
        rgb_weight: ``[K, O, 1, 1]``.
        rgb_styles: ``[N·P, O]``, already scaled by that layer's weight gain.
        styles: ``[N·P, I]``, multiplied into ``x``: sample n is used with styles n·P … n·P + P − 1. For
            float16 features they are of magnitude 1 at most. None: P is 1.
        noise, bias, activation, gain, clamp: as in ``modulated_conv2d``.
        next_styles: ``[N·P, O]``, styles of the next convolution; None: the features stay as they are.
        keep: whether the features are needed; if not, they are not written.
        rgb_bias, rgb, resample_filter, rgb_clamp: as ``bias``, ``rgb``, … in ``to_rgb``.
        weight_points, convolution: as in ``modulated_conv2d``.
        impl: ``"auto"``, ``"reference"`` or ``"native"``.

    Returns:
        The features ``[N·P, O, H, W]`` in ``x``'s dtype, or None; and the RGB ``[N·P, K, H, W]``.

    Raises:
        ValueError: if shapes do not match, a clamp is below 0, or the activation is unknown.
    """
    check_clamp(clamp)
    check_clamp(rgb_clamp, "rgb_clamp")
    given = (x, weight, demod, rgb_weight, rgb_styles, styles, noise, bias, next_styles, rgb_bias, rgb)
    native = use_native("finish_block", impl, *given)
    check_activation(activation)
    _check(x, weight, demod, styles, next_styles, convolution)
    height, width = x.shape[2:]
    check_rgb((_num(x, styles), len(weight), height, width), rgb_weight, rgb_styles, rgb, resample_filter)
    if native and len(rgb_weight) > MOST_COLORS:
        return _of_many_colors(
            x, weight, demod, rgb_weight, rgb_styles, rgb_bias, rgb, keep=keep, next_styles=next_styles,
            styles=styles, noise=noise, bias=bias, activation=activation, gain=gain, clamp=clamp,
            resample_filter=resample_filter, rgb_clamp=rgb_clamp, weight_points=weight_points,
            convolution=convolution, impl=impl,
        )  # fmt: skip
    arguments = (
        x, weight, demod, rgb_weight, rgb_styles, styles, noise, bias, activation, gain, clamp, next_styles,
        keep, rgb_bias, rgb, resample_filter, rgb_clamp, convolution, weight_points,
    )  # fmt: skip
    features, image = (_op if native else _reference)(*arguments)
    return (features if keep else None), image


def _of_many_colors(
    x: Tensor,
    weight: Tensor,
    demod: Tensor,
    rgb_weight: Tensor,
    rgb_styles: Tensor,
    rgb_bias: Tensor | None,
    rgb: Tensor | None,
    *,
    keep: bool,
    next_styles: Tensor | None,
    **others: Any,
) -> tuple[Tensor | None, Tensor]:
    """As ``finish_block``: the kernel makes the first colors, and the features make the others."""
    (first, *more) = in_groups(rgb_weight, rgb_bias, rgb)
    features, image = finish_block(
        x, weight, demod, first[0], rgb_styles, rgb_bias=first[1], rgb=first[2], **others
    )
    assert features is not None  # it keeps them unless told otherwise
    images, own = [image], {name: others[name] for name in ("resample_filter", "impl")}
    for part, bias, before in more:
        given = own | {"bias": bias, "rgb": before, "clamp": others["rgb_clamp"]}
        images.append(to_rgb(features, part, rgb_styles, **given))
    if keep and next_styles is not None:
        features = features * next_styles.to(features.dtype)[:, :, None, None]
    return (features if keep else None), torch.cat(images, 1)


def _num(x: Tensor, styles: Tensor | None) -> int:
    """Returns the number of results, N·P."""
    return len(x if styles is None else styles)


def _reference(
    x: Tensor,
    weight: Tensor,
    demod: Tensor,
    rgb_weight: Tensor,
    rgb_styles: Tensor,
    styles: Tensor | None,
    noise: Tensor | None,
    bias: Tensor | None,
    activation: str,
    gain: float | None,
    clamp: float | None,
    next_styles: Tensor | None,
    keep: bool,
    rgb_bias: Tensor | None,
    rgb: Tensor | None,
    resample_filter: Tensor | None,
    rgb_clamp: float | None,
    convolution: str,
    weight_points: Tensor | None,
) -> tuple[Tensor, Tensor]:
    y = convolve_in_passes(
        x, weight, styles, demod, 1, None, noise, bias, activation, gain, clamp, None, convolution, None
    )
    image = rgb_in_passes(y, rgb_weight, rgb_styles, rgb_bias, rgb, resample_filter, rgb_clamp)
    if not keep:
        return y.new_empty(0), image
    return (y if next_styles is None else y * next_styles.to(y.dtype)[:, :, None, None]), image


def _fake(
    x: Tensor,
    weight: Tensor,
    demod: Tensor,
    rgb_weight: Tensor,
    rgb_styles: Tensor,
    styles: Tensor | None,
    noise: Tensor | None,
    bias: Tensor | None,
    activation: str,
    gain: float | None,
    clamp: float | None,
    next_styles: Tensor | None,
    keep: bool,
    *_: object,
) -> tuple[Tensor, Tensor]:
    shape = (_num(x, styles), weight.shape[0], *x.shape[2:])
    features = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    return (features if keep else features.new_empty(0)), _image(features, rgb_weight)


def _image(features: Tensor, rgb_weight: Tensor) -> Tensor:
    num, _channels, height, width = features.shape
    dtype = accumulator_dtype(features.dtype)
    return empty_image((num, rgb_weight.shape[0], height, width), like=features, dtype=dtype)


def _native_finish_block(
    x: Tensor,
    weight: Tensor,
    demod: Tensor,
    rgb_weight: Tensor,
    rgb_styles: Tensor,
    styles: Tensor | None,
    noise: Tensor | None,
    bias: Tensor | None,
    activation: str,
    gain: float | None,
    clamp: float | None,
    next_styles: Tensor | None,
    keep: bool,
    rgb_bias: Tensor | None,
    rgb: Tensor | None,
    resample_filter: Tensor | None,
    rgb_clamp: float | None,
    convolution: str,
    weight_points: Tensor | None,
) -> tuple[Tensor, Tensor]:
    nothing = (None, 1, None, None, None, "linear", None, None, None)
    features = convolve(x, weight, styles, *nothing, convolution, weight_points)
    image = _image(features, rgb_weight)
    noise = small(noise, x)
    spread = None if noise is None else _native.describe_expanded(noise, (len(features), 1, *x.shape[2:]))
    kernel = small(rgb_weight, x)
    assert kernel is not None
    address, code, sizes, strides = _native.describe(kernel)
    flat = address, code, sizes[:2], strides[:2]  # [K, O]
    same = rgb is not None and rgb.shape[2:] == x.shape[2:]
    _native.launch(
        "finish_block", x.device, features, small(demod, x), spread, small(bias, x), small(next_styles, x),
        *tail_numbers(activation, None, gain, clamp), features, keep, flat,
        small(rgb_styles, x), small(rgb_bias, x), small(rgb, x),
        None if same or rgb is None else small(resample_filter, x), -1.0 if rgb_clamp is None else rgb_clamp,
        image,
    )  # fmt: skip
    return (features if keep else features.new_empty(0)), image


_op = register("finish_block", _reference, _native_finish_block, _fake)


def _check(
    x: Tensor,
    weight: Tensor,
    demod: Tensor,
    styles: Tensor | None,
    next_styles: Tensor | None,
    convolution: str,
) -> None:
    check_convolution(x, weight, styles, 1, None, next_styles, False, convolution)
    expected = (_num(x, styles), len(weight))
    if demod.shape != expected:
        raise ValueError(f"demod: got shape {tuple(demod.shape)}, expected [N·P, O] = {expected}")
