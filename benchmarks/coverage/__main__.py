"""Measures what the intervals of a sequential verification promise: ``python -m benchmarks.coverage``.

The scores of the demo's boundaries are measured once, on fresh samples. Every run then draws samples from
these with replacement, and decides as ``verify`` does. So the truth is known: it is the mean over all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import click
import numpy as np

from benchmarks.coverage import runs as running
from benchmarks.coverage.effects import Effects, effects_of, flips, measured
from benchmarks.coverage.figures import jumps, missed_by_moments, summary, widths
from benchmarks.coverage.runs import Arrays, runs
from higan_fast.progress import progress
from higan_fast.statistics.student import DISTINCT

# Of one side of an interval at 0.99, and of the sign of one of 14 boundaries.
JUMPS, LEVELS, RUNS_OF_JUMPS = (0.02, 0.1), (0.005, 1.8e-4), 20_000


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runs", "num_runs", default=2_000, show_default=True)
@click.option("--samples", default=1_024, show_default=True, help="Measured once, and resampled.")
@click.option("--confidence", default=0.99, show_default=True)
@click.option(
    "--out",
    default=Path("runs/coverage"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Keeps what is done; the same command goes on there.",
)
@click.option(
    "--before",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Checkout of 4c2bbb0 or older, which does the same runs as it did: no range where one is unknown.",
)
def main(num_runs: int, samples: int, confidence: float, out: Path, before: Path | None) -> None:
    """Resample verifications of the demo, and count intervals that miss and decisions that are wrong."""
    demo = effects_of(measured(samples, out))
    for title, effects in (("The demo", demo), ("6 % flips beside a steady layer", flips())):
        columns, kept = {}, f"{len(effects.own)}-{confidence:g}.npz"
        with progress(f"verifying: {title}", num_runs, unit="runs") as advance:
            now = runs(*effects[:3], confidence, num_runs, out / f"now-{kept}", advance)
        if before is not None:
            earlier = _by(before, effects, confidence, num_runs, out / f"before-{kept}", title)
            columns["before"] = summary(effects, earlier, confidence)
        columns["now"] = summary(effects, now, confidence)
        _print_table(f"{title}, {num_runs:,} runs at {confidence:g}", columns)
        if effects is demo:
            _print_moments(effects, now, confidence)
    for name, (mine, students) in widths(demo, confidence).items():
        ratio = f"{mine / students:.2f} times"
        click.echo(f"width at 64 samples, {name}: {mine:.3f}; Student's sequence {students:.3f}, {ratio}")
    for rare, level in product(JUMPS, LEVELS):
        waiting, at_once = (jumps(rare, level, least, RUNS_OF_JUMPS) for least in (DISTINCT, 0))
        click.echo(
            f"a score without a range that jumps in {rare:.0%} of the samples, at {level:g}: "
            f"{waiting:.3%} miss; {at_once:.1%} without waiting for {DISTINCT} jumps"
        )


def _by(checkout: Path, effects: Effects, confidence: float, num_runs: int, file: Path, title: str) -> Arrays:
    """The same runs by an older version, in its own process; ranges served it only if all were known."""
    given = file.with_name(f"effects-{file.name}")
    np.savez(given, own=effects.own, null=effects.null, reach=effects.reach)
    command = [sys.executable, running.__file__, str(given), str(file), str(num_runs), str(confidence)]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    with (
        progress(f"verifying as before: {title}", num_runs, unit="runs") as advance,
        subprocess.Popen(
            [*command, "--no-range"], stdout=subprocess.PIPE, env=environment, text=True
        ) as process,
    ):
        assert process.stdout is not None
        for _ in process.stdout:
            advance(1)
    if process.returncode:
        raise click.ClickException(f"--before: the runs by {checkout} failed; its own message stands above")
    with np.load(file, allow_pickle=False) as found:
        return {name: found[name][:num_runs] for name in found.files}


def _print_moments(effects: Effects, now: Arrays, confidence: float) -> None:
    with progress("other semantics", len(now["samples"]), unit="runs") as advance:
        odd, even = missed_by_moments(effects, now, confidence, advance)
    for name, rate in (("effects on all semantics", odd), ("even parts", even)):
        known = np.isfinite(effects.reach)
        for of_known, what in ((True, "with a range"), (False, "without")):
            of_them = rate[..., known == of_known]
            worst = f"the worst entry {np.nanmax(of_them):.2%}"
            click.echo(f"{name}, from moments, {what}: {np.nanmean(of_them):.2%} miss, {worst}")


def _print_table(title: str, columns: dict[str, dict[str, str]]) -> None:
    """A Markdown table."""
    click.echo(f"\n| {title} | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name in next(iter(columns.values())):
        click.echo(f"| {name} | {' | '.join(column[name] for column in columns.values())} |")
    click.echo()


if __name__ == "__main__":
    main()
