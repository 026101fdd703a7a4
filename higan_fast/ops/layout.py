"""Memory layout and dtypes of the tensors that are passed to kernels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

FEWEST_PIXELS_IN_BLOCKS = 1024


def accumulator_dtype(dtype: torch.dtype) -> torch.dtype:
    """Returns the dtype of sums: float32 for 16-bit dtypes and float32, float64 for float64."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def small(tensor: Tensor | None, x: Tensor) -> Tensor | None:
    """Moves a style, bias, filter or noise to the device and dtype in which kernels read it with ``x``."""
    if tensor is None or (tensor.device == x.device and tensor.dtype == accumulator_dtype(x.dtype)):
        return tensor
    return tensor.detach().to(x.device, accumulator_dtype(x.dtype))


def is_channels_last(x: Tensor) -> bool:
    """Whether ``[N, C, H, W]`` is channels-last; a tensor that is also contiguous does not count."""
    return not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)


def empty_image(shape: Sequence[int], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Returns an uninitialised ``[N, C, H, W]`` on ``like``'s device, channels-last if ``like`` is."""
    layout = torch.channels_last if is_channels_last(like) else torch.contiguous_format
    return torch.empty(tuple(shape), dtype=dtype or like.dtype, device=like.device, memory_format=layout)


def to_channels_last(x: Tensor) -> Tensor:
    """Returns ``x.contiguous(memory_format=torch.channels_last)``; on CPUs up to five times as fast.

    torch copies a matrix to its transpose block by block, but a batch of matrices number by number.
    """
    in_blocks = x.device.type == "cpu" and x.shape[2] * x.shape[3] >= FEWEST_PIXELS_IN_BLOCKS
    if not in_blocks or not x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last):
        return x.contiguous(memory_format=torch.channels_last)
    out = torch.empty_like(x, memory_format=torch.channels_last)
    for sample, result in zip(x.flatten(2), out.permute(0, 2, 3, 1).flatten(1, 2), strict=True):
        result.copy_(sample.T)  # [H·W, C]
    return out
