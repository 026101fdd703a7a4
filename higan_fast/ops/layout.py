"""How tensors lie in memory, and what kernels want to be handed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def accumulator_dtype(dtype: torch.dtype) -> torch.dtype:
    """What sums are kept in: float32 for the 16-bit dtypes and itself, float64 for float64."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def small(tensor: Tensor | None, x: Tensor) -> Tensor | None:
    """A style, bias, filter or noise in the dtype and on the device in which kernels read it beside ``x``."""
    return None if tensor is None else tensor.detach().to(x.device, accumulator_dtype(x.dtype))


def is_channels_last(x: Tensor) -> bool:
    """Whether ``[N, C, H, W]`` lies channels-last; a shape that is both ways counts as contiguous."""
    return not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)


def empty_image(shape: Sequence[int], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Uninitialised ``[N, C, H, W]`` on ``like``'s device, channels-last where ``like`` is."""
    layout = torch.channels_last if is_channels_last(like) else torch.contiguous_format
    return torch.empty(tuple(shape), dtype=dtype or like.dtype, device=like.device, memory_format=layout)
