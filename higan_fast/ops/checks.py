"""Checks of arguments shared by several ops; their messages name what came and what was expected."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from higan_fast.wording import in_words

LARGEST = 2**31 - 1  # of whole numbers, as kernels take them


def check_tensors(x: Any, **others: Any) -> None:
    """Raises ValueError if ``x`` is no tensor of floating-point numbers, or one of ``others`` no tensor."""
    for name, tensor in {"x": x, **others}.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name}: got {in_words(tensor)}, expected a tensor")
    if not x.is_floating_point():
        raise ValueError(f"x: got {x.dtype}, expected floating-point numbers")


def check_factors(**factors: Any) -> None:
    """Raises ValueError for the first one that is no whole number of at least 1."""
    for name, factor in factors.items():
        if not is_whole(factor) or factor < 1:
            raise ValueError(f"{name}: got {in_words(factor)}, expected a whole number, 1 or more")


def check_numbers(**numbers: Any) -> None:
    """Raises ValueError for the first one that is no number."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float | np.number | torch.SymFloat):
            raise ValueError(f"{name}: got {in_words(number)}, expected a number")


def check_clamp(clamp: Any, name: str = "clamp") -> None:
    """Raises ValueError if it is neither None nor a number of at least 0: kernels take −1 for none."""
    if clamp is None:
        return
    check_numbers(**{name: clamp})
    if not clamp >= 0:
        raise ValueError(f"{name}: got {in_words(clamp)}, expected 0 or more, or None for no bound")


def is_whole(value: Any) -> bool:
    """Whether ``value`` is a whole number that a kernel can take."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer | torch.SymInt):
        return False
    return bool(-LARGEST <= value <= LARGEST)


def check_image(x: Tensor) -> tuple[int, int, int, int]:
    """Returns the sizes of ``x`` ``[N, C, H, W]``; raises ValueError if it does not have 4 dimensions."""
    if x.ndim != 4:
        raise ValueError(f"x: got shape {tuple(x.shape)}, expected [N, C, H, W]")
    num, channels, height, width = x.shape
    return num, channels, height, width


def check_shapes(meaning: str, expected: tuple[int, ...], **tensors: Tensor | None) -> None:
    """Raises ValueError for the first tensor, None aside, that does not have the ``expected`` shape."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.shape != expected:
            raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, expected {meaning} = {expected}")
