"""Convolution weights in the form that kernels need, cached until a weight changes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from higan_fast.ops.modulated_conv2d import normalize_weight, square_weight


class Prepared(NamedTuple):
    """A weight in the form that kernels need.

    Attributes:
        kernel: ``[O, I, k, k]`` in the features' dtype.
        gain: ``[O]``, the divisor already applied to ``kernel``; float16 only, otherwise None.
        square: ``[O, I]``, ``W2`` of the original weight (see ``square_weight``).
    """

    kernel: Tensor
    gain: Tensor | None
    square: Tensor


class WeightCache:
    """Caches the last prepared form of one weight.

    The key includes the weight's address and its version, which every in-place change increments. So an
    optimizer step, ``load_state_dict`` or a move to another device invalidates the cache. Nothing is cached
    while a gradient is needed, or for inference tensors, which have no version; nor while a compiler or a
    tracer watches, whose graph must read the weight itself.
    """

    def __init__(self) -> None:
        self._last: tuple[tuple[object, ...], Prepared] | None = None  # replaced as a whole: threads share it

    def get(self, weight: Tensor, dtype: torch.dtype, up: int) -> Prepared:
        """Returns the form for features of ``dtype``, laid out for a convolution with this ``up``."""
        if is_watched() or weight.is_inference() or (torch.is_grad_enabled() and weight.requires_grad):
            return prepare(weight, dtype, up)
        key = (weight.data_ptr(), weight._version, weight.shape, weight.dtype, weight.device, dtype, up)
        last = self._last
        if last is None or key != last[0]:
            with torch.inference_mode(False), torch.no_grad():
                last = self._last = (key, prepare(weight.detach(), dtype, up))
        return last[1]

    def __getstate__(self) -> dict[str, object]:
        return {"_last": None}  # a copied module starts with an empty cache


def is_watched() -> bool:
    """Whether what runs now becomes a graph that runs again later, perhaps with other weights."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def prepare(weight: Tensor, dtype: torch.dtype, up: int) -> Prepared:
    """Returns a weight ``[O, I, k, k]`` in the form for features of ``dtype``, laid out for this ``up``."""
    square, gain, kernel = square_weight(weight), None, weight
    if dtype == torch.float16:
        kernel, gain = normalize_weight(weight)
    if up == 2:  # a transposed convolution reads [I, O, k, k]
        kernel = (
            kernel.to(dtype).transpose(0, 1).contiguous(memory_format=torch.channels_last).transpose(0, 1)
        )
    else:
        kernel = kernel.to(dtype, memory_format=torch.channels_last)
    return Prepared(kernel, gain, square)
