"""Progress of a long job: its stage, how far it is, how fast it goes, and the time that is left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

SECONDS_BETWEEN_LINES = 5.0

_stage: ContextVar[str] = ContextVar("stage", default="")  # such as "1/4 ", before whatever is shown
_overall: ContextVar[Any] = ContextVar("overall", default=None)  # what parts of a job are shown beneath


@contextmanager
def stage(number: int, of: int) -> Iterator[None]:
    """Within it all progress says that it belongs to stage ``number`` of a job that has ``of`` stages."""
    token = _stage.set(f"{number}/{of} ")
    try:
        yield
    finally:
        _stage.reset(token)


def say(text: str) -> None:
    """Writes a line for whoever watches the progress."""
    print(f"{_stage.get()}{text}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Returns a time in the unit that people would use: ``"45 s"``, ``"2 min"``, ``"7 h"``, ``"3 days"``."""
    for unit, size, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds / size < most:
            return f"{max(1, round(seconds / size))} {unit}"
    return f"{seconds / 86_400:,.0f} days"


@contextmanager
def overall(
    label: str, total: int, unit: str, *, enabled: bool = True
) -> Iterator[Callable[[int, str], None]]:
    """Shows how far a job is of whose parts the number is open; their own bars come and go beneath.

    On a terminal it is a bar that stays on top, elsewhere a line every few seconds in place of those of the
    parts.

    Args:
        label: what the job does, such as ``"verifying"``.
        total: how many things there are to do.
        unit: what has become of those that are done, such as ``"boundaries decided"``.
        enabled: False shows nothing.

    Yields:
        ``report(done, note)``, to be called whenever that changes; the note says how far the work on the
        others is.
    """
    if not enabled:
        yield lambda done, note: None
        return
    label = f"{_stage.get()}{label}"
    if sys.stderr.isatty():
        with _display() as bars:
            task = bars.add_task(label, total=total, rate=unit, overall=True)
            token = _overall.set(bars)
            try:
                yield lambda done, note: bars.update(task, completed=done, rate=f"{unit}; {note}")
            finally:
                _overall.reset(token)
        return
    begin = last = time.monotonic()
    said = f"{label}: nothing done"

    def report(done: int, note: str) -> None:
        nonlocal last, said
        said = f"{label}: {done:,} of {total:,} {unit}"
        if note and done < total:  # what was left to do, and is not once all is done
            said += f"; {note}"
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print(f"{said}, {_clock(last - begin)} so far", file=sys.stderr, flush=True)

    token = _overall.set(report)
    try:
        yield report
    finally:
        _overall.reset(token)
        print(f"{said}, took {_clock(time.monotonic() - begin)}", file=sys.stderr, flush=True)


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
    label = f"{_stage.get()}{label}"
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
            # an overall job has a last line of its own
            if _overall.get() is None and lines.said != lines.done:
                lines.write()


@contextmanager
def _bar(label: str, total: int, unit: str, done: int) -> Iterator[Callable[[int], None]]:
    begin, count, above = time.monotonic(), 0, _overall.get()
    with nullcontext(above) if above else _display() as bars:
        task = bars.add_task(label, total=total, completed=done, rate="")

        def advance(more: int) -> None:
            nonlocal count
            count += more
            per_second = count / max(time.monotonic() - begin, 1e-9)
            bars.update(task, advance=more, rate=f"{per_second:,.1f} {unit}/s")

        try:
            yield advance
        finally:
            if above:
                bars.remove_task(task)


def _display() -> Any:
    """A place for bars on the terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class TimeLeft(TimeRemainingColumn):
        """Of parts alone: what is left of the whole depends on what they decide."""

        def render(self, task: Task) -> Text:
            return Text() if task.fields.get("overall") else super().render(task)

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeLeft(),
    )
    return Progress(*columns, console=Console(stderr=True))


class _Lines:
    """Plain lines for a log file: no more than one every few seconds, and one at the end."""

    def __init__(self, label: str, total: int, unit: str, done: int) -> None:
        self.label, self.total, self.unit, self.earlier, self.done = label, total, unit, done, done
        self.begin = self.last = time.monotonic()
        self.said: int | None = None  # how many were done, in the last line

    def advance(self, count: int) -> None:
        self.done += count
        if time.monotonic() - self.last >= SECONDS_BETWEEN_LINES:
            self.write()

    def write(self) -> None:
        self.last, self.said = time.monotonic(), self.done
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
