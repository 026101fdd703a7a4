"""``calibrate``: whether the claims of a probe are true, where the truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import click

from higan_fast.cli.experiments.command import keep
from higan_fast.cli.options import AS_JSON, PATH, QUIET, option, options


@click.command()
@click.argument("out", type=PATH)
@options(
    option("--probes", default=60, help="Simulated probes, with labels that are read without error."),
    option(
        "--pictures", default=10, help="Simulated probes of rendered rooms; they take five times as long."
    ),
    QUIET,
    AS_JSON,
)
def calibrate(out: Path, probes: int, pictures: int, quiet: bool, as_json: bool) -> None:
    """Count false claims and missed truths of probes of generators whose truth is known.

    Writes OUT/calibrate.json, .csv, .svg and .png, and keeps every probe in OUT/calibrate/: with a larger
    --probes it adds what is missing.  1,000 take about 20 minutes.
    """
    from higan_fast import experiments

    finding = experiments.calibrate(
        probes=probes, pictures=pictures, out=out / "calibrate", progress=not quiet
    )
    keep(finding, out, quiet)
    click.echo(json.dumps(finding.to_json(), indent=2) if as_json else finding)
