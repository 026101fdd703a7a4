"""Runs benchmarks and appends their rows to ``results/MACHINE.csv``: ``python -m benchmarks.run [CASE ...]``.

Run it alone: beside another busy process the figures mean nothing.
"""

from __future__ import annotations

import csv
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

import click
import torch

from benchmarks.cases import CASES
from benchmarks.timing import in_turn
from higan_fast.environment import environment

RESULTS = Path(__file__).parent / "results"


@click.command()
@click.argument("names", nargs=-1, metavar="[CASE ...]", type=click.Choice(sorted(CASES)))
@click.option("--repeats", default=7, show_default=True)
@click.option("--threads", type=int, help="CPU threads.")
def main(names: tuple[str, ...], repeats: int, threads: int | None) -> None:
    """Time the cases (all, when none is named), check that their backends agree, and keep the rows."""
    if threads:
        torch.set_num_threads(threads)
    found = environment()
    common = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": found["commit"],
        "torch": found["torch"],
        "threads": torch.get_num_threads(),
    }
    for name in names or sorted(CASES):
        case = CASES[name]()
        results = {backend: run() for backend, run in case.backends.items()}
        reference, *others = results.values()
        error = max((other.double() - reference.double()).abs().max().item() for other in others)
        if error > case.tolerance:
            raise click.ClickException(
                f"{case.name}: backends differ by {error:g}, more than {case.tolerance:g} ({case.reason})"
            )
        seconds = in_turn(case.backends, repeats)
        slowest = seconds[next(iter(seconds))]
        for backend, median in seconds.items():
            row = {
                **common,
                "case": case.name,
                "backend": backend,
                "images_per_s": f"{case.images / median:.1f}",
                "ratio": f"{slowest / median:.2f}",
                "max_error": f"{error:.1e}",
            }
            click.echo("  ".join(str(value) for value in row.values()))
            _append(row)


def _append(row: dict[str, object]) -> None:
    path = RESULTS / f"{_machine()}.csv"
    path.parent.mkdir(exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def _machine() -> str:
    """The processor's name and its number of cores, as a file name."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"model name\s*:\s*(.+)", info.read_text())):
        name = found.group(1)
    return re.sub(r"[^a-z0-9]+", "-", f"{name} {environment()['cpu_cores']} cores".lower()).strip("-")


if __name__ == "__main__":
    main()
