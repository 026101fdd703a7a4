"""Atomic file writes, arrays under a checksum, and a lock that gives a folder a single writer."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from higan_fast.wording import printable

TEMPORARY = ".partial"
FULL = errno.ENOSPC, errno.EDQUOT  # numbers of errors
CHECKSUM = "sha256"


class DamagedError(ValueError):
    """A file is not as it was written; the message names the file."""


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
        with suppress(OSError, ValueError):  # ValueError: a name that no file can have
            temporary.unlink()
        if isinstance(error, OSError):
            raise unwritable(error, path) from error
        raise
    with writing(path):
        sync_folder(path.parent)


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Errors of the operating system within name what is written, and the remedy; they keep their class."""
    try:
        yield
    except OSError as error:
        raise unwritable(error, path) from error


def sync_folder(folder: Path) -> None:
    """Flushes a folder to the disk, so that a rename in it survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_arrays(path: str | Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes arrays to an .npz file, and a checksum of them."""
    with write_whole(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays, **{CHECKSUM: np.array(checksum(arrays))})


def read_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Reads what ``write_arrays`` wrote.

    The checksums of the zip format do not suffice: they do not cover names, and are not looked at where the
    damaged header of an array asks for fewer bytes than there are.

    Raises:
        FileNotFoundError: if there is no such file.
        DamagedError: if the file is not as it was written.
    """
    try:
        with (
            warnings.catch_warnings(action="ignore"),  # NumPy and zipfile warn of what may be damage
            Path(path).open("rb") as raw,
            np.load(raw, allow_pickle=False) as file,
        ):
            arrays = {name: file[name] for name in file.files}
        if str(arrays.pop(CHECKSUM)) == checksum(arrays):
            return arrays
        cause = "its checksum differs"
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise all kinds of them
        cause = first_line(error)
    raise DamagedError(f"{path}: is damaged ({cause})")


def checksum(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Returns a SHA-256 hash of the names, types, shapes and values of arrays."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(repr((name, array.dtype.str, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def json_checksum(*values: Any) -> str:
    """Returns a SHA-256 hash of JSON values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, for a message of one line."""
    return printable((str(error).strip().splitlines() or [type(error).__name__])[0])


@contextmanager
def only_writer(folder: str | Path, *, shared: bool = False) -> Iterator[None]:
    """Locks a folder for this process, and creates it if it is missing.

    The operating system releases the lock when the process ends, however it ends.

    Args:
        folder: the folder.
        shared: whether others may write here too who say so, each to files of its own.

    Raises:
        RuntimeError: if another process holds the lock.
        OSError: if the folder is not writable.
    """
    folder = Path(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "writer.lock").open("a")
    with lock:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
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


def unwritable(error: OSError, what: str | Path) -> OSError:
    """Returns the same error, of the same class, with a message that says what to do."""
    advice = "free some space" if error.errno in FULL else "choose another folder"
    return OSError(error.errno, f"cannot write {what}: {error.strerror or error}; {advice} and run it again")
