"""Weights of other people's layers in the form that kernels need, kept until a value changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from higan_fast.generators.prepared import Prepared, is_watched, prepare
from higan_fast.ops.winograd import are_enough


class _Last(NamedTuple):
    place: tuple[object, ...]
    seen: Tensor
    prepared: Prepared


class KeptWeight:
    """Keeps the last prepared form of one weight.

    ``WeightCache`` trusts a tensor's version. Other people's code changes weights through ``.data`` too,
    which leaves the version as it is, as where a moving average follows a generator. So every call
    compares a product of the weight with fixed random numbers: one pass over the weight, of which preparing
    takes several. Only on CPUs does that not wait for a device; elsewhere each call prepares the weight.

    Args:
        change: what makes the true weight ``[O, I, k, k]`` of the parameter; None: they are the same.
    """

    def __init__(self, change: Callable[[Tensor], Tensor] | None = None) -> None:
        self.change = change
        self._last: _Last | None = None  # replaced as a whole: threads share it

    def get(self, weight: Tensor, x: Tensor, up: int) -> Prepared:
        """Returns the form for features like ``x``, laid out for a convolution with this ``up``."""
        dtype, pixels = x.dtype, x.shape[2] * x.shape[3]
        if is_watched() or weight.device.type != "cpu" or (torch.is_grad_enabled() and weight.requires_grad):
            return self._prepared(weight, dtype, up, pixels)
        with torch.no_grad():
            place = (weight.data_ptr(), weight.shape, weight.dtype, dtype, up, are_enough(pixels))
            rows = weight.detach().reshape(-1, weight.shape[-3:].numel()).float()
            seen = rows @ _probe(rows.shape[1])
            last = self._last
            if last is None or last.place != place or not torch.equal(last.seen, seen):
                with torch.inference_mode(False):
                    prepared = self._prepared(weight.detach(), dtype, up, pixels)
                    last = _Last(place, seen.clone(), prepared)
                self._last = last
        return last.prepared

    def _prepared(self, weight: Tensor, dtype: torch.dtype, up: int, pixels: int) -> Prepared:
        return prepare(weight if self.change is None else self.change(weight), dtype, up, pixels)


@cache
def _probe(length: int) -> Tensor:
    with torch.inference_mode(False):
        return torch.rand(length, generator=torch.Generator().manual_seed(0)) + 0.5


def mirrored(weight: Tensor) -> Tensor:
    """Returns a weight ``[O, I, k, k]`` with both of its spatial axes reversed."""
    return weight.flip(2, 3)
