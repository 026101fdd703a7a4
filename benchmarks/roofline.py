"""The speed limits of a job: the time to copy its bytes, and the time to compute its products.

Both ceilings are measured at the start of each run. Copies that fit a cache are faster, so on the CPU a job
is compared with a copy that touches as many bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from benchmarks.timing import seconds_of

MIB = 2**20
CPU_SIZES = tuple(2**power * MIB for power in range(11))
CUDA_SIZES = (4096 * MIB,)  # L2 is flushed before every call, so copies of all sizes are equal


@dataclass(frozen=True)
class Work:
    """The least work that a kernel must do.

    Attributes:
        bytes: each input read once, each output written once.
        flop: FLOP of matrix products and convolutions; other arithmetic is hidden by the memory traffic.
    """

    bytes: int
    flop: int = 0


@dataclass(frozen=True)
class Ceilings:
    """The measured speed limits of this machine.

    Attributes:
        bandwidths: bytes that a copy touches (half read, half written) → bytes/s.
        peaks: dtype → FLOP/s of a large plain convolution.
    """

    bandwidths: dict[int, float]
    peaks: dict[str, float]

    def limit(self, work: tuple[Work, ...], dtype: str) -> float:
        """Returns the least time for ``work`` in seconds, one kernel after the other."""
        return sum(
            max(part.bytes / self.bandwidth(part.bytes), part.flop / self.peaks[dtype]) for part in work
        )

    def bandwidth(self, size: int) -> float:
        """Returns the bytes/s of the measured copy whose size is nearest by ratio."""
        return self.bandwidths[min(self.bandwidths, key=lambda other: abs(math.log(other / max(size, 1))))]

    def __str__(self) -> str:
        copies = ", ".join(f"{size // MIB}: {rate / 1e9:.0f}" for size, rate in self.bandwidths.items())
        peaks = ", ".join(f"{dtype}: {peak / 1e9:.0f}" for dtype, peak in self.peaks.items())
        return f"copy, GB/s by MiB touched   {copies}\nconvolution, GFLOP/s   {peaks}"


def measure(
    device: str,
    dtypes: tuple[str, ...],
    sizes: tuple[int, ...] | None = None,
    shape: tuple[int, int, int] | None = None,
) -> Ceilings:
    """Measures both ceilings on an otherwise idle machine.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
        dtypes: dtypes in which the convolution is timed.
        sizes: bytes that the copies touch.
        shape: batch, channels and resolution of the convolution.
    """
    on_cuda = torch.device(device).type == "cuda"
    sizes = sizes or (CUDA_SIZES if on_cuda else CPU_SIZES)
    shape = shape or ((32, 512, 64) if on_cuda else (8, 256, 64))
    peaks = {dtype: _peak(device, getattr(torch, dtype), *shape) for dtype in dtypes}
    return Ceilings({size: _bandwidth(device, size) for size in sizes}, peaks)


def _bandwidth(device: str, size: int) -> float:
    source = torch.ones(size // 8, device=device)
    target = torch.empty_like(source)
    return size / _best(lambda: target.copy_(source), device)


@torch.inference_mode()
def _peak(device: str, dtype: torch.dtype, batch: int, channels: int, resolution: int) -> float:
    x, weight = (
        torch.randn(shape, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        for shape in ((batch, channels, resolution, resolution), (channels, channels, 3, 3))
    )
    flop = 2 * batch * channels**2 * 9 * resolution**2
    return flop / _best(lambda: F.conv2d(x, weight, padding=1), device)


def _best(run: Callable[[], object], device: str) -> float:
    """Returns the seconds of the fastest of several calls, because a ceiling is a best case."""
    run()
    times = [seconds_of(run, device) for _ in range(10)]
    while len(times) < 100 and sum(times) < 0.2:
        times.append(seconds_of(run, device))
    return min(times)
