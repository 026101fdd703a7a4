"""``ablate``: what each choice of the method is worth, by leaving it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from higan_fast.cli.experiments.command import experiment
from higan_fast.cli.options import option

if TYPE_CHECKING:
    from higan_fast.experiments import Finding, Subject
    from higan_fast.run_folder import RunFolder

TOGETHER = option("--confidence", default=0.99, help="Of all intervals together.")


@click.group()
def ablate() -> None:
    """Find out what a choice of the method is worth: own layers, accuracy as a sign of effects."""


@experiment(
    option("--num", default=192, help="Fresh samples; each takes four images for every boundary."),
    TOGETHER,
    name="ablate-layers",
)
def layers(run: RunFolder, subject: Subject, **options: Any) -> Finding:
    """Move boundaries on the layers that act alone, and on all: what is lost, and what stays as it was.

    Both on the same fresh samples: the target effect, and the change of all other scores.
    """
    from higan_fast import experiments

    return experiments.ablate_layers(subject, run.boundaries, run.verification, **options)


@experiment(
    option("--num", default=192, help="Fresh samples; each takes two images for every semantic."),
    option("--step", default=2.0, help="How far, in length, as HiGAN's."),
    TOGETHER,
    of=("boundaries",),
    name="ablate-ranking",
)
def ranking(run: RunFolder, subject: Subject, **options: Any) -> Finding:
    """Rank semantics by the accuracy of HiGAN's SVMs, and by what a step along them changes.

    The SVMs are fitted to the samples of the run, whatever method its own boundaries are of.
    """
    from higan_fast import experiments

    return experiments.ablate_ranking(subject, run.samples, run.boundaries, **options)


for command in (layers, ranking):
    ablate.add_command(command)
