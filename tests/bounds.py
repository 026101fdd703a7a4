"""Bounds on what a piece of a test takes, whatever runs beside it."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def seconds_below(bound: float) -> Iterator[None]:
    """What is within it takes fewer seconds of the processor."""
    begin = time.process_time()
    yield
    assert time.process_time() - begin < bound


@contextmanager
def memory_below(bound: float) -> Iterator[None]:
    """What is within it takes fewer bytes from Python and NumPy at any time."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()  # a test that ends here by a timeout leaves nothing to the next
    assert peak < bound
