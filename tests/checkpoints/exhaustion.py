"""How much time and memory the worst files take: ``python -m tests.checkpoints.exhaustion``.

Prints a table for docs/parity.md. Each file is read in a process of its own, which may take no more memory
than is promised, and is ended where it takes far more time; what broke the promise is told below the table.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from higan_fast.checkpoints import load_generator
from higan_fast.wording import LONGEST_MESSAGE
from tests.checkpoints.hostile import HOSTILE
from tests.checkpoints.sprawling import KINDS

# What is promised of any file.
SECONDS, SECONDS_PER_BYTE = 2, 1 / 10e6  # of the processor
MEMORY, MEMORY_PER_BYTE = 400 * 2**20, 20  # bytes beyond what the process has when it begins
HANGS = 30  # seconds of the processor, after which a process is ended
PAGE = resource.getpagesize()


@dataclass
class Outcome:
    """What reading one file took, and what it said.

    Attributes:
        memory: the largest, beyond what the process had, in bytes.
        wrong: how it broke the promise; empty where it did not.
    """

    name: str
    size: int
    seconds: float = 0.0
    memory: int = 0
    message: str = ""
    wrong: list[str] = field(default_factory=list)


def main(wanted: str = "", pad: int = 0) -> list[Outcome]:
    """Reads all hostile files whose name has ``wanted`` in it.

    Args:
        pad: bytes of nothing to put behind each pickle, which make its budget larger.
    """
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()  # nor do the children look at what is there: the kernel would copy it for each
    with tempfile.TemporaryDirectory() as folder:
        return [
            measured(name, *_written(name, Path(folder), pad))
            for name in (*HOSTILE, *KINDS)
            if wanted in name
        ]


def _written(name: str, folder: Path, pad: int) -> tuple[Path, dict[str, Any] | None]:
    """Makes one file, or a folder; gives its path, and the configuration with which it is loaded."""
    if name in KINDS:
        (folder / name).mkdir()
        return KINDS[name][0](folder / name)
    (folder / "file.pkl").write_bytes(_padded(HOSTILE[name](), pad))
    return folder / "file.pkl", None


def _padded(data: bytes, pad: int) -> bytes:
    return data if data.startswith(b"PK") else data + bytes(pad)


def measured(name: str, path: Path, config: dict[str, Any] | None) -> Outcome:
    """Reads one file in a child of this process, so that neither a crash nor a limit reaches the next."""
    size = sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else [path]))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            outcome = json.dumps(asdict(_read(Outcome(name, size), path, config)))
            os.write(writer, outcome.encode("utf-8", "surrogatepass"))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    _, status, used = os.wait4(child, 0)
    if not told:
        wrong = f"ended by {os.waitstatus_to_exitcode(status)} after {used.ru_utime:.1f} s"
        return Outcome(name, size, used.ru_utime, wrong=[wrong])
    return Outcome(**json.loads(told))


def _read(outcome: Outcome, path: Path, config: dict[str, Any] | None) -> Outcome:
    size = outcome.size
    used, resident = (int(pages) * PAGE for pages in Path("/proc/self/statm").read_text().split()[:2])
    limit = used + MEMORY + MEMORY_PER_BYTE * size
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CPU, (HANGS, HANGS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    begin = time.process_time()
    try:
        load_generator(path, config=config)
        outcome.message = "loaded"
    except ValueError as refusal:
        outcome.message = str(refusal)
        outcome.wrong += faults(outcome.message, path)
    except BaseException as error:
        outcome.message = f"{type(error).__name__}: {error!s:.200}"
        outcome.wrong.append(f"raised {outcome.message}")
    outcome.seconds = time.process_time() - begin
    outcome.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - resident
    if outcome.seconds > SECONDS + SECONDS_PER_BYTE * size:
        outcome.wrong.append(f"took {outcome.seconds:.1f} s")
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return outcome


def faults(message: str, path: Path) -> list[str]:
    """What is wrong with a refusal: it names the file in one printable line, before memory runs out."""
    return [
        fault
        for fault, found in {
            f"a message that does not name the file: {message[:100]!a}": str(path) not in message,
            f"a message that cannot be printed: {message[:100]!a}": not message.isprintable(),
            f"a message of {len(message)} characters": len(message) > LONGEST_MESSAGE + len(str(path)),
            "more memory than promised": "more memory than there is" in message,
        }.items()
        if found
    ]


def table(outcomes: list[Outcome]) -> str:
    """In Markdown, the slowest first."""
    lines = ["| file | its size, MB | seconds | memory, MiB |", "|---|---|---|---|"]
    for outcome in sorted(outcomes, key=lambda outcome: -outcome.seconds):
        figures = f"{outcome.size / 1e6:.2f} | {outcome.seconds:.2f} | {outcome.memory / 2**20:.0f}"
        lines.append(f"| {outcome.name} | {figures} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("filter", nargs="?", default="")
    parser.add_argument("--pad", type=float, default=0, metavar="MB")
    options = parser.parse_args()
    outcomes = main(options.filter, int(options.pad * 1e6))
    print(table(outcomes))
    print(*(f"\n{o.name}: {'; '.join(o.wrong)}" for o in outcomes if o.wrong), sep="")
