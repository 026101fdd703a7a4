"""What sharing costs: ``python -m benchmarks.workers`` runs the same work with 1, 2 and 4 processes.

Each process is a shard of ``higan-fast sample``, then of ``verify``, on the embedded generator, with one
thread. What a process takes to start (Python, torch, networks) is measured by processes that find nothing to
do, and taken off; it has a row of its own. The helpers of a verification have started before who leads it
begins. Processor time is summed over all processes. Results must be those of one process, to the bit.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import torch

from benchmarks import rows
from higan_fast.probing import Verification
from higan_fast.sampling.samples import Samples

COMMAND = (sys.executable, "-m", "higan_fast")
NETWORKS = ("--network", "scenes", "--predictor", "scenes", "--device", "cpu")
VERIFYING = ("--exhaustive", "--null", "isotropic", "--num-null", "8", "--device", "cpu")
IDLE = 0.05  # processor seconds in a second, below which a helper waits for work
TICK = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """What some processes took together, in seconds, and what they said."""

    processor: float
    wall: float
    said: str

    def less(self, start: Cost) -> Cost:
        return Cost(self.processor - start.processor, self.wall - start.wall, self.said)


def together(commands: Sequence[Sequence[str]], helpers: Sequence[Sequence[str]] = ()) -> Cost:
    """Runs ``higan-fast`` with these arguments, all at once, when helpers have started and wait for work.

    The wall time is that of ``commands``; processor time is of all.

    Raises:
        RuntimeError: when one of them fails.
    """
    with tempfile.TemporaryFile("w+") as said:
        running = [_started(command, said) for command in helpers]
        while not all(_waits(process) for process in running):
            pass
        begun, processor, wall = time.monotonic(), 0.0, 0.0
        running = [_started(command, said) for command in commands] + running
        for index, process in enumerate(running):
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if index < len(commands):
                wall = time.monotonic() - begun
            processor += used.ru_utime + used.ru_stime
        said.seek(0)
        lines = said.read()
        if any(process.returncode for process in running):
            raise RuntimeError(f"higan-fast {commands[0][0]} failed: {lines}")
        return Cost(processor, wall, lines)


def _started(command: Sequence[str], said: object) -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*COMMAND, *command], env=environment, stdout=said, stderr=said)


def _waits(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process has done nothing for a second, after it had worked, or has ended."""
    before = _used(process.pid)
    time.sleep(1)
    after = _used(process.pid)
    return after is None or before is None or (before > 1 and after - before < IDLE)


def _used(pid: int) -> float | None:
    """Processor seconds of a child; None where it has ended."""
    state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return None if state == "Z" else (int(fields[10]) + int(fields[11])) / TICK


@click.command()
@click.option("--counts", default="1,2,4", show_default=True, help="Numbers of processes.")
@click.option("--num", default=8192, show_default=True, help="Samples.")
@click.option("--samples", default=64, show_default=True, help="Of the verification.")
@click.option("--semantic", "semantics", multiple=True, default=("lighting",), show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the rows.  [default: benchmarks/results]"
)
def main(counts: str, num: int, samples: int, semantics: tuple[str, ...], out: Path | None) -> None:
    """Appends rows of what sampling and verifying take with each number of processes."""
    torch.set_num_threads(1)  # as in the processes, for the rows
    known: list[tuple[Samples, Verification]] = []
    chosen = [word for name in semantics for word in ("--semantic", name)]
    click.echo(rows.header())
    table = Rows(out)
    with tempfile.TemporaryDirectory() as folder:
        for count in map(int, counts.split(",")):
            run = Path(folder) / str(count)
            shards = [f"{index + 1}/{count}" for index in range(count)]
            sampling = ["sample", *NETWORKS, "--out", str(run), "--num", str(num), "--quiet"]
            sharing = [[*sampling, "--shard", shard] for shard in shards]
            made, start = together(sharing), together(sharing)  # the second time they find nothing to do
            together([["merge", str(run), "--quiet"]])
            table.add("sample", count, made, start, num)
            together([["fit", str(run), "--boundary", "difference", "--chosen-num", "400", "--quiet"]])
            verifying = ["verify", str(run), *VERIFYING, "--max-samples", str(samples), *chosen]
            sharing = [[*verifying, "--shard", shard] for shard in shards]
            verified = together(sharing[:1], helpers=sharing[1:])
            start = together(sharing[:1])
            known.append((Samples.open(run), Verification.load(run / "verification.npz")))
            assert (known[0][0].scores == known[-1][0].scores).all(), "shards make other scores"
            assert (known[0][1].effect == known[-1][1].effect).all(), "shards measure other effects"
            layers = int(known[-1][0].settings["num_layers"])
            waiting = Cost(start.processor * count, start.wall, "")
            table.add("verify", count, verified, waiting, samples * 2 * (len(semantics) + 8) * (1 + layers))


class Rows:
    """Rows of wall time, processor time and the starts, with what each is of one process."""

    def __init__(self, out: Path | None) -> None:
        self._out, self._alone = out, dict[str, float]()

    def add(self, work: str, count: int, whole: Cost, start: Cost, images: int) -> None:
        """Appends three rows; ``start`` is what ``whole`` would take with nothing to do."""
        taken, case = whole.less(start), f"workers {work} {images:,} images"
        self._append(f"{case}, wall", count, taken.wall, images)
        self._append(f"{case}, processor", count, taken.processor, images)
        self._append(f"{case}, processor of starts", count, start.processor)
        if units := re.findall(r"did ([\d,]+) units", whole.said):
            click.echo(f"units of helpers: {', '.join(units)}")

    def _append(self, case: str, count: int, seconds: float, images: int | None = None) -> None:
        row: dict[str, object] = {
            "case": case,
            "dtype": "float32",
            "backend": f"{count} process{'es' if count > 1 else ''}",
            "ms": f"{seconds * 1e3:.0f}",
            "ratio": f"{self._alone.setdefault(case, seconds) / seconds:.2f}",
        }
        if images is not None:
            row |= {"images_per_s": f"{images / seconds:.1f}", "max_error": "0.0e+00"}
        rows.record(row, "cpu", self._out)


if __name__ == "__main__":
    main()
