"""StyleGAN's layer tail in one op: noise, bias, activation, instance normalisation, style.

Source: Karras et al., arXiv 1812.04948, §2, and the official TensorFlow code. There the activation has no
gain (the weights include √2), ``epsilon`` is 1e-8, and a style ``(s, t)`` scales by ``s + 1``: pass that sum.
"""

from __future__ import annotations

import torch
from torch import Tensor

from higan_fast import _native
from higan_fast.ops.arrays import takes_arrays
from higan_fast.ops.bias_act import bias_act, check_activation, tail_numbers
from higan_fast.ops.checks import check_image, check_shapes
from higan_fast.ops.implementation import Impl, use_native
from higan_fast.ops.layout import accumulator_dtype, empty_image, small
from higan_fast.ops.registration import register

# The CUDA kernel splits planes larger than PIXELS_PER_BLOCK over at most MOST_BLOCKS thread blocks.
PIXELS_PER_BLOCK, MOST_BLOCKS = 1024, 256


@takes_arrays
def adain(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    *,
    noise: Tensor | None = None,
    strength: Tensor | None = None,
    bias: Tensor | None = None,
    activation: str = "lrelu",
    alpha: float | None = None,
    gain: float = 1.0,
    epsilon: float = 1e-8,
    impl: Impl = "auto",
) -> Tensor:
    """Computes ``normalise(gain · activation(x + strength · noise + bias)) · scale + shift``.

    Args:
        x: ``[N, C, H, W]``.
        scale, shift: ``[N, C]``, the style: each plane's new standard deviation and mean.
        noise: broadcasts to ``[N, 1, H, W]``; None: no noise.
        strength: ``[C]``, strength of the noise in each channel; required with ``noise``.
        bias: ``[C]``, or None.
        activation: a key of ``ACTIVATIONS``.
        alpha: slope of ``lrelu`` below zero; None: 0.2.
        gain: factor after the activation; the normalisation cancels it, except for ``epsilon``.
        epsilon: added to the biased variance of each plane ``[H, W]`` before taking its root.
        impl: ``"auto"``, ``"reference"`` or ``"native"``.

    Returns:
        ``[N, C, H, W]`` in ``x``'s dtype; statistics are computed in at least float32.

    Raises:
        ValueError: if the activation or implementation is unknown, shapes do not match, or only one of
            ``noise`` and ``strength`` is given.
    """
    native = use_native("adain", impl, x, scale, shift, noise, strength, bias)
    _check(x, scale, shift, noise, strength, bias, activation)
    return (_op if native else _reference)(
        x, scale, shift, noise, strength, bias, activation, alpha, gain, epsilon
    )


def _reference(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    noise: Tensor | None,
    strength: Tensor | None,
    bias: Tensor | None,
    activation: str,
    alpha: float | None,
    gain: float,
    epsilon: float,
) -> Tensor:
    y = x.to(accumulator_dtype(x.dtype))
    if noise is not None and strength is not None:
        y = y + (noise * strength[:, None, None]).to(y.dtype)
    y = bias_act(y, bias, activation=activation, alpha=alpha, gain=gain, impl="reference")
    mean = y.mean([2, 3], keepdim=True)
    y = y - mean
    variance = y.square().mean([2, 3], keepdim=True)
    y = y * (variance + epsilon).rsqrt() * _per_channel(scale, y) + _per_channel(shift, y)
    return y.to(x.dtype)


def _per_channel(factors: Tensor, x: Tensor) -> Tensor:
    return factors.to(x.dtype)[:, :, None, None]


def _native_adain(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    noise: Tensor | None,
    strength: Tensor | None,
    bias: Tensor | None,
    activation: str,
    alpha: float | None,
    gain: float,
    epsilon: float,
) -> Tensor:
    out = empty_image(x.shape, like=x)
    num, channels, height, width = x.shape
    if noise is not None:
        noise = noise.expand(num, 1, height, width)
    parts = min(-(-height * width // PIXELS_PER_BLOCK), MOST_BLOCKS)
    workspace = None
    if parts > 1:
        workspace = torch.empty(parts, num, channels, 2, dtype=torch.float32, device=x.device)
    _native.launch(
        "adain", x.device, x, small(noise, x), small(strength, x), small(bias, x), small(scale, x),
        small(shift, x), out, *tail_numbers(activation, alpha, gain, None)[:3], epsilon, workspace,
    )  # fmt: skip
    return out


_op = register("adain", _reference, _native_adain, lambda x, *_: empty_image(x.shape, like=x))


def _check(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    noise: Tensor | None,
    strength: Tensor | None,
    bias: Tensor | None,
    activation: str,
) -> None:
    check_activation(activation)
    num, channels, height, width = check_image(x)
    check_shapes("[N, C]", (num, channels), scale=scale, shift=shift)
    check_shapes("[C]", (channels,), strength=strength, bias=bias)
    if (noise is None) != (strength is None):
        missing, given = ("noise", "strength") if noise is None else ("strength", "noise")
        raise ValueError(f"{missing}: got None, expected a tensor, since {given} is given")
    if noise is not None and not _broadcasts(noise.shape, (num, 1, height, width)):
        goal = (num, 1, height, width)
        raise ValueError(f"noise: got shape {tuple(noise.shape)}, expected one that broadcasts to {goal}")


def _broadcasts(shape: torch.Size, goal: tuple[int, ...]) -> bool:
    pairs = zip(reversed(shape), reversed(goal), strict=False)
    return len(shape) <= len(goal) and all(size in (1, wanted) for size, wanted in pairs)
