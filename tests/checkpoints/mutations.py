"""What can happen to a checkpoint, by chance or by intent: each mutation makes other bytes of one."""

from __future__ import annotations

import io
import pickletools
import random
import re
import shutil
import struct
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from higan_fast.checkpoints import load_generator
from higan_fast.checkpoints.pickles.allowlist import ALLOWED
from tests.checkpoints.hostile import FORGED

WITH_LENGTH = {
    "BINBYTES": 4, "BINBYTES8": 8, "SHORT_BINBYTES": 1, "BINUNICODE": 4, "SHORT_BINUNICODE": 1, "LONG1": 1,
    "BINPUT": 1, "LONG_BINPUT": 4, "BINGET": 1, "BININT": 4, "BININT1": 1, "BININT2": 2, "FRAME": 8,
}  # fmt: skip
TEXTS = {"BINUNICODE", "SHORT_BINUNICODE", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "STRING"}
VALUES = TEXTS | {"BINGET", "LONG_BINGET", "EMPTY_DICT", "EMPTY_LIST", "NONE", "BININT1", "BININT", "NEWTRUE"}
FILLING = {"SETITEMS", "APPENDS", "TUPLE"}


class Sample:
    """A checkpoint, and what can be mutated in it.

    Attributes:
        path: what is loaded.
        file: what is mutated, in it or itself.
        data: the intact file.
        instructions: where in it each instruction of a pickle begins, and the instruction's name.
    """

    def __init__(self, folder: Path, written: tuple[Path, dict[str, Any] | None]) -> None:
        intact, self.config = written
        self.path = folder / "mutated.pkl"  # a name that says nothing
        if intact.is_dir():
            shutil.copytree(intact, self.path)
            self.file = next(file for file in self.path.iterdir() if file.suffix != ".json")
        else:
            shutil.copy(intact, self.path)
            self.file = self.path
        self.data = self.file.read_bytes()
        self.instructions = _instructions(self.data)
        self.members: list[tuple[str, int, int]] = []  # of an archive, and where their bytes begin and end
        if self.data.startswith(b"PK"):
            with zipfile.ZipFile(self.file) as archive:
                for info in archive.infolist():
                    begin = self.data.index(archive.read(info), info.header_offset)
                    self.members.append((info.filename, begin, begin + info.file_size))

    def load(self) -> None:
        load_generator(self.path, config=self.config)

    def inserted(self, new: bytes, chance: random.Random, before: Collection[str] = ()) -> bytes:
        """With more instructions, before one of some kinds; or before any."""
        places = [at for at, name in self.instructions if name in before or not before]
        at = chance.choice(places) if places else chance.randrange(len(self.data))
        return self._edited(at, at, new)

    def replaced(self, new: bytes, chance: random.Random, kinds: Collection[str]) -> bytes:
        """With other instructions in the place of one of some kinds."""
        ends = [at for at, _ in self.instructions[1:]]
        places = [
            (at, end) for (at, name), end in zip(self.instructions, ends, strict=False) if name in kinds
        ]
        return self._edited(*chance.choice(places), new) if places else self.inserted(new, chance)

    def _edited(self, begin: int, end: int, new: bytes) -> bytes:
        """With other bytes from one place to another; an archive is written anew."""
        if not self.members:
            return self.data[:begin] + new + self.data[end:]
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, first, last in self.members:
                there = first <= begin <= end <= last
                parts = (self.data[first:begin], new, self.data[end:last])
                archive.writestr(name, b"".join(parts) if there else self.data[first:last])
        return buffer.getvalue()


def _instructions(data: bytes) -> list[tuple[int, str]]:
    """Of all pickles in a file, those within archives and within other pickles too."""
    found: dict[int, str] = {}
    for start in (0, *(match.start() for match in re.finditer(rb"\x80[\x02-\x05]", data))):
        try:
            pickle = [
                (start + at, code.name) for code, _, at in pickletools.genops(data[start:]) if at is not None
            ]
        except ValueError:
            continue
        found |= dict(pickle)
    return sorted(found.items())


def flip_bits(sample: Sample, chance: random.Random, mark: Path) -> bytes:
    data = bytearray(sample.data)
    reach = chance.choice([200, 2_000, len(data)])
    for _ in range(chance.choice([1, 1, 2, 8])):
        at = chance.randrange(min(reach, len(data)))
        if chance.random() < 0.3:
            at = len(data) - 1 - at
        data[at] ^= 1 << chance.randrange(8)
    return bytes(data)


def truncate(sample: Sample, chance: random.Random, mark: Path) -> bytes:
    return sample.data[
        : chance.randrange(min(chance.choice([100, 5_000, len(sample.data)]), len(sample.data)))
    ]


def swap_instructions(sample: Sample, chance: random.Random, mark: Path) -> bytes:
    data = bytearray(sample.data)
    if not sample.instructions:
        return flip_bits(sample, chance, mark)
    for _ in range(chance.choice([1, 3])):
        one, two = (chance.choice(sample.instructions)[0] for _ in range(2))
        if chance.random() < 0.5:
            data[one], data[two] = data[two], data[one]
        else:
            data[one] = ord(chance.choice(pickletools.opcodes).code)
    return bytes(data)


def change_numbers(sample: Sample, chance: random.Random, mark: Path) -> bytes:
    """Lengths, shapes, strides, indices of the memo; in safetensors, digits of the header."""
    data = bytearray(sample.data)
    candidates = [(at + 1, WITH_LENGTH[name]) for at, name in sample.instructions if name in WITH_LENGTH]
    candidates = candidates or [(match.start(), 1) for match in re.finditer(rb"\d", sample.data[:5_000])]
    for _ in range(chance.choice([1, 2])):
        at, size = chance.choice(candidates)
        extremes = [b"\xff" * size, bytes(size), b"\xff" * (size - 1) + b"\x7f", chance.randbytes(size)]
        data[at : at + size] = b"9" if not sample.instructions else chance.choice(extremes)
    return bytes(data)


def insert_payload(sample: Sample, chance: random.Random, mark: Path) -> bytes:
    """A call of ``os.system``, kept or dropped again."""
    call = b"cposix\nsystem\n(S'touch %s'\ntR" % str(mark).encode() + chance.choice([b"", b"0"])
    return sample.inserted(call, chance)


def amplify(sample: Sample, chance: random.Random, mark: Path) -> bytes:
    """Calls a function with an object of the memo, thousands of times, at the end or in the midst."""
    function = chance.choice(list(ALLOWED.values()))
    call = f"c{function.module}\n{function.name}\nh".encode() + bytes([chance.randrange(40)]) + b"\x85R"
    calls = b"(" + call * chance.choice([1, 10, 1_000, 5_000]) + b"1"
    return sample.inserted(calls, chance, {"STOP"} if chance.random() < 0.7 else ())


def share(sample: Sample, chance: random.Random, mark: Path) -> bytes:
    """Puts an object of the memo in the place of another."""
    return sample.replaced(b"h" + bytes([chance.randrange(60)]), chance, VALUES)


def deepen(sample: Sample, chance: random.Random, mark: Path) -> bytes:
    """Puts a value into a tuple, into a tuple, …"""
    depth = chance.choice([1, 30, 1_000, 40_000])
    return sample.inserted(b"\x85" * depth, chance, chance.choice([("STOP",), (), VALUES]))


def widen(sample: Sample, chance: random.Random, mark: Path) -> bytes:
    """Adds many keys to a dictionary, or entries to a list."""
    value = chance.choice([b"N", b"h" + bytes([chance.randrange(60)])])
    count = chance.choice([1, 100, 5_000])
    items = b"".join(b"X\5\0\0\0%05d" % number + value for number in range(count))
    return sample.inserted(items, chance, FILLING)


def change_texts(sample: Sample, chance: random.Random, mark: Path) -> bytes:
    """Control characters, surrogates, other letters and long texts, in the place of names and values."""
    text = chance.choice([FORGED, "é" * 9, "", "a" * 300, "../" * 9, "\0", "x" * 100_000])
    data = text.encode("utf-8", "surrogatepass")
    return sample.replaced(b"X" + struct.pack("<I", len(data)) + data, chance, TEXTS)


def move_a_part(sample: Sample, chance: random.Random, mark: Path) -> bytes:
    data, length = bytearray(sample.data), chance.choice([4, 64, 2_000])
    one, two = (chance.randrange(max(1, len(data) - length)) for _ in range(2))
    part = bytes(length) if chance.random() < 0.3 else data[one : one + length]
    if chance.random() < 0.5:
        data[two : two + length] = part
    else:
        data[two:two] = part
    return bytes(data)


MUTATIONS: tuple[Callable[[Sample, random.Random, Path], bytes], ...] = (
    flip_bits,
    truncate,
    swap_instructions,
    change_numbers,
    insert_payload,
    move_a_part,
    amplify,
    share,
    deepen,
    widen,
    change_texts,
)
