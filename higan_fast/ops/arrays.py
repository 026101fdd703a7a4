"""Lets ops accept NumPy and CuPy arrays as well as tensors, and return the same kind, without copying."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def takes_arrays(function: Callable[P, R]) -> Callable[P, R]:
    """Decorates an op: if its first argument is a NumPy or CuPy array, it returns arrays of that kind.

    All array arguments are then passed as tensors that share their memory, and no gradient is recorded.
    Read-only NumPy arrays, and those with negative strides, are copied.
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        first = args[0] if args else next(iter(kwargs.values()), None)
        if first is None or isinstance(first, Tensor):
            return function(*args, **kwargs)
        back = _way_back(first)
        with torch.no_grad():
            result: Any = function(
                *[_to_tensor(value) for value in args],
                **{name: _to_tensor(value) for name, value in kwargs.items()},
            )
        if isinstance(result, tuple):
            return tuple(None if value is None else back(value) for value in result)  # type: ignore[return-value]
        return back(result)

    return wrapper


def _to_tensor(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if not value.flags.writeable or any(stride < 0 for stride in value.strides):
            value = value.copy()  # torch supports neither read-only memory nor negative strides
        return torch.from_numpy(value)
    if hasattr(value, "__cuda_array_interface__") and not isinstance(value, Tensor):
        return torch.as_tensor(value, device="cuda")
    return value


def _way_back(first: Any) -> Callable[[Tensor], Any]:
    if isinstance(first, np.ndarray):
        return lambda tensor: tensor.numpy()
    if hasattr(first, "__cuda_array_interface__"):
        import cupy

        return lambda tensor: cupy.from_dlpack(tensor)
    raise TypeError(
        f"the first argument: got {type(first).__name__}, expected a torch.Tensor, numpy.ndarray or "
        "cupy.ndarray"
    )
