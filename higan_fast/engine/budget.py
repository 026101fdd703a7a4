"""How many images fit into memory at once: measured before the work, halved when memory runs out."""

from __future__ import annotations

from pathlib import Path

import torch

from higan_fast.engine.scoring import score
from higan_fast.generators.base import Activation, Generator
from higan_fast.predictors.base import Predictor

# Default limits. Larger batches gain nothing, and on CPUs they do not fit the caches.
AT_MOST = {"cpu": 32, "cuda": 256}

# The rest is for other memory use and for fragmentation.
SHARE_OF_FREE_MEMORY = 0.7

# A layer needs its input and output, plus modulated features and the convolution's workspace.
COPIES = 3


class Budget:
    """How many images go through the networks at once.

    Attributes:
        images: number of images that are synthesised and scored together.
    """

    def __init__(self, images: int) -> None:
        self.images = images

    @classmethod
    def measure(cls, generator: Generator, predictor: Predictor | None, at_most: int | None) -> Budget:
        """Returns the budget for the memory that is free now, up to ``at_most`` (None: ``AT_MOST``)."""
        device = generator.device
        at_most = at_most or AT_MOST.get(device.type, 32)
        room = int(
            SHARE_OF_FREE_MEMORY * _free_memory(device) / max(1, _bytes_per_image(generator, predictor))
        )
        return cls(max(1, min(at_most, room)))

    def halve(self) -> None:
        """Halves the budget after an out-of-memory error.

        Raises:
            RuntimeError: if the budget was a single image already.
        """
        if self.images == 1:
            raise RuntimeError(
                "there is not enough memory for a single image; free some, or use another device"
            )
        self.images //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means out of memory; torch's CPU allocator raises a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


@torch.inference_mode()
def _bytes_per_image(generator: Generator, predictor: Predictor | None) -> int:
    device = generator.device
    codes = torch.zeros(1, generator.num_layers, generator.code_dim).to(next(generator.parameters()))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        images = generator.draw(codes)
        if predictor is not None:
            score(predictor, images)
        return torch.cuda.max_memory_allocated(device) - before
    largest, activation = 0, generator.start(1)
    for layer in range(generator.num_layers):
        entering = _bytes(activation)
        activation = generator.layer(layer, activation, codes[:, layer])
        largest = max(largest, entering + _bytes(activation))
    return COPIES * largest


def _bytes(activation: Activation) -> int:
    return sum(part.numel() * part.element_size() for part in activation if part is not None)


def _free_memory(device: torch.device) -> int:
    """Returns the available bytes; on a GPU these include torch's cached blocks."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    limits = [
        int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo") if line.startswith("MemAvailable")
    ]
    group = Path("/sys/fs/cgroup")
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        found = [int(text) for name in (limit, used) for text in _lines(group / name) if text.isdigit()]
        if len(found) == 2:
            limits.append(max(0, found[0] - found[1]))
    return min(limits, default=2**32)  # the system does not report its memory


def _lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
