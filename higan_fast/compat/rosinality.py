"""The ops of rosinality's stylegan2-pytorch, with ours in them; nothing is compiled when they are imported.

In one's own copy of ``model.py``, in place of its line ``from op import …``::

    from higan_fast.compat.rosinality import FusedLeakyReLU, fused_leaky_relu, upfirdn2d, conv2d_gradfix
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from higan_fast import ops
from higan_fast.compat import nvlabs
from higan_fast.compat.tally import note

__all__ = ["FusedLeakyReLU", "conv2d_gradfix", "fused_leaky_relu", "upfirdn2d"]  # as ``op`` has them


def fused_leaky_relu(
    input: Tensor, bias: Tensor | None = None, negative_slope: float = 0.2, scale: float = 2**0.5
) -> Tensor:
    """Computes ``scale · lrelu(input + bias)``; the bias ``[C]`` runs along the second axis.

    On CPUs the original takes a slope of 0.2 whatever it is given; this takes the one that is given.
    """
    note("fused_leaky_relu", "bias_act", input, bias)
    return ops.bias_act(input, bias, activation="lrelu", alpha=float(negative_slope), gain=float(scale))


class FusedLeakyReLU(nn.Module):
    """``fused_leaky_relu`` with a bias of its own, and the original's names of everything."""

    def __init__(
        self, channel: int, bias: bool = True, negative_slope: float = 0.2, scale: float = 2**0.5
    ) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channel)) if bias else None
        self.negative_slope = negative_slope
        self.scale = scale

    def forward(self, input: Tensor) -> Tensor:
        return fused_leaky_relu(input, self.bias, self.negative_slope, self.scale)


def upfirdn2d(
    input: Tensor,
    kernel: Tensor,
    up: int | Sequence[int] = 1,
    down: int | Sequence[int] = 1,
    pad: Sequence[int] = (0, 0),
) -> Tensor:
    """Upsamples, pads, convolves with an FIR filter, downsamples.

    Args:
        input: ``[N, C, H, W]``.
        kernel: ``[kh, kw]``; one that is the product of one for both axes runs as two passes.
        up, down: factors, one number or (x, y).
        pad: (before, after) on both axes, or (left, right, top, bottom).
    """
    sides = [*pad, *pad] if len(pad) == 2 else list(pad)
    return nvlabs.upfirdn2d(input, kernel, up=up, down=down, padding=sides)


def install() -> None:
    """Puts these in the place of rosinality's package ``op``, which compiles kernels when it is imported.

    Call it before ``import model``. An ``op`` that has been imported already stays.
    """
    if "op" not in sys.modules:
        package: Any = types.ModuleType("op", __doc__)
        for name in __all__:
            setattr(package, name, globals()[name])
        gradfix: Any = types.ModuleType("op.conv2d_gradfix")
        for name in ("conv2d", "conv_transpose2d", "no_weight_gradients"):
            setattr(gradfix, name, getattr(conv2d_gradfix, name))
        package.conv2d_gradfix, package.__path__ = gradfix, []
        sys.modules |= {"op": package, "op.conv2d_gradfix": gradfix}


class conv2d_gradfix:  # noqa: N801 (theirs is a module)
    """``op.conv2d_gradfix``: torch's convolutions, whose gradients have gradients today."""

    conv2d = staticmethod(F.conv2d)
    conv_transpose2d = staticmethod(F.conv_transpose2d)

    @staticmethod
    @contextmanager
    def no_weight_gradients() -> Iterator[None]:
        """Does nothing: who asks only for a gradient of the input gets only that."""
        yield
