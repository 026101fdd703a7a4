"""The commands of experiments; ``experiment`` makes one of a function."""

from higan_fast.cli.experiments.ablate import ablate
from higan_fast.cli.experiments.hierarchy import hierarchy

EXPERIMENTS = (hierarchy, ablate)

__all__ = ["EXPERIMENTS"]
