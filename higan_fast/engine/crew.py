"""Work for several processes: tasks in a folder that all of them reach, and a crew that does their units."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from higan_fast.files import read_arrays, write_arrays

ENDING = ".task.npz"


class Crew(Protocol):
    """Workers that hold both networks, and whoever hands them their work.

    Attributes:
        folder: where tasks lie, ``work`` in a run folder.
    """

    @property
    def folder(self) -> Path: ...

    def do(self, task: Path, num: int, done: Callable[[int], None]) -> None:
        """Has the units 0 to ``num - 1`` of a task done, each by any worker, and returns when all are.

        A unit is a pure function of the task and the networks that writes files of its own, so that nothing
        is wrong if a worker dies in it, or two do the same.

        Args:
            task: its file.
            num: how many units it has.
            done: hears of every unit that is done.

        Raises:
            ValueError: with the worker's line, when a unit cannot be done.
        """


class Task(NamedTuple):
    """What a worker needs to know besides the networks.

    Attributes:
        kind: "samples" or "walks".
        num: how many units it has.
        run: the run folder.
        about: JSON values.
        arrays: by name.
    """

    kind: str
    num: int
    run: Path
    about: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    @classmethod
    def read(cls, path: Path) -> Task:
        """Reads a task.

        Raises:
            FileNotFoundError: when it is not there any more.
            DamagedError: when the file is damaged.
        """
        arrays = read_arrays(path)
        about = json.loads(str(arrays.pop("about")))
        return cls(about.pop("kind"), about.pop("num"), path.parent.parent, about, arrays)


def check_crew(crew: Crew | None, out: str | Path | None) -> None:
    """Raises ValueError when a crew works in another run folder than ``out``."""
    if crew is not None and (out is None or Path(out).absolute() != crew.folder.absolute().parent):
        raise ValueError(
            f"crew: works in {crew.folder.parent}, and out is {out}; give both the same run folder"
        )


@contextmanager
def task_in(
    folder: Path, kind: str, num: int, about: dict[str, Any], **arrays: NDArray[Any]
) -> Iterator[Path]:
    """Writes a task into the folder of a crew, where it stays until the end of the context."""
    path = folder / f"{uuid.uuid4().hex}{ENDING}"
    write_arrays(path, {"about": np.array(json.dumps(about | {"kind": kind, "num": num})), **arrays})
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
