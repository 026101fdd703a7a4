"""Bias, activation, gain and clamp in one op: the tail of every StyleGAN layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from higan_fast.ops.implementation import Impl, check_impl


class Activation(NamedTuple):
    """An activation as StyleGAN code defines it: with a default slope and a variance-keeping gain."""

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
    """``clamp(gain · activation(x + bias))``, element by element.

    Args:
        x: any shape.
        bias: ``[x.shape[dim]]``, or None.
        dim: the dimension of ``x`` along which the bias runs.
        activation: a key of ``ACTIVATIONS``.
        alpha: slope of ``lrelu`` below zero; None: 0.2.
        gain: factor after the activation; None: the activation's own (√2 for the rectifiers).
        clamp: the result is kept in [-clamp, clamp]; None: not clamped.
        impl: ``"auto"`` or ``"reference"``.

    Returns:
        A tensor of ``x``'s shape and dtype.

    Raises:
        ValueError: unknown activation or implementation, or a bias of the wrong shape.
    """
    check_impl(impl)
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: got {activation!r}, expected one of {sorted(ACTIVATIONS)}")
    if bias is not None and bias.shape != (x.shape[dim],):
        raise ValueError(
            f"bias: got shape {tuple(bias.shape)}, expected ({x.shape[dim]},), the size of x along dim {dim}"
        )
    return _reference(x, bias, dim, activation, alpha, gain, clamp)


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
