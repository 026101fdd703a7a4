"""Code that sends everything to CUDA, run on a CPU as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

CPU = torch.device("cpu")


class OnCpu(TorchFunctionMode):
    """Context in which what names a CUDA device names the CPU: ``.to(…)``, ``.cuda()``, ``device=…``.

    That covers tensors and modules, TorchScript's too, in this thread. ``torch.cuda``'s own functions stay as
    they are, and ``torch.device("cuda")`` still says "cuda".
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is Tensor.cuda:
            return args[0].to(CPU)
        if func is Tensor.to:
            args = (args[0], *map(_here, args[1:]))
        if "device" in kwargs:
            kwargs["device"] = _here(kwargs["device"])
        return func(*args, **kwargs)


def _here(value: Any) -> Any:
    """The CPU for a CUDA device, in whatever form; everything else as it is."""
    names_cuda = isinstance(value, str) and (value == "cuda" or value.startswith("cuda:"))
    return CPU if names_cuda or (isinstance(value, torch.device) and value.type == "cuda") else value
