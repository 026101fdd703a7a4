"""A path → the bytes of a file, and clear words for whatever else may be at a path."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

LARGEST_COPY = 2**30  # bytes; no published generator comes in a larger file, which is always mapped
KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Opens a regular file for reading.

    Raises:
        FileNotFoundError: if there is nothing at ``path``; says where a dangling link points.
        PermissionError: if it may not be read.
        ValueError: if there is something else than a file.
        OSError: if the system cannot read it.
    """
    check_file(path)
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise _in_words(error, path) from None


def open_bytes(path: Path, map_file: bool = False) -> memoryview:
    """Returns the bytes of a file, writable in memory alone; errors as of ``opened``.

    They are copied, so that nobody who truncates or overwrites the file takes them away: to touch mapped
    bytes that are gone kills a process (SIGBUS).

    Args:
        path: the file.
        map_file: map it into memory instead; files above 1 GiB are always mapped.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size and (map_file or is_large(size)):
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        content = bytearray(size)
        return memoryview(content)[: file.readinto(content)]  # type: ignore[attr-defined]


def is_large(size: int) -> bool:
    """Returns whether a file of so many bytes is mapped even where nobody asks for it."""
    return size > LARGEST_COPY


def is_folder(path: Path) -> bool:
    """Returns whether there is a folder, and one that may be seen, at ``path``."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def check_file(path: Path) -> int:
    """Returns the size of a regular file, in bytes; errors as of ``opened``."""
    try:
        found = path.stat()
    except OSError as error:
        raise _in_words(error, path) from None
    except ValueError as error:  # such as a zero byte in the path
        raise FileNotFoundError(f"{path}: there is no such file ({error})") from None
    for is_kind, name in KINDS:
        if is_kind(found.st_mode):
            raise ValueError(f"{path}: is {name}, expected a file")
    return found.st_size


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file; errors as of ``check_file``."""
    check_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _in_words(error: OSError, path: Path) -> OSError:
    """Returns an error of the same class whose message says what to do."""
    if error.errno == errno.ENOENT and path.is_symlink():
        message = f"is a link to {path.readlink()}, where nothing is; was a download cut off?"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        message = "there is no such file"
    elif error.errno in (errno.EACCES, errno.EPERM):
        message = "may not be read by this user; change its permissions, or copy it"
    else:
        message = f"cannot be read: {(error.strerror or str(error)).lower()}"
    return type(error)(f"{path}: {message}")
