"""Loads the compiled extension on first use, or says why it cannot be used."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

DTYPE_CODES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2, torch.float64: 3}
INDEX_CODES = {torch.int64: 4}  # nothing is computed in it

HOW_TO_GET_CUDA = "put nvcc on PATH and install again, from the sources: pip install --no-binary higan_fast …"

# Replaces the CPU kernels while tests run the CUDA kernels under emulation.
_stand_in: ModuleType | None = None


@cache
def load() -> tuple[ModuleType | None, str]:
    """Returns the extension, or None and the reason why it is missing."""
    try:
        return importlib.import_module("higan_fast._extension"), ""
    except ModuleNotFoundError:
        return None, "the extension has not been built: pip install . (or make setup) builds it"
    except ImportError as error:
        hint = "; install libgomp1 (Debian) or libgomp (Fedora)" if "libgomp" in str(error) else ""
        return None, f"the extension cannot be loaded: {error}{hint}"


def backend(device: torch.device) -> tuple[ModuleType | None, str]:
    """Returns the kernels for tensors on ``device``, or None and the reason why there are none."""
    extension, problem = load()
    if device.type == "cpu":
        if _stand_in is not None:
            return _stand_in, ""
        return (None, problem) if extension is None else (extension.cpu, "")
    if device.type != "cuda":
        return None, f"there are no kernels for {device.type} devices"
    if extension is None:
        return None, problem
    if not hasattr(extension, "cuda"):
        return None, f"the extension was built without CUDA: {HOW_TO_GET_CUDA}"
    return extension.cuda, ""


def launch(name: str, device: torch.device, *arguments: Any) -> None:
    """Runs one kernel on tensors and numbers, in the order of its struct in ``csrc/kernels``.

    On CUDA it is queued on torch's current stream; on the CPU it uses torch's number of threads.

    Raises:
        RuntimeError: if there are no kernels for the device.
        ImportError: if the extension was built from older sources.
    """
    module, problem = backend(device)
    if module is None:
        raise RuntimeError(problem)
    function = getattr(module, name, None)
    if function is None:
        raise ImportError(f"the compiled extension is older than this code: it has no {name}; build it again")
    described = [describe(argument) if isinstance(argument, Tensor) else argument for argument in arguments]
    if device.type == "cuda":
        with torch.cuda.device(device):
            function(*described, torch.cuda.current_stream(device).cuda_stream)
    else:
        function(*described, torch.get_num_threads())


Described = tuple[int, int, tuple[int, ...], tuple[int, ...]]


def describe_expanded(tensor: Tensor, shape: tuple[int, ...]) -> Described:
    """Returns what ``describe(tensor.expand(shape))`` does, but makes no view; the tensor must stay.

    Raises:
        ValueError: if the tensor does not broadcast to this shape.
    """
    missing = len(shape) - tensor.ndim
    sizes, strides = (1,) * missing + tuple(tensor.shape), (0,) * missing + tensor.stride()
    if missing < 0 or any(size not in (1, wanted) for size, wanted in zip(sizes, shape, strict=True)):
        raise ValueError(f"got shape {tuple(tensor.shape)}, expected one that broadcasts to {shape}")
    strides = tuple(0 if size == 1 else stride for size, stride in zip(sizes, strides, strict=True))
    return tensor.data_ptr(), DTYPE_CODES[tensor.dtype], shape, strides


def describe(tensor: Tensor) -> Described:
    """Returns a tensor as kernels receive it: address, dtype code, sizes, strides (in elements)."""
    code = DTYPE_CODES.get(tensor.dtype)
    if code is None:
        code = INDEX_CODES[tensor.dtype]
    return tensor.data_ptr(), code, tuple(tensor.shape), tensor.stride()
