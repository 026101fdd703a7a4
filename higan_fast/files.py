"""Atomic file writes (temporary name, flush, rename), and a lock that gives a folder a single writer."""

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
    """Opens a file for writing that appears at ``path`` only when it is complete and on the disk.

    Raises:
        OSError: if the folder is not writable or the disk is full; names the file and the remedy.
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
    """Flushes a folder to the disk, so that a rename in it survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def only_writer(folder: str | Path) -> Iterator[None]:
    """Locks a folder for this process, and creates it if it is missing.

    The operating system releases the lock when the process ends, however it ends.

    Raises:
        RuntimeError: if another process holds the lock.
        OSError: if the folder is not writable.
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
    """Deletes temporary files of dead writers next to ``path`` and in it. Only its writer may call this."""
    for leftover in [*path.parent.glob(f"{path.name}.*{TEMPORARY}"), *path.rglob(f"*{TEMPORARY}")]:
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)


def _unwritable(error: OSError, path: Path) -> OSError:
    """Returns the same error, of the same class, with a message that says what to do."""
    advice = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose another folder"
    return OSError(error.errno, f"cannot write {path}: {error.strerror or error}; {advice} and run it again")
