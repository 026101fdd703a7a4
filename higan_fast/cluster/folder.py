"""A crew that meets in a folder: who leads lays tasks there, and workers take units of them under a lock.

The folder may be on any file system that all of them see and that has locks, such as NFS. Whoever holds a
unit and dies loses its lock, and another takes the unit.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

from higan_fast.cluster.worker import Networks, Worker
from higan_fast.engine.crew import ENDING
from higan_fast.files import TEMPORARY, only_writer, write_whole, writing
from higan_fast.progress import say
from higan_fast.wording import line_of

WORK = "work"  # in a run folder
_LED_BY, _LEADER_LOCK = "led.json", "leader.lock"
_SECONDS = 0.05, 1.0  # between two looks at the folder, at first and at last
_FIRST_LINE, _BETWEEN_LINES = 5.0, 60.0  # seconds before the lines of a worker that nobody leads
_NOTE = 4096  # bytes that are kept free for what a worker could not do


class FolderCrew:
    """Leads whoever comes to the folder; a context, at whose end the workers leave.

    Attributes:
        folder: where tasks lie.
    """

    def __init__(
        self,
        run: Path,
        asked: dict[str, Any],
        worker: Worker | None = None,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        """Nobody is led yet.

        Args:
            run: the run folder.
            asked: what the workers must have been asked for too, as JSON values.
            worker: does units in this process; None: it hands out work alone.
            watch: is called every second while units are open.
        """
        self.folder = run / WORK
        self._asked, self._worker, self._watch = asked, worker, watch

    def __enter__(self) -> Self:
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        lock = _locked(self.folder / _LEADER_LOCK)
        if lock is None:
            raise RuntimeError(f"{self.folder}: another process leads the work here; wait until it is done")
        self._lock = lock
        for left in (*self.folder.glob(f"*{ENDING}*"), *self.folder.glob(f"*{TEMPORARY}")):
            _remove(left)
        self._say(ended=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._say(ended=True)
        finally:
            self._lock.close()

    def do(self, task: Path, num: int, done: Callable[[int], None]) -> None:
        """See ``Crew.do``."""
        place, seen = _Place(task), set[int]()
        place.lay()
        pauses, watched = _pauses(), time.monotonic()
        try:
            while True:
                new = place.marked() - seen
                for unit in sorted(new):
                    done(unit)
                seen |= new
                place.check()
                if len(seen) == num:
                    return
                if time.monotonic() - watched >= _SECONDS[1]:
                    watched = time.monotonic()
                    self._watch()
                did = self._worker is not None and _do_one(self._worker, place, 1, 1)
                if did or new:
                    pauses = _pauses()
                else:
                    time.sleep(next(pauses))
        finally:
            place.remove()

    def _say(self, ended: bool) -> None:
        with write_whole(self.folder / _LED_BY) as file:
            file.write(json.dumps({"asked": self._asked, "ended": ended}).encode())


def serve(
    run: Path,
    networks: Networks,
    asked: dict[str, Any],
    index: int,
    of: int,
    *,
    patience: float | None = None,
    leader: str = "",
    quiet: bool = False,
) -> int:
    """Does units for whoever leads the work in a run folder, until that is done.

    Args:
        run: the run folder.
        networks: gives the networks.
        asked: what this worker was asked for; who leads must have been asked for the same.
        index: which worker this is, from 1 on; it begins with units of its own, and then helps the others.
        of: how many workers there are meant to be.
        patience: how many seconds to wait while nobody leads; None: without end.
        leader: the command line of who leads, which is said where nobody does.
        quiet: whether to say nothing.

    Returns:
        How many units it did.

    Raises:
        RuntimeError: when another process is this worker, or nobody led for too long.
        ValueError: when who leads was asked for something else, or a unit cannot be done.
    """
    folder, count = run / WORK, 0
    with only_writer(folder / f"{index}-of-{of}"):
        worker = Worker(networks)
        pauses, waited, next_line = _pauses(), 0.0, _FIRST_LINE
        while True:
            if (state := _state(folder)) is not None and state["ended"] and state["asked"] == asked:
                return count
            if free := _locked(folder / _LEADER_LOCK, fcntl.LOCK_SH):
                free.close()
            led = free is None
            if led and state is not None and not state["ended"] and state["asked"] != asked:
                name = next(n for n in {**asked, **state["asked"]} if asked.get(n) != state["asked"].get(n))
                raise ValueError(
                    f"{run}: who leads the work was asked for {name} = {state['asked'].get(name)!r}, and "
                    f"this worker for {asked.get(name)!r}; use the same options"
                )
            if led and any(_do_one(worker, _Place(task), index, of) for task in folder.glob(f"*{ENDING}")):
                count, pauses, waited, next_line = count + 1, _pauses(), 0.0, _FIRST_LINE
                continue
            pause = next(pauses)
            time.sleep(pause)
            waited = 0.0 if led else waited + pause
            if patience is not None and waited > patience:
                raise RuntimeError(f"{run}: nobody led the work for {patience:g} s; this worker ends")
            if not quiet and waited >= next_line:
                next_line = waited + _BETWEEN_LINES
                say(f"worker {index}/{of}: waits for who leads the work{f': {leader}' if leader else ''}")


class _Place:
    """What lies beside a task while its units are done: locks, marks of what is done, and a failure.

    The file of the failure has its size from the beginning: a disk that is full takes the line of who found
    it full.
    """

    def __init__(self, task: Path) -> None:
        self.task = task
        self.done = task.with_name(f"{task.name}.done")
        self.failure = task.with_name(f"{task.name}.failure")

    def lay(self) -> None:
        """Makes all of it, of which nothing says anything yet; workers begin now."""
        with writing(self.failure), self.failure.open("xb") as file:
            file.write(bytes(_NOTE))
            file.flush()
            os.fsync(file.fileno())
        with writing(self.done):
            self.done.mkdir()

    def marked(self) -> set[int]:
        """The units that are done."""
        try:
            return {int(mark.name) for mark in self.done.iterdir() if mark.name.isdecimal()}
        except FileNotFoundError:
            return set()

    def mark(self, unit: int) -> None:
        """Says that a unit is done."""
        with writing(self.done / str(unit)):
            (self.done / str(unit)).touch()

    def fail(self, error: Exception) -> None:
        """Leaves the line of a worker for who leads; removes the file where not even that can be written."""
        line = line_of(error).encode()[: _NOTE - 1]
        try:
            with self.failure.open("r+b", buffering=0) as file:
                file.write(line.ljust(_NOTE - 1) + b"\n")
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                self.failure.unlink(missing_ok=True)

    def check(self) -> None:
        """Raises ValueError with the line of a worker that could not do a unit."""
        try:
            line = self.failure.read_bytes()
        except FileNotFoundError:
            why = "a worker could not do a unit, nor write why; is the disk full?"
            line = f"{self.task.parent}: {why}\n".encode()
        if line.endswith(b"\n"):
            raise ValueError(line.decode(errors="replace").strip())

    def remove(self) -> None:
        for path in (self.done, self.failure):
            _remove(path)


def _do_one(worker: Worker, place: _Place, index: int, of: int) -> bool:
    """Does the first unit that is open and that nobody holds; returns whether there was one.

    Those of worker ``index`` come first: workers who begin together do not ask for the same ones.
    """
    if not place.done.is_dir():
        return False
    try:
        num, marked = worker.num_units(place.task), place.marked()
        for unit in sorted(set(range(num)) - marked, key=lambda unit: ((unit + 1 - index) % of != 0, unit)):
            lock = _locked(place.done / f"{unit}.lock")
            if lock is None:
                continue
            with lock:
                if (place.done / str(unit)).exists():
                    continue
                worker.do(place.task, unit)
                place.mark(unit)
                return True
    except (ValueError, RuntimeError, OSError) as error:
        if not place.task.exists():
            return False  # whoever led has left, and its task with it
        place.fail(error)
        raise
    return False


def _locked(path: Path, how: int = fcntl.LOCK_EX) -> BinaryIO | None:
    """Locks a file until it is closed; returns None where another process holds it, or its folder is gone."""
    try:
        with writing(path):
            file = path.open("a+b")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _state(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((folder / _LED_BY).read_bytes())
        return found
    except (FileNotFoundError, ValueError):
        return None


def _pauses() -> Iterator[float]:
    pause = _SECONDS[0]
    while True:
        yield pause
        pause = min(2 * pause, _SECONDS[1])


def _remove(path: Path) -> None:
    """Removes a file, or a folder of files. A folder goes out of the way of workers first.

    What such a worker still holds stays where a file system keeps open files (NFS), until the next leader.
    """
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    with suppress(OSError):
        path = path.rename(path.with_name(f"{path.name}.gone"))
        for file in path.iterdir():
            file.unlink(missing_ok=True)
        path.rmdir()
