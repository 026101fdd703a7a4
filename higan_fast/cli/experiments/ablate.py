"""``ablate``: what each choice of the method is worth, by leaving it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from higan_fast.cli.experiments.command import experiment
from higan_fast.cli.options import option

if TYPE_CHECKING:
    from higan_fast.experiments import Finding, Subject
    from higan_fast.run_folder import RunFolder

OF_SAMPLES = ["svm", "logistic", "ridge", "lda", "difference", "pattern"]
WEIGHT = click.option(
    "--C", "C", type=float, help="Weight of the data.  [default: 1 for svm, 0.1 for logistic]"
)
TOGETHER = option("--confidence", default=0.99, help="Of all claims and differences together.")


def _boundary(methods: list[str]) -> Any:
    return option("--boundary", "method", default="svm", type=click.Choice(methods), help="How to fit.")


@click.group()
def ablate() -> None:
    """Find out what a choice of the method is worth: own layers, accuracy, samples, the space."""


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
    of=("samples", "boundaries"),
    name="ablate-ranking",
)
def ranking(run: RunFolder, subject: Subject, **options: Any) -> Finding:
    """Rank semantics by the accuracy of HiGAN's SVMs, and by what a step along them changes.

    The SVMs are fitted to the samples of the run, whatever method its own boundaries are of.
    """
    from higan_fast import experiments

    return experiments.ablate_ranking(subject, run.samples, run.boundaries, **options)


@experiment(
    _boundary(OF_SAMPLES),
    WEIGHT,
    option("--sizes", default=4, help="How many sizes, from as few samples as can be up to all."),
    option("--refits", default=3, help="Of each size at most, to parts that share no sample."),
    option("--num", default=48, help="Fresh samples; each takes two images for every refit and semantic."),
    option("--step", default=2.0, help="How far, in length."),
    TOGETHER,
    of=("samples", "boundaries"),
    name="ablate-samples",
)
def samples(run: RunFolder, subject: Subject, **options: Any) -> Finding:
    """Fit boundaries to fewer samples: accuracy, cosine, and what they still move on fresh ones."""
    from higan_fast import experiments

    return experiments.ablate_samples(subject, run.samples, run.boundaries, **options)


@experiment(
    _boundary([*OF_SAMPLES, "gradient"]),
    WEIGHT,
    option("--num", default=64, help="Fresh samples; each takes two images for every space and semantic."),
    option("--step", default=2.0, help="How far, in standard deviations of the codes along each normal."),
    option("--gradients", "num_gradients", default=64, help="Fresh samples that gradient averages over."),
    TOGETHER,
    of=("samples", "boundaries"),
    name="ablate-space",
)
def space(run: RunFolder, subject: Subject, **options: Any) -> Finding:
    """Fit boundaries in z, in w and in each layer's code (W+), and compare what equal steps change."""
    from higan_fast import experiments

    return experiments.ablate_space(subject, run.samples, run.boundaries, **options)


for command in (layers, ranking, samples, space):
    ablate.add_command(command)
