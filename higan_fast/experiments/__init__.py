"""Experiments: HiGAN's, and those that a reviewer would ask for. Each measures, and returns a ``Finding``.

A module has two functions: one named after the experiment, which measures, and ``draw``, which makes the
figure of what it found. ``cli/experiments/`` makes a command of it.
"""

from higan_fast.experiments.ablate_layers import ablate_layers
from higan_fast.experiments.ablate_ranking import ablate_ranking
from higan_fast.experiments.ablate_samples import ablate_samples
from higan_fast.experiments.ablate_space import ablate_space
from higan_fast.experiments.calibrate import calibrate
from higan_fast.experiments.compare import compare
from higan_fast.experiments.correlate import correlate
from higan_fast.experiments.directions import directions
from higan_fast.experiments.falsify import falsify
from higan_fast.experiments.finding import Finding
from higan_fast.experiments.hierarchy import hierarchy
from higan_fast.experiments.mix import mix
from higan_fast.experiments.results import Results
from higan_fast.experiments.subject import Subject, Walk
from higan_fast.experiments.transition import transition

# Of commands, and of sections of the report, where those of other experiments come last.
ORDER = (
    *("hierarchy", "transition", "mix"),
    *("ablate-layers", "ablate-ranking", "ablate-samples", "ablate-space"),
    *("directions", "correlate", "falsify", "calibrate", "compare"),
)

__all__ = [
    "ORDER",
    "Finding",
    "Results",
    "Subject",
    "Walk",
    "ablate_layers",
    "ablate_ranking",
    "ablate_samples",
    "ablate_space",
    "calibrate",
    "compare",
    "correlate",
    "directions",
    "falsify",
    "hierarchy",
    "mix",
    "transition",
]
