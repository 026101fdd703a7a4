"""What sharing costs: ``python -m benchmarks.workers`` runs the same work with 1, 2 and 4 processes.

Each process is a shard of ``higan-fast sample``, then of ``higan-fast verify``, on the embedded generator.
Processor time is what counts where there are more processes than cores; it is summed over all of them. A
process that finds nothing to do says what its start takes: Python, torch, both networks.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from higan_fast.boundaries.boundary import Boundaries
from higan_fast.sampling.samples import Samples

COMMAND = (sys.executable, "-c", "from higan_fast.cli import main; main()")
NETWORKS = ("--network", "scenes", "--predictor", "scenes", "--device", "cpu")
VERIFYING = ("--exhaustive", "--null", "isotropic", "--num-null", "8", "--device", "cpu")


class Cost(NamedTuple):
    """What some processes took together, in seconds."""

    processor: float
    wall: float


def together(commands: Sequence[Sequence[str]]) -> Cost:
    """Runs ``higan-fast`` with these arguments, all at once.

    Raises:
        RuntimeError: when one of them fails.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    begun, processor = time.monotonic(), 0.0
    running = [
        subprocess.Popen([*COMMAND, *command], env=environment, stdout=subprocess.DEVNULL)
        for command in commands
    ]
    for process in running:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"higan-fast {commands[0][0]} ended with {process.returncode}")
        processor += used.ru_utime + used.ru_stime
    return Cost(processor, time.monotonic() - begun)


@click.command()
@click.option("--counts", default="1,2,4", show_default=True, help="Numbers of processes.")
@click.option("--num", default=2048, show_default=True, help="Samples.")
@click.option("--samples", default=32, show_default=True, help="Of the verification.")
@click.option("--semantic", "semantics", multiple=True, default=("lighting",), show_default=True)
def main(counts: str, num: int, samples: int, semantics: tuple[str, ...]) -> None:
    """Prints what sampling and verifying take with each number of processes, and whether results agree."""
    known: list[Samples] = []
    chosen = [word for name in semantics for word in ("--semantic", name)]
    click.echo("processes  work    processor s  of it starts  per image, ms  wall s")
    with tempfile.TemporaryDirectory() as folder:
        for count in map(int, counts.split(",")):
            run = Path(folder) / str(count)
            shards = [f"{index + 1}/{count}" for index in range(count)]
            sampling = ["sample", *NETWORKS, "--out", str(run), "--num", str(num), "--quiet"]
            made = together([[*sampling, "--shard", shard] for shard in shards])
            start = together([[*sampling, "--shard", shards[0]]]).processor * count  # finds nothing to do
            together([["merge", str(run), "--quiet"]])
            _print(count, "sample", made, start, num)
            known.append(Samples.open(run))
            assert (known[0].scores == known[-1].scores).all(), "shards make other scores"
            together([["fit", str(run), "--boundary", "difference", "--chosen-num", "400", "--quiet"]])
            verifying = ["verify", str(run), *VERIFYING, "--max-samples", str(samples), *chosen, "--quiet"]
            verified = together([[*verifying, "--shard", shard] for shard in shards])
            start = together([[*verifying, "--shard", shards[0]]]).processor * count
            layers = int(known[-1].settings["num_layers"])
            assert len(Boundaries.load(run / "boundaries.safetensors")) >= len(semantics)
            _print(count, "verify", verified, start, samples * 2 * (len(semantics) + 8) * (1 + layers))


def _print(count: int, work: str, cost: Cost, start: float, images: int) -> None:
    each = (cost.processor - start) / images * 1000
    click.echo(f"{count:9}  {work}  {cost.processor:11.1f}  {start:12.1f}  {each:13.2f}  {cost.wall:6.1f}")


if __name__ == "__main__":
    main()
