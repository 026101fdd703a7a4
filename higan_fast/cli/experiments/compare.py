"""``compare``: what differs between runs of two networks, scorers or methods."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from higan_fast.cli.experiments.command import AS_CSV, check_printed, keep, print_finding, subject_of
from higan_fast.cli.options import AS_JSON, BATCH, PATH, PRECISION, QUIET, option, options

OF = ("boundaries", "verification")


@click.command()
@click.argument("runs", nargs=-1, required=True, type=PATH)
@options(
    option("--num", default=192, help="Fresh samples of each run; each takes two images for every semantic."),
    option("--confidence", default=0.99, help="Of all differences together."),
    click.option("--out", type=PATH, help="Folder for what is found.  [default: that of the first run]"),
    click.option("--device", help="cpu, cuda, cuda:1, …, auto.  [default: each run's, if it is here]"),
    PRECISION,
    BATCH,
    QUIET,
    AS_JSON,
    AS_CSV,
)
def compare(
    runs: tuple[Path, ...],
    out: Path | None,
    device: str | None,
    precision: Any,
    batch: int | None,
    quiet: bool,
    as_json: bool,
    as_csv: bool,
    **given: Any,
) -> None:
    """Set RUNS side by side: what surely differs from the first one.

    Two networks, two scorers, or two methods: effects on the semantics that they have in common, and where
    in the network these lie.
    """
    from higan_fast import experiments
    from higan_fast.experiments.compare import Probe
    from higan_fast.run_folder import RunFolder

    check_printed(as_json, as_csv)
    if len({run.resolve() for run in runs}) < max(2, len(runs)):
        raise click.UsageError(f"RUNS: got {', '.join(map(str, runs))}, expected at least two different ones")
    folders = [RunFolder.open(run, **({} if device is None else {"device": device})) for run in runs]
    origins = [folder.origin(OF) for folder in folders]  # says at once what is missing or stale
    probes = [
        Probe(name, subject_of(folder, "compare", precision, batch, quiet), folder.boundaries,
              folder.verification)
        for name, folder in zip(_names(runs), folders, strict=True)
    ]  # fmt: skip
    found = experiments.compare(probes, **given)
    others = {str(run.resolve()): origin for run, origin in zip(runs[1:], origins[1:], strict=True)}
    finding = replace(found, made_from=origins[0], made_from_others=others)
    keep(finding, out or runs[0] / "experiments", quiet)
    print_finding(finding, as_json, as_csv)


def _names(runs: tuple[Path, ...]) -> list[str]:
    """The last part of each path, or as much of it as tells them apart."""
    parts = [run.resolve().parts for run in runs]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-length:]) for each in parts]
        if len(set(names)) == len(names):
            break
    return names
