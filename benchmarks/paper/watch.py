"""Memory of the host and of the device while a stage runs: its peaks, and whether it grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch

from benchmarks.memory import forget_peak, resident

EVERY = 0.1  # seconds
SLACK = 64 * 2**20  # bytes: caches of allocators come and go
FEWEST = 5  # readings in each of the parts that are compared


@dataclass(frozen=True)
class Growth:
    """Memory in the second tenth of a stage's work, and in its last tenth; in bytes, mean of the readings."""

    early: float
    late: float
    work: float  # that was done between the middles of both

    @property
    def flat(self) -> bool:
        return self.late - self.early <= max(SLACK, 0.05 * self.early)

    def said(self, per: float, of: str) -> str:
        grown = self.late - self.early
        rate = grown / self.work * per if self.work else 0.0
        return (
            f"{self.early / 2**20:,.0f} → {self.late / 2**20:,.0f} MiB, {rate / 2**20:+,.1f} MiB per "
            f"{per:,.0f} {of}: {'flat' if self.flat else 'GROWS'}"
        )


class Watch:
    """A context that reads memory now and then, and how much work is done.

    Attributes:
        seconds: how long it took, with the device's work.
        peak_host, peak_device: in bytes.
    """

    def __init__(self, device: str, done: Callable[[], float] | None = None) -> None:
        """``done``: how much of the work is done; None: the time stands for it."""
        self._cuda, self._done = device != "cpu", done or time.monotonic
        self._readings: list[tuple[float, float, float]] = []  # work, host, device
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.seconds, self.peak_host, self.peak_device = 0.0, 0, 0

    def __enter__(self) -> Watch:
        forget_peak()
        if self._cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        self._thread.start()
        self._begin = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cuda and error is None:
            torch.cuda.synchronize()
        self.seconds = time.perf_counter() - self._begin
        self._stop.set()
        self._thread.join()
        self.peak_host = resident("VmHWM")
        if self._cuda:
            self.peak_device = torch.cuda.max_memory_allocated()

    def growth(self) -> dict[str, Growth | None]:
        """Returns that of the host, and of a CUDA device; None: there were too few readings to tell."""
        return {"host": self._growth(1)} | ({"device": self._growth(2)} if self._cuda else {})

    def _growth(self, column: int) -> Growth | None:
        first, last = self._readings[0][0], self._readings[-1][0]
        length = last - first
        early = [r for r in self._readings if 0.1 <= (r[0] - first) / max(length, 1e-9) <= 0.2]
        late = [r for r in self._readings if (r[0] - first) / max(length, 1e-9) >= 0.9]
        if min(len(early), len(late)) < FEWEST:
            return None
        means: Any = [[sum(r[i] for r in part) / len(part) for i in (0, column)] for part in (early, late)]
        (work_early, memory_early), (work_late, memory_late) = means
        return Growth(memory_early, memory_late, work_late - work_early)

    def _read(self) -> None:
        while True:
            device = torch.cuda.memory_allocated() if self._cuda else 0
            self._readings.append((self._done(), resident("VmRSS"), device))
            if self._stop.wait(EVERY):
                return
