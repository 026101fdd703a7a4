"""Training images of the embedded world: rendered on first use, then read from shards on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.files import write_whole
from higan_fast.progress import progress
from higan_fast.scenes.factors import checked_indices, labels, sample_factors
from higan_fast.scenes.renderer import RENDERER_VERSION, render

SHARD_SIZE = 4096  # images per file: 48 MiB at 64 × 64
_STRIDE = 256  # images between two progress reports


class SceneDataset:
    """The images and labels of the world ``seed``; sample i is a pure function of (seed, i).

    Args:
        seed: which world.
        resolution: height and width of an image, in pixels.
        cache: folder of shards; None: every image is rendered when requested. A shard is a ``.npy`` file of
            4096 images in a folder named after seed, resolution and ``RENDERER_VERSION``, so images of
            another world or an older renderer are never served.
    """

    def __init__(self, seed: int, resolution: int = 64, cache: Path | None = None) -> None:
        if seed < 0:
            raise ValueError(f"seed: got {seed}, expected a non-negative integer")
        if resolution < 1:
            raise ValueError(f"resolution: got {resolution}, expected a positive integer")
        self.seed = seed
        self.resolution = resolution
        self.folder: Path | None = None
        if cache is not None:
            self.folder = Path(cache) / f"seed{seed}-{resolution}px-v{RENDERER_VERSION}"
        self._shards: dict[int, NDArray[np.uint8]] = {}

    def batch(self, indices: Iterable[int] | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Samples → images uint8 ``[N, 3, R, R]`` and labels float32 ``[N, 14]`` (see ``labels``).

        Raises:
            ValueError: if an index is negative or not an integer.
        """
        index = checked_indices(indices)
        factors = sample_factors(self.seed, index)
        values = torch.from_numpy(labels(factors))  # [N, 14]
        if self.folder is None:
            return render(factors, self.resolution), values
        images = np.empty((len(index), 3, self.resolution, self.resolution), dtype=np.uint8)
        shard_of = index // SHARD_SIZE  # [N]
        for number in np.unique(shard_of).tolist():
            here = shard_of == number
            images[here] = self._shard(number)[index[here] - number * SHARD_SIZE]
        return torch.from_numpy(images), values

    def prerender(self, num: int) -> None:
        """Renders the missing shards of samples 0 … ``num`` − 1, with a progress bar.

        An interrupted call loses at most the current shard; call it again to continue.

        Raises:
            ValueError: if there is no cache, or ``num`` is negative.
        """
        if self.folder is None:
            raise ValueError("cache: got None, expected a folder; pass one to SceneDataset before prerender")
        if num < 0:
            raise ValueError(f"num: got {num}, expected a non-negative number of samples")
        todo = [number for number in range(-(-num // SHARD_SIZE)) if self._mapped(number) is None]
        with progress("drawing rooms", total=len(todo) * SHARD_SIZE) as advance:
            for number in todo:
                self._draw(number, advance)

    def _shard(self, number: int) -> NDArray[np.uint8]:
        """Returns a mapped shard, uint8 ``[SHARD_SIZE, 3, R, R]``; renders missing or damaged ones."""
        images = self._mapped(number)
        if images is None:
            self._draw(number)
            images = self._mapped(number)
        if images is None:
            raise OSError(
                f"cache: cannot read back {self._path(number)}; check the disk, or choose another folder"
            )
        return images

    def _path(self, number: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{number:05d}.npy"

    def _mapped(self, number: int) -> NDArray[np.uint8] | None:
        """Returns a shard from disk, or None if its file is missing, truncated or of another shape."""
        if number not in self._shards:
            try:
                images = np.load(self._path(number), mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError):
                return None
            shape = (SHARD_SIZE, 3, self.resolution, self.resolution)
            if images.shape != shape or images.dtype != np.uint8:
                return None
            self._shards[number] = images
        return self._shards[number]

    def _draw(self, number: int, advance: Callable[[int], object] = lambda count: None) -> None:
        """Renders a shard into a temporary file, which is renamed once it is complete."""
        images = np.empty((SHARD_SIZE, 3, self.resolution, self.resolution), dtype=np.uint8)
        for start in range(0, SHARD_SIZE, _STRIDE):
            stop = min(start + _STRIDE, SHARD_SIZE)
            index = np.arange(start, stop) + number * SHARD_SIZE
            images[start:stop] = render(sample_factors(self.seed, index), self.resolution).numpy()
            advance(stop - start)
        with write_whole(self._path(number)) as file:
            np.save(file, images)
