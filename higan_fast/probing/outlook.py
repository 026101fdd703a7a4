"""What a sequential verification will likely take, and what it takes at most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from higan_fast.probing.freed import FREED_SAMPLES, MOST_PAIRS
from higan_fast.probing.measurement import Direction, Measurement
from higan_fast.progress import duration
from higan_fast.statistics.decisions import FIRST_ROUND, Goal

# Random directions are moved on each layer alone on the first so many samples. Few will do: what is compared
# are directions on the same samples, and more samples make no comparison sharper than the directions are.
LAYER_NULL_SAMPLES = 16

# A boundary without an effect is given up on after so many samples, and with one is mostly decided before.
GIVEN_UP_AFTER = 256


def outlook(
    measurement: Measurement,
    directions: Sequence[Direction],
    num_boundaries: int,
    goal: Goal,
    max_samples: int,
) -> str:
    """Returns, as one line, the likely time and images, and the most that they can be.

    Likely, all directions are measured on all layers together until what has no effect is given up on. The
    layers alone take the first round of every boundary, of which few layers survive, and a few samples of the
    random directions. Boundaries that are decided before make up for layers that take longer. At most, all
    is measured on all samples, and as many boundaries are freed of side effects as are ever freed.
    """
    num, sets = len(directions), len(measurement.layer_sets)
    together, each, null = (np.zeros((num, sets), np.bool_) for _ in range(3))
    together[:, 0] = True
    likely = measurement.estimate(directions, min(GIVEN_UP_AFTER, max_samples), together)
    if goal == "top-layer":
        each[:num_boundaries, 1:] = null[num_boundaries:, 1:] = True
        for chosen, samples in ((each, FIRST_ROUND), (null, LAYER_NULL_SAMPLES)):
            likely = likely.plus(measurement.estimate(directions, min(samples, max_samples), chosen))
    most = measurement.estimate(directions, max_samples, together | each | null)
    pairs = min(MOST_PAIRS, num_boundaries * (num_boundaries - 1))
    if pairs:  # of boundaries that may be freed of each other, on samples that were scored before
        samples, all_layers = min(FREED_SAMPLES, max_samples), np.zeros((pairs, sets), np.bool_)
        all_layers[:, 0] = True
        freed = measurement.estimate(list(directions)[:1] * pairs, samples, all_layers)
        most = most.plus(freed._replace(images=freed.images - samples))
    bound = f"at most {duration(most.seconds)} ({most.images:,} images)"
    if likely.images >= most.images:
        return bound
    return (
        f"likely about {duration(likely.seconds)} ({likely.images:,} images), {bound} if nothing is decided"
    )
