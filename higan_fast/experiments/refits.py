"""Boundaries that are fitted anew to the samples of a run, with the sides of the run's own."""

from __future__ import annotations

from typing import Any

from higan_fast.boundaries.boundary import Boundaries
from higan_fast.sampling.samples import Samples

# What a run's boundaries do not say, as those from elsewhere or of labels: HiGAN's.
CHOSEN_NUM, HELD_OUT = 2000, 0.3


def fitted_like(boundaries: Boundaries, samples: Samples) -> dict[str, Any]:
    """How ``fit_boundaries`` gets the sides, space and shuffle of a run's boundaries.

    The sides are given as a ratio of the samples, so that they stay the same for a part of them.
    """
    used, num = boundaries.settings, len(samples)
    sides = used.get("chosen_num", CHOSEN_NUM)
    return {
        "chosen_num": min(sides if sides <= 1 else sides / num, 0.5),
        "space": used.get("space"),
        "held_out": used.get("held_out", HELD_OUT),
        "seed": used.get("seed", 0),
    }
