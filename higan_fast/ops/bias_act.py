"""Bias, activation, gain and clamp in one op: the tail of every StyleGAN layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from higan_fast import _native
from higan_fast.ops.arrays import takes_arrays
from higan_fast.ops.checks import check_clamp
from higan_fast.ops.implementation import Impl, use_native
from higan_fast.ops.layout import small
from higan_fast.ops.registration import register


class Activation(NamedTuple):
    """An activation as StyleGAN code defines it, with a default slope and a variance-preserving gain."""

    function: Callable[[Tensor, float], Tensor]
    default_alpha: float
    default_gain: float


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda x, _: x, 0.0, 1.0),
    "relu": Activation(lambda x, _: F.relu(x), 0.0, math.sqrt(2)),
    "lrelu": Activation(lambda x, alpha: F.leaky_relu(x, alpha), 0.2, math.sqrt(2)),
    "tanh": Activation(lambda x, _: torch.tanh(x), 0.0, 1.0),
    "sigmoid": Activation(lambda x, _: torch.sigmoid(x), 0.0, 1.0),
    "elu": Activation(lambda x, _: F.elu(x), 0.0, 1.0),
    "selu": Activation(lambda x, _: F.selu(x), 0.0, 1.0),
    "softplus": Activation(lambda x, _: F.softplus(x), 0.0, 1.0),
    "swish": Activation(lambda x, _: torch.sigmoid(x) * x, 0.0, math.sqrt(2)),
}


@takes_arrays
def bias_act(
    x: Tensor,
    bias: Tensor | None = None,
    *,
    dim: int = 1,
    activation: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
    impl: Impl = "auto",
) -> Tensor:
    """Computes ``clamp(gain · activation(x + bias))`` elementwise.

    Args:
        x: any shape.
        bias: ``[x.shape[dim]]``, or None.
        dim: the dimension of ``x`` along which the bias runs.
        activation: a key of ``ACTIVATIONS``.
        alpha: slope of ``lrelu`` below zero; None: 0.2.
        gain: factor after the activation; None: the activation's own (√2 for the rectifiers).
        clamp: bounds the result to [-clamp, clamp], 0 or more; None: no bound.
        impl: ``"auto"``, ``"reference"`` or ``"native"``.

    Returns:
        A tensor of ``x``'s shape and dtype.

    Raises:
        ValueError: if the activation or implementation is unknown, the bias has the wrong shape, or the clamp
            is below 0.
    """
    check_clamp(clamp)
    native = use_native("bias_act", impl, x, bias)
    check_activation(activation)
    if bias is not None and bias.shape != (x.shape[dim],):
        raise ValueError(
            f"bias: got shape {tuple(bias.shape)}, expected ({x.shape[dim]},), the size of x along dim {dim}"
        )
    return (_op if native else _reference)(x, bias, dim, activation, alpha, gain, clamp)


def check_activation(activation: str) -> None:
    """Raises ValueError if ``activation`` is not a key of ``ACTIVATIONS``."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: got {activation!r}, expected one of {sorted(ACTIVATIONS)}")


def _reference(
    x: Tensor,
    bias: Tensor | None,
    dim: int,
    activation: str,
    alpha: float | None,
    gain: float | None,
    clamp: float | None,
) -> Tensor:
    function, default_alpha, default_gain = ACTIVATIONS[activation]
    if bias is not None:
        x = x + bias.to(x.dtype).reshape([-1 if i == dim % x.ndim else 1 for i in range(x.ndim)])
    x = function(x, default_alpha if alpha is None else alpha)
    gain = default_gain if gain is None else gain
    if gain != 1:
        x = x * gain
    return x if clamp is None else x.clamp(-clamp, clamp)


def tail_numbers(
    activation: str, alpha: float | None, gain: float | None, clamp: float | None
) -> tuple[int, float, float, float]:
    """Returns the activation's index, slope, gain and clamp as kernels read them; clamp −1 means none."""
    found = ACTIVATIONS[activation]
    return (
        list(ACTIVATIONS).index(activation),
        found.default_alpha if alpha is None else alpha,
        found.default_gain if gain is None else gain,
        -1.0 if clamp is None else clamp,
    )


def _native_bias_act(
    x: Tensor,
    bias: Tensor | None,
    dim: int,
    activation: str,
    alpha: float | None,
    gain: float | None,
    clamp: float | None,
) -> Tensor:
    out = torch.empty_like(x)
    if x.numel() == 0:
        return out
    strides = out.stride()
    order = sorted(range(x.ndim), key=lambda i: -strides[i])  # the dimensions in memory order
    source, result = x.permute(order).contiguous(), out.permute(order)
    along = order.index(dim % x.ndim)
    split = (-1, x.shape[dim], math.prod(result.shape[along + 1 :]))  # [A, C, B]
    if bias is None:
        split = (-1, 1, result.shape[-1])
    _native.launch(
        "bias_act", x.device, source.view(split), small(bias, x), result.view(split),
        *tail_numbers(activation, alpha, gain, clamp),
    )  # fmt: skip
    return out


_op = register("bias_act", _reference, _native_bias_act, lambda x, *_: torch.empty_like(x))
