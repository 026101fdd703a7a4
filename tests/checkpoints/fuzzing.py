"""Loads mutated checkpoints in a process that would show a crash: ``python -m tests.checkpoints.fuzzing``.

Prints one JSON object: how many loaded, how many were refused, and everything that should not have happened.
"""

from __future__ import annotations

import codecs
import io
import json
import pickletools
import random
import re
import resource
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from higan_fast.checkpoints import load_generator
from tests.checkpoints.samples import SAMPLES

LONGEST = 10  # seconds of the processor for one file; the process is killed after them
MEMORY = 48 * 2**20  # bytes beyond what loading the intact files takes
FORBIDDEN = {
    "exec",
    "compile",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "subprocess.Popen",
    "pickle.find_class",
}
WITH_LENGTH = {
    "BINBYTES": 4, "BINBYTES8": 8, "SHORT_BINBYTES": 1, "BINUNICODE": 4, "SHORT_BINUNICODE": 1, "LONG1": 1,
    "BINPUT": 1, "LONG_BINPUT": 4, "BINGET": 1, "BININT": 4, "BININT1": 1, "BININT2": 2, "FRAME": 8,
}  # fmt: skip


def main(folder: Path, seed: int, count: int) -> dict[str, Any]:
    """Mutates ``count`` files of all formats in turn."""
    torch.set_num_threads(1)
    mark, samples = folder / "mark", []
    for name, write in SAMPLES.items():
        path = folder / name / "intact"
        path.parent.mkdir()
        samples.append(Sample(path.parent, write(path, mark)))
        samples[-1].load()
    for encoding in ("cp437", "raw-unicode-escape"):
        codecs.lookup(encoding)  # Python imports the module of an encoding when it first meets it
    events: list[str] = []
    sys.addaudithook(lambda event, _: events.append(event) if event in FORBIDDEN else None)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    found: dict[str, Any] = {"loaded": 0, "refused": 0, "wrong": [], "slowest": 0.0}
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        sample = samples[number % len(samples)]
        mutation = chance.choice(MUTATIONS)
        sample.file.write_bytes(mutation(sample, chance, mark))
        signal.setitimer(signal.ITIMER_PROF, LONGEST)
        begin = time.process_time()
        try:
            sample.load()
            found["loaded"] += 1
        except ValueError as refusal:
            found["refused"] += 1
            if str(sample.path) not in str(refusal):
                found["wrong"].append(f"{number}: {mutation.__name__}: names no file: {refusal}")
        except BaseException as error:
            found["wrong"].append(f"{number}: {mutation.__name__} of {sample.file}: {error!r}")
        found["slowest"] = max(found["slowest"], time.process_time() - begin)
        signal.setitimer(signal.ITIMER_PROF, 0)
    found["wrong"] += sorted(set(events)) + (["a payload was executed"] if mark.exists() else [])
    return found


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
        self.instructions = list(_instructions(self.data))

    def load(self) -> None:
        load_generator(self.path, config=self.config)


def _instructions(data: bytes) -> list[tuple[int, str]]:
    """Of all pickles in a file, those within archives and within other pickles too."""
    found, end = {}, 0
    for start in (match.start() for match in re.finditer(rb"\x80[\x02-\x05]", data)):
        try:
            pickle = [
                (start + at, code.name) for code, _, at in pickletools.genops(data[start:]) if at is not None
            ]
        except ValueError:
            continue
        found |= dict(pickle)
        end = max(end, pickle[-1][0])
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
    """A call of ``os.system``, kept or dropped again; in an archive, the archive is written anew."""
    call = b"cposix\nsystem\n(S'touch %s'\ntR" % str(mark).encode() + chance.choice([b"", b"0"])
    if not sample.instructions:
        return flip_bits(sample, chance, mark)
    at = chance.choice(sample.instructions)[0]
    if not sample.data.startswith(b"PK"):
        return sample.data[:at] + call + sample.data[at:]
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sample.data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            member = old.read(name)
            if name.endswith("data.pkl"):
                cut = chance.randrange(len(member)) if chance.random() < 0.5 else 2
                member = member[:cut] + call + member[cut:]
            new.writestr(name, member)
    return buffer.getvalue()


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
)

if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
