"""What is not to be cut short: a signal that comes meanwhile acts at its end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def undisturbed() -> Iterator[None]:
    """Holds SIGINT and SIGTERM back, and keeps their handlers, whoever sets others within.

    Processes that are being started or ended would be left behind by whoever is interrupted in it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    set_handler = signal.signal
    before: dict[int, Any] = {}
    for each in (signal.SIGINT, signal.SIGTERM):
        before[each] = set_handler(each, lambda number, _: came.append(number))

    def keep(number: int, handler: Any) -> Any:
        return before[number] if number in before else set_handler(number, handler)

    signal.signal = keep  # type: ignore[assignment]
    try:
        yield
    finally:
        signal.signal = set_handler
        for number, handler in before.items():
            set_handler(number, handler)
        if came:
            signal.raise_signal(came[0])
