"""``transition``: from one category to another along their boundaries, or between all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from higan_fast.cli.experiments.command import experiment
from higan_fast.cli.options import numbers, option

if TYPE_CHECKING:
    from higan_fast.experiments import Finding, Subject
    from higan_fast.run_folder import RunFolder


@experiment(
    click.option("--from", "source", help="What samples have.  [default: all pairs]"),
    click.option("--to", "target", help="What they lack, and get."),
    click.option(
        "--semantic",
        "semantics",
        multiple=True,
        help="One of the classes of all pairs; may be repeated.  [default: objects whose effect is shown]",
    ),
    option("--layers", default="all", help="Such as 1-3; own: those on which --to has a shown effect alone."),
    option("--steps", default="0.5,1,1.5,2,2.5,3", help="A list, or a range of whole numbers such as 1..6."),
    click.option("--num", type=int, help="Samples of a pair.  [default: 128 of one, 64 of each of several]"),
    option("--most", default=2048, help="Samples are looked for among so many."),
    option(
        "--by",
        type=click.Choice(["threshold", "largest"]),
        default="threshold",
        help="A sample has a class whose score reaches --threshold; or the one with the largest score.",
    ),
    click.option("--threshold", type=float, help="[default: the middle of what each score can be]"),
    option("--confidence", default=0.99, help="Of each interval, and of all claims together."),
)
def transition(
    run: RunFolder, subject: Subject, by: str, steps: str, semantics: tuple[str, ...], **options: Any
) -> Finding:
    """Move samples from one category to another: what they have along the way, and where it flips.

    The way is the difference of two boundaries. Without --from and --to: all pairs, as a matrix.
    """
    from higan_fast import experiments

    return experiments.transition(
        subject,
        run.boundaries,
        run.verification,
        steps=numbers("--steps", steps),
        largest=by == "largest",
        semantics=semantics or None,
        **options,
    )
