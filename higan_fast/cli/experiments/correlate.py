"""``correlate``: what boundaries move of each other's semantics, what goes with it, and what removes it."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import click

from higan_fast.cli.experiments.command import experiment
from higan_fast.cli.options import option

if TYPE_CHECKING:
    from higan_fast.experiments import Finding, Subject
    from higan_fast.run_folder import RunFolder


@experiment(
    click.option(
        "--pair",
        "pairs",
        multiple=True,
        metavar="NAME:OTHER",
        help="Free a boundary of another, such as bed:window; may be given several times.  "
        "[default: the six largest side effects]",
    ),
    option("--num", default=192, help="Fresh samples; each takes two images for every pair and boundary."),
    option("--confidence", default=0.99, help="Of all correlations, and of all differences, together."),
    of=("samples", "boundaries", "verification"),
)
def correlate(run: RunFolder, subject: Subject, pairs: tuple[str, ...], **options: Any) -> Finding:
    """Show what boundaries move of each other's semantics, and free them of it.

    Beside each effect stand the correlation of the scores in the data and the cosine of the normals, which
    may go with it.
    """
    from higan_fast import experiments

    verification = run.verification
    chosen = [_pair(text, verification.boundary_names) for text in pairs]
    return experiments.correlate(subject, run.samples, run.boundaries, verification, pairs=chosen, **options)


def _pair(text: str, names: tuple[str, ...]) -> tuple[str, str]:
    """``"bed:window"`` → ``("bed", "window")``; names may have colons in them."""
    for name, other in permutations(names, 2):
        if f"{name}:{other}" == text:
            return name, other
    raise ValueError(
        f"--pair: got {text!r}, expected two different names of {', '.join(names)}, with a colon between them"
    )
