"""The device "cuda" on the CPU: code that asks for it gets memory of the CPU, events, streams and graphs.

So what is written for a GPU runs to its end without one. What runs there in its own time runs here at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from higan_fast import _native
from tests.engine.emulated_cuda import RecordedOps
from tests.ops.implementations import EMULATED

NAME = "CUDA on a CPU"


class Event:
    """Reads the clock when it is recorded."""

    def __init__(self, enable_timing: bool = False) -> None:
        self.timed, self.seconds = enable_timing, None

    def record(self, stream: Any = None) -> None:
        self.seconds = time.perf_counter()

    def elapsed_time(self, end: Event) -> float:
        if not (self.timed and end.timed):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if self.seconds is None or end.seconds is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        return 1e3 * (end.seconds - self.seconds)


class Stream:
    """In order with all others."""

    def __init__(self, device: Any = None) -> None:
        self.waited_for: list[Stream] = []

    def wait_stream(self, other: Stream) -> None:
        self.waited_for.append(other)


class CUDAGraph:
    """Replays the ops that ran while it was recorded, on the same tensors."""

    def __init__(self) -> None:
        self.ops: RecordedOps | None = None

    def replay(self) -> None:
        if self.ops is None:
            raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
        self.ops.replay()


@contextmanager
def graph(recording: CUDAGraph) -> Iterator[None]:
    """Records; as on CUDA, nothing has been computed when it ends."""
    ops = RecordedOps()
    with ops:
        yield
    ops.spoil()
    recording.ops = ops


class _OnCpu(TorchFunctionMode):
    """Passes "cpu" to torch where "cuda" is asked for."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not torch.device:  # which says what is asked for, and allocates nothing
            args, kwargs = tree_map(_here, (args, kwargs))
        return func(*args, **kwargs)


def _here(value: Any) -> Any:
    if isinstance(value, str) and value.partition(":")[0] == "cuda":
        return "cpu"
    return torch.device("cpu") if isinstance(value, torch.device) and value.type == "cuda" else value


@contextmanager
def cuda_on_cpu() -> Iterator[None]:
    """Context in which there is a CUDA device, whose kernels are the emulated ones."""
    random, backend = torch.Generator, _native.backend
    stands_in = {
        "Event": Event,
        "Stream": Stream,
        "CUDAGraph": CUDAGraph,
        "graph": graph,
        "stream": lambda stream: nullcontext(),
        "current_stream": lambda device=None: Stream(),
        "synchronize": lambda device=None: None,
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_device_name": lambda device=None: NAME,
        "get_device_properties": lambda device=None: SimpleNamespace(L2_cache_size=1024),
        "get_device_capability": lambda device=None: (9, 0),
    }
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        for name, value in stands_in.items():
            patch.setattr(torch.cuda, name, value)
        patch.setattr(torch, "Generator", lambda device="cpu": random(_here(device)))
        patch.setattr(_native, "backend", lambda device: backend(_here(device)))
        stack.enter_context(EMULATED.active())
        stack.enter_context(_OnCpu())
        yield
