"""The commands of experiments; ``experiment`` makes one of a function."""

from higan_fast.cli.directions import directions
from higan_fast.cli.experiments.ablate import ablate
from higan_fast.cli.experiments.calibrate import calibrate
from higan_fast.cli.experiments.compare import compare
from higan_fast.cli.experiments.correlate import correlate
from higan_fast.cli.experiments.falsify import falsify
from higan_fast.cli.experiments.hierarchy import hierarchy
from higan_fast.cli.experiments.mix import mix
from higan_fast.cli.experiments.transition import transition

# In the order of ``experiments.ORDER``, which reports have too.
EXPERIMENTS = (hierarchy, transition, mix, ablate, directions, correlate, falsify, calibrate, compare)

__all__ = ["EXPERIMENTS"]
