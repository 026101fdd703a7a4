"""``falsify``: whether claims survive where they must not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from higan_fast.cli.experiments.command import experiment
from higan_fast.cli.options import option

if TYPE_CHECKING:
    from higan_fast.experiments import Finding, Subject
    from higan_fast.run_folder import RunFolder


@experiment(
    option("--num", default=48, help="Fresh samples for each sabotage of a layer."),
    option("--max-samples", default=64, help="At most so many to verify boundaries of shuffled scores."),
    option("--num-null", default=16, help="Random directions of each kind for that."),
    option("--confidence", default=0.99, help="Of that verification, and of shares."),
)
def falsify(run: RunFolder, subject: Subject, **options: Any) -> Finding:
    """Break scores, weights and codes, and count the claims that survive though they must not.

    The networks stay as they are: a sabotaged one is told other codes.
    """
    from higan_fast import experiments

    return experiments.falsify(subject, run.samples, run.boundaries, run.verification, **options)
