"""Convolution weights as kernels want them, made once for a weight that does not change."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from higan_fast.ops.modulated_conv2d import normalize_weight, square_weight


class Prepared(NamedTuple):
    """A weight, ready.

    Attributes:
        kernel: ``[O, I, k, k]`` in the features' dtype.
        gain: ``[O]``, what ``kernel`` was divided by (float16 only).
        square: ``[O, I]``, of the true weight.
    """

    kernel: Tensor
    gain: Tensor | None
    square: Tensor


class WeightCache:
    """Keeps the last prepared form of one weight.

    The key is where the weight lies and its version, which every change in place counts up; so an
    optimizer's step, ``load_state_dict`` or a move to another device is noticed. Where a gradient is needed
    nothing is kept.
    """

    def __init__(self) -> None:
        self._key: tuple[object, ...] | None = None
        self._prepared: Prepared | None = None

    def get(self, weight: Tensor, dtype: torch.dtype, up: int) -> Prepared:
        """The prepared form for features of ``dtype``, laid out for a convolution with this ``up``."""
        if weight.is_inference() or (torch.is_grad_enabled() and weight.requires_grad):
            return _prepare(weight, dtype, up)
        key = (weight.data_ptr(), weight._version, weight.shape, weight.dtype, weight.device, dtype, up)
        if self._prepared is None or key != self._key:
            with torch.inference_mode(False), torch.no_grad():
                self._key, self._prepared = key, _prepare(weight.detach(), dtype, up)
        return self._prepared

    def __getstate__(self) -> dict[str, object]:
        return {"_key": None, "_prepared": None}  # copies of a module make their own


def _prepare(weight: Tensor, dtype: torch.dtype, up: int) -> Prepared:
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
