"""Overlapping work on a second CUDA stream, and asynchronous uploads, so that the device is never idle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class SecondStream:
    """A second CUDA stream beside the caller's; on other devices everything runs synchronously."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def each(self, items: Iterable[T], work: Callable[[T], Tensor]) -> Iterator[tuple[T, Tensor]]:
        """Yields every item with the result of ``work`` on it.

        On CUDA, ``work`` runs on the second stream while ``items`` launches the next item on the caller's.
        So an item is yielded only after the next one has been launched. Until then it is kept alive: nothing
        that the second stream reads is freed before the caller's stream has waited for it.
        """
        if self._stream is None:
            for item in items:
                yield item, work(item)
            return
        before: tuple[T, Callable[[], Tensor]] | None = None
        try:
            for item in items:
                launched = item, self._launch(partial(work, item))
                if before is not None:
                    yield before[0], before[1]()
                before = launched
            if before is not None:
                yield before[0], before[1]()
        finally:
            self._join()  # if the caller stops early, the pending item is freed only after this

    def _launch(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Queues ``run`` after the caller's launches so far; the returned function hands over its result."""
        assert self._stream is not None
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            result = run()
            done = self._stream.record_event()

        def hand_over() -> Tensor:
            torch.cuda.current_stream(self._device).wait_event(done)
            return result.clone()  # in memory of the caller's stream

        return hand_over

    def _join(self) -> None:
        assert self._stream is not None
        torch.cuda.current_stream(self._device).wait_stream(self._stream)


def upload(tensor: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Copies a tensor to a device; for CUDA, the host does not wait for the copy."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.to(dtype=dtype).pin_memory().to(device, non_blocking=True)
    return tensor.to(device, dtype)
