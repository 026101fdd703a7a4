"""Zip archives: their members, as views of the file; and what an archive is, by its members' names.

Python's zipfile makes large objects of all names before one can ask how many there are, and copies members.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from higan_fast.checkpoints.contents import shown

MOST_MEMBERS = 100_000  # torch writes one for each tensor, and half a dozen
LONGEST_END = 22 + 2**16  # bytes: a record, and a comment
ENTRY, END = struct.Struct("<4s4x2H8x2L3H8xL"), struct.Struct("<4s6xH2LH")
END_64, LOCATOR_64 = struct.Struct("<4s28x3Q"), struct.Struct("<4s4xQ4x")
STORED, ENCRYPTED, IN_UTF_8 = 0, 0x1, 0x800
FILES = (".pkl", ".pickle", ".pth", ".pt", ".ckpt", ".bin", ".tar", ".safetensors")  # that hold weights


@dataclass(frozen=True, slots=True)
class Member:
    """Where the archive's directory says that a member lies; nothing of it has been checked.

    Attributes:
        offset: of its own header, in bytes.
        size: in bytes, when it is unpacked.
        packed: whether it is compressed, or encrypted.
    """

    offset: int
    size: int
    packed: bool


class Archive:
    """The members of an archive by their names, in the order of its directory.

    Raises:
        ValueError: when the file has no such directory.
    """

    def __init__(self, data: memoryview, path: Path) -> None:
        self.data, self.path = data, path
        try:
            end = _end(data)
            if end.count > MOST_MEMBERS:
                most = f"no file of weights has more than {MOST_MEMBERS}"
                raise ValueError(f"{path}: a zip archive of {end.count} members; {most}")
            self.members = dict(_directory(data, end))
        except (DamageError, struct.error) as error:
            problem = "a record is cut off" if isinstance(error, struct.error) else str(error)
            # The directory is the last that is written.
            reason = f"begins as a zip archive, but its end is missing or damaged ({problem})"
            raise ValueError(f"{path}: {reason}; the file is truncated") from None

    def read(self, name: str) -> memoryview:
        """The bytes of a member.

        Raises:
            KeyError: when there is none of this name.
            ValueError: when it is compressed, or lies elsewhere.
        """
        member, data = self.members[name], self.data
        if member.packed:
            raise ValueError(
                f"{self.path}: {shown(name)} in it is compressed or encrypted, as torch never does; "
                "unpack it, and pack it again without compression"
            )
        start = member.offset + 30  # of its own header, which has a name and an extra field behind it
        if bytes(data[member.offset : start][:4]) != b"PK\x03\x04" or start > len(data):
            raise ValueError(f"{self.path}: {shown(name)} is not where the archive says; the file is damaged")
        start += sum(struct.unpack("<2H", data[start - 4 : start]))
        if start + member.size > len(data):
            problem = "reaches beyond the file, which is truncated or damaged"
            raise ValueError(f"{self.path}: {shown(name)} {problem}")
        return data[start : start + member.size]


class DamageError(Exception):
    """What is wrong with a directory."""


@dataclass(frozen=True)
class _End:
    """What stands at a directory's end, at byte ``at``: its members, its bytes, and where it starts."""

    at: int
    count: int
    length: int
    start: int


def _directory(data: memoryview, last: _End) -> Iterator[tuple[str, Member]]:
    if last.start + last.length > last.at:
        raise DamageError("its directory is not where it says")
    position = last.start
    for _ in range(last.count):
        mark, flags, method, stored, size, name, extra, comment, offset = ENTRY.unpack_from(data, position)
        if mark != b"PK\x01\x02":
            raise DamageError("its directory is not where it says")
        begin, end = position + ENTRY.size, position + ENTRY.size + name
        position = end + extra + comment
        if position > last.at:
            raise DamageError("a name reaches beyond it")
        if 0xFFFFFFFF in (size, stored, offset):
            size, stored, offset = _large(data[end : end + extra], size, stored, offset)
        encoding = "utf-8" if flags & IN_UTF_8 else "cp437"
        called = str(data[begin:end], encoding, "surrogateescape")
        yield called, Member(offset, size, method != STORED or bool(flags & ENCRYPTED))


def _end(data: memoryview) -> _End:
    begin = max(0, len(data) - LONGEST_END)
    at = bytes(data[begin:]).rfind(b"PK\x05\x06") + begin
    if at < begin:
        raise DamageError("there is no directory of its members")
    _, count, length, start, comment = END.unpack_from(data, at)
    if at + END.size + comment > len(data):
        raise DamageError("its comment is cut off")
    if at >= LOCATOR_64.size:
        mark, record = LOCATOR_64.unpack_from(data, at - LOCATOR_64.size)
        if mark == b"PK\x06\x07":
            mark, count, length, start = END_64.unpack_from(data, record) if record < at else (b"", 0, 0, 0)
            if mark != b"PK\x06\x06":
                raise DamageError("the end of a large archive is not where it says")
            at = record
    return _End(at, count, length, start)


def _large(extra: memoryview, *numbers: int) -> list[int]:
    """Sizes and offsets, of which those that have no room in 32 bits stand in the extra field."""
    while len(extra) >= 4:
        kind, length = struct.unpack("<2H", extra[:4])
        if kind == 1:
            there = iter(struct.unpack(f"<{length // 8}Q", extra[4 : 4 + length // 8 * 8]))
            return [next(there, number) if number == 0xFFFFFFFF else number for number in numbers]
        extra = extra[4 + length :]
    return list(numbers)


def what_it_is(names: Collection[str]) -> str:
    """What an archive without a pickle of torch is, by the names of its members, and what to do with it."""
    tails = {name.partition("/")[2] for name in names} | set(names)
    if tails & {"archive_format", "archive_version", "serialized_exported_program.json"}:
        return "a program of torch.export; save its state_dict with torch.save, and load that"
    if ".data/version" in tails:
        return "a package of torch.package; save the state_dict in it with torch.save, and load that"
    if names and all(name.endswith(".npy") for name in names):
        return "NumPy's arrays (.npz), a format in which no generator here comes"
    if {"config.json", "model.weights.h5"} <= set(names):
        return "a model of Keras, a format in which no generator here comes"
    files = [name for name in names if name.lower().endswith(FILES)]
    if files:
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        return f"a zip archive with {shown(files[0])}{more} in it; unpack it"
    listed = ", ".join(shown(name) for name in list(names)[:3]) or "nothing"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"a zip archive, but not one of torch: it has {listed}{more}"
