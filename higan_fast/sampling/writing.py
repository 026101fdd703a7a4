"""Writes shards while the next ones are made: flushing files takes as long as making images."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol

from numpy.typing import NDArray

AHEAD = 4  # shards that may wait for the disk: what they hold is all the memory that it takes
AT_ONCE = 4  # files, of which the disk flushes several together


class Writable(Protocol):
    """What shards are written to."""

    def write(self, name: str, start: int, values: NDArray[Any]) -> None: ...


class WriteBehind:
    """A context in which shards are written in the background, and at whose end all of them are.

    The files of a shard are written at once, and so are those of several shards. Only their scores, which
    make a shard complete, are written after its other files and in the order of the shards. So a killed
    process leaves complete shards and then none, as if they had been written one after the other. Once a
    shard could not be written, no later one gets its scores.

    Raises:
        OSError: as ``store.write``; from ``put``, or at the end of the context unless that raises already.
    """

    def __init__(self, store: Writable) -> None:
        self._store = store
        self._room = threading.Semaphore(AHEAD)
        self._files = ThreadPoolExecutor(AT_ONCE, "shards")
        self._in_order = ThreadPoolExecutor(1, "scores")
        self._error: BaseException | None = None

    def put(self, start: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Hands over the shard from sample ``start`` on; waits where ``AHEAD`` shards wait for the disk."""
        self._room.acquire()
        self._raise()
        written = [
            self._files.submit(self._store.write, name, start, values)
            for name, values in arrays.items()
            if name != "scores"
        ]
        self._in_order.submit(self._complete, start, arrays.get("scores"), written)

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in_order.shutdown()  # what was handed over is written even where the caller was interrupted
        self._files.shutdown()
        if error is None:
            self._raise()

    def _complete(self, start: int, scores: NDArray[Any] | None, written: list[Future[None]]) -> None:
        try:
            for file in written:
                file.result()
            if scores is not None and self._error is None:
                self._store.write("scores", start, scores)
        except BaseException as error:
            self._error = self._error or error
        finally:
            self._room.release()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
