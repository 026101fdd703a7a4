"""How many images fit into memory at once: measured before the work, halved when memory runs out."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from higan_fast.engine.precision import scoring_in
from higan_fast.engine.scoring import score
from higan_fast.generators.base import Activation, Generator
from higan_fast.predictors.base import Predictor

# Default limits. On CPUs, larger batches do not fit the caches. On CUDA every batch has the size of its
# recording, and a round of a verification has 16, 32 or 64 samples with two steps. So 128 leave little to
# pad: 4 % of a sequential verification of two boundaries, where 256 leave 27 %.
AT_MOST = {"cpu": 32, "cuda": 128}

# The rest is for other memory use and for fragmentation; on CUDA recordings need as much again as eager work.
SHARE_OF_FREE_MEMORY = {"cpu": 0.7, "cuda": 0.35}

# On CUDA what an image takes is the difference between two batches, or between two small ones where these do
# not fit: libraries have working memory of their own, which does not grow with the batch.
MEASURED = ((4, 8), (1, 2))

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
        """Returns the budget for the memory that is free now, up to ``at_most`` (None: ``AT_MOST``).

        Where memory is the limit on CUDA it is a power of two, which whole rounds of samples fill.
        """
        device = generator.device
        at_most = at_most or AT_MOST.get(device.type, 32)
        fixed, each = _memory_of_images(generator, predictor)
        share = SHARE_OF_FREE_MEMORY.get(device.type, SHARE_OF_FREE_MEMORY["cpu"])
        room = max(1, int((share * _free_memory(device) - fixed) / max(1, each)))
        if device.type == "cuda" and room < at_most:
            room = 2 ** (room.bit_length() - 1)
        return cls(min(at_most, room))

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
def _memory_of_images(generator: Generator, predictor: Predictor | None) -> tuple[int, int]:
    """Returns the bytes that any batch takes, and those that each image adds."""
    if generator.device.type == "cuda":
        for few, more in MEASURED:
            try:
                least, most = (_peak(generator, predictor, num) for num in (few, more))
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                continue
            each = max(1, (most - least) // (more - few))
            return max(0, least - few * each), each
        return 0, _free_memory(generator.device)  # one at a time, if at all
    codes = _codes(generator, 1)
    largest, activation = 0, generator.start(1)
    for layer in range(generator.num_layers):
        entering = _bytes(activation)
        activation = generator.layer(layer, activation, codes[:, layer])
        largest = max(largest, entering + _bytes(activation))
    return 0, COPIES * largest


def _peak(generator: Generator, predictor: Predictor | None, num: int) -> int:
    """Returns the most bytes in use while ``num`` images are made and scored on CUDA, beyond those before.

    The first time counts for nothing: libraries try algorithms then, and weights are prepared.
    """
    device, codes = generator.device, _codes(generator, num)
    for _ in range(2):
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        images = generator.draw(codes)
        if predictor is not None:
            with scoring_in(device, generator.activation_dtype):
                score(predictor, images)
        peak = torch.cuda.max_memory_allocated(device) - before
        del images
    return peak


def _codes(generator: Generator, num: int) -> Tensor:
    return torch.zeros(num, generator.num_layers, generator.code_dim).to(next(generator.parameters()))


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
