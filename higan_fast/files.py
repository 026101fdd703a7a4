"""Files that are whole or absent: temporary name, flush, rename; and the lock of a folder's one writer."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".partial"


@contextmanager
def write_whole(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a file that appears under ``path`` only once it is written and on the disk.

    Raises:
        OSError: when the folder cannot be written to or the disk is full; says which file and what to do.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise _unwritable(error, path) from error
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes a rename in a folder last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def only_writer(folder: str | Path) -> Iterator[None]:
    """Holds a folder for this process alone, and makes it when missing.

    The kernel lets go of the lock when its holder dies, however it dies.

    Raises:
        RuntimeError: when another process holds the folder.
        OSError: when the folder cannot be written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "writer.lock").open("a")
    except OSError as error:
        raise _unwritable(error, folder) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(
                f"{folder}: another process is writing here; wait until it is done, or choose another folder"
            ) from None
        yield


def remove_leftovers(path: Path) -> None:
    """Deletes what dead writers of ``path`` left beside it and in it. Only its one writer may call this."""
    for leftover in [*path.parent.glob(f"{path.name}.*{TEMPORARY}"), *path.rglob(f"*{TEMPORARY}")]:
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)


def _unwritable(error: OSError, path: Path) -> OSError:
    """The same error, of the same class, with a message that says what to do."""
    advice = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose another folder"
    return OSError(error.errno, f"cannot write {path}: {error.strerror or error}; {advice} and run it again")
