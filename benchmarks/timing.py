"""Times several backends in turn, so that drift of the machine affects all of them alike."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

# Short jobs run more rounds than requested, until SECONDS have passed or MOST times as many have run.
SECONDS = 0.3
MOST = 20
# Before each call on CUDA at least so many bytes are overwritten, so that L2 holds nothing of the last one.
FLUSHED = 2**28


def in_turn(backends: dict[str, Callable[[], Any]], repeats: int, device: str = "cpu") -> dict[str, float]:
    """Returns median seconds per backend over at least ``repeats`` rounds A B A B …, after a warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in backends}
    for backend in backends.values():
        backend()
    begin, rounds = time.perf_counter(), 0
    while rounds < repeats or (rounds < MOST * repeats and time.perf_counter() - begin < SECONDS):
        for name, backend in backends.items():
            seconds[name].append(seconds_of(backend, device))
        rounds += 1
    return {name: statistics.median(values) for name, values in seconds.items()}


def seconds_of(run: Callable[[], Any], device: str = "cpu") -> float:
    """Returns the seconds that one call takes, by the clock on the CPU and by events on CUDA.

    On CUDA the L2 cache is overwritten before the call. The host queues the call's kernels meanwhile, so gaps
    between short kernels count only if the host cannot keep ahead of the device.
    """
    if torch.device(device).type != "cuda":
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin
    begin_event, end_event = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    _larger_than_l2(device).zero_()
    begin_event.record()
    run()
    end_event.record()
    torch.cuda.synchronize()
    return begin_event.elapsed_time(end_event) / 1e3


@functools.cache
def _larger_than_l2(device: str) -> torch.Tensor:
    """Returns memory to overwrite, which later calls use again, in and out of inference mode."""
    size = 4 * torch.cuda.get_device_properties(device).L2_cache_size
    with torch.inference_mode(False):  # an inference tensor could not be overwritten outside of the mode
        return torch.empty(max(size, FLUSHED), dtype=torch.int8, device=device)
