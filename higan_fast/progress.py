"""Progress of a long job: how far it is, how fast it goes, and the time that is left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def progress(
    label: str, total: int, *, unit: str = "images", done: int = 0, enabled: bool = True
) -> Iterator[Callable[[int], None]]:
    """Shows a bar on a terminal, and a plain line every few seconds elsewhere; both on stderr.

    Args:
        label: what the job does, such as ``"sampling"``.
        total: how many units the whole job has.
        unit: what is counted.
        done: units that an earlier run has done already; they do not count for the rate.
        enabled: False shows nothing.

    Yields:
        ``advance(n)``, to be called whenever ``n`` more units are done.
    """
    if not enabled or done >= total:
        yield lambda count: None
    elif sys.stderr.isatty():
        with _bar(label, total, unit, done) as advance:
            yield advance
    else:
        lines = _Lines(label, total, unit, done)
        try:
            yield lines.advance
        finally:
            lines.write()


@contextmanager
def _bar(label: str, total: int, unit: str, done: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        rate,
        TimeRemainingColumn(),
    )
    begin, count = time.monotonic(), 0
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total, completed=done, rate="")

        def advance(more: int) -> None:
            nonlocal count
            count += more
            per_second = count / max(time.monotonic() - begin, 1e-9)
            bar.update(task, advance=more, rate=f"{per_second:,.1f} {unit}/s")

        yield advance


class _Lines:
    """Plain lines for a log file: no more than one every few seconds, and one at the end."""

    def __init__(self, label: str, total: int, unit: str, done: int) -> None:
        self.label, self.total, self.unit, self.earlier, self.done = label, total, unit, done, done
        self.begin = self.last = time.monotonic()

    def advance(self, count: int) -> None:
        self.done += count
        if time.monotonic() - self.last >= SECONDS_BETWEEN_LINES:
            self.write()

    def write(self) -> None:
        self.last = time.monotonic()
        seconds = max(self.last - self.begin, 1e-9)
        rate = (self.done - self.earlier) / seconds
        left = f"{_clock((self.total - self.done) / rate)} left" if rate > 0 else "time left unknown"
        if self.done >= self.total:
            left = f"took {_clock(seconds)}"
        print(
            f"{self.label}: {self.done:,} of {self.total:,} {self.unit}, {rate:,.1f} {self.unit}/s, {left}",
            file=sys.stderr,
            flush=True,
        )


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
