"""Times two implementations of one job in turn, so that a machine that drifts slows both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any


def in_turn(backends: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each backend, after one call to warm up, A B A B …"""
    seconds: dict[str, list[float]] = {name: [] for name in backends}
    for backend in backends.values():
        backend()
    for _ in range(repeats):
        for name, backend in backends.items():
            begin = time.perf_counter()
            backend()
            seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in seconds.items()}
