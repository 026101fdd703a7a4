"""Work that goes on beside other work, and copies for which nobody waits: a device that is never idle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class SecondStream:
    """A stream beside the caller's, on CUDA; elsewhere there is none, and everything runs as it comes."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def each(self, items: Iterable[T], work: Callable[[T], Tensor]) -> Iterator[tuple[T, Tensor]]:
        """Every item with what ``work`` makes of it.

        On CUDA ``work`` runs on the second stream, beside what ``items`` launches for the next item on the
        caller's. So an item comes only after the next has been launched, and until then it is kept: nothing
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
            self._join()  # an item that nobody asked for any more is freed only then

    def _launch(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Runs after all that the caller's stream holds so far; what it gives hands over the result."""
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
    """A tensor on a device; the host does not wait until it is there."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.to(dtype=dtype).pin_memory().to(device, non_blocking=True)
    return tensor.to(device, dtype)
