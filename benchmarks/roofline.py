"""How fast a job could run: no faster than its bytes are copied, nor than its products are computed.

Both ceilings are measured, at the start of each run. A copy that fits a cache is faster than one that does
not, so on the CPU a job is held against a copy that touches as many bytes as the job.
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
CUDA_SIZES = (4096 * MIB,)  # its L2 is emptied before every call, so that all sizes come from memory


@dataclass(frozen=True)
class Work:
    """What one kernel must do at the least.

    Attributes:
        bytes: each input read once, each output written once.
        flop: of its matrix products and convolutions; other arithmetic costs no time beside the bytes.
    """

    bytes: int
    flop: int = 0


@dataclass(frozen=True)
class Ceilings:
    """What this machine reaches.

    Attributes:
        bandwidths: bytes that a copy touches (it reads one half and writes the other) → bytes/s.
        peaks: dtype → FLOP/s of a large plain convolution.
    """

    bandwidths: dict[int, float]
    peaks: dict[str, float]

    def limit(self, work: tuple[Work, ...], dtype: str) -> float:
        """Seconds that ``work`` takes at the least, one kernel after the other."""
        return sum(
            max(part.bytes / self.bandwidth(part.bytes), part.flop / self.peaks[dtype]) for part in work
        )

    def bandwidth(self, size: int) -> float:
        """Bytes/s of the measured copy whose size is nearest, as a factor."""
        return self.bandwidths[min(self.bandwidths, key=lambda other: abs(math.log(other / max(size, 1))))]

    def __str__(self) -> str:
        copies = ", ".join(f"{size // MIB}: {rate / 1e9:.0f}" for size, rate in self.bandwidths.items())
        peaks = ", ".join(f"{dtype}: {peak / 1e9:.0f}" for dtype, peak in self.peaks.items())
        return f"copy, GB/s by the MiB that it touches   {copies}\nconvolution, GFLOP/s   {peaks}"


def measure(
    device: str,
    dtypes: tuple[str, ...],
    sizes: tuple[int, ...] | None = None,
    shape: tuple[int, int, int] | None = None,
) -> Ceilings:
    """Measures both ceilings on an otherwise idle machine.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
        dtypes: for which convolutions are timed.
        sizes: bytes that copies touch.
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
    """Seconds of the fastest of several calls: a ceiling is what was reached, not what is usual."""
    run()
    times = [seconds_of(run, device) for _ in range(10)]
    while len(times) < 100 and sum(times) < 0.2:
        times.append(seconds_of(run, device))
    return min(times)
