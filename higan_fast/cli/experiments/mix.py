"""``mix``: style mixing, as a grid of pictures and in scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from higan_fast.cli.experiments.command import experiment
from higan_fast.cli.options import indices, option

if TYPE_CHECKING:
    from higan_fast.experiments import Finding, Subject
    from higan_fast.run_folder import RunFolder


@experiment(
    click.option("--layers", help="Of the grid, such as 0-3.  [default: the lower group]"),
    click.option("--group", help="In place of --layers: bottom, lower, upper or top."),
    option("--sources", default=4, help="Rows of the grid."),
    option("--targets", default=6, help="Columns of the grid."),
    click.option("--samples", help="Of the grid, such as 17,3: first --sources of them, then targets."),
    option("--num", default=96, help="Pairs of fresh samples; each takes an image, and one for every group."),
    option("--confidence", default=0.99, help="Of each interval, and of all claims together."),
    click.option("--out", "picture", type=click.Path(path_type=Path), help="File that gets the grid too."),
    of=("boundaries",),
)
def mix(run: RunFolder, subject: Subject, samples: str | None, **options: Any) -> Finding:
    """Mix layer codes of samples: a grid of pictures, and which group of layers changes which level."""
    from higan_fast import experiments

    chosen = None if samples is None else indices("--samples", samples)
    return experiments.mix(subject, run.boundaries, samples=chosen, **options)
