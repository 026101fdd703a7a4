"""``hierarchy``: which level of semantics lives in which group of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from higan_fast.cli.experiments.command import experiment
from higan_fast.cli.options import option

if TYPE_CHECKING:
    from higan_fast.experiments import Finding, Subject
    from higan_fast.run_folder import RunFolder


@experiment(
    option("--num", default=128, help="Fresh samples; each takes two images for every boundary and group."),
    option("--confidence", default=0.99, help="Of each interval, and of all claims together."),
)
def hierarchy(run: RunFolder, subject: Subject, **options: Any) -> Finding:
    """Show which level lives in which group of layers, with a test of the order (HiGAN's central figure).

    Moves each boundary whose effect is shown on one group of layers at a time.
    """
    from higan_fast import experiments

    return experiments.hierarchy(subject, run.boundaries, run.verification, **options)
