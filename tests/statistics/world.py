"""Paired effects whose truth is known."""

import numpy as np

from higan_fast.statistics.decisions import Decisions


class World:
    """Paired effects of B boundaries on 1 + L sets of layers, and of R random directions.

    Args:
        profiles: true effects ``[B, 1 + L]``; ``spread`` is the standard deviation of one sample's.
        null: standard deviation of the true effects of random directions.
    """

    def __init__(self, profiles, spread=0.1, null=0.01, num_null=16, num=2000, seed=0):
        random = np.random.default_rng(seed)
        profiles = np.asarray(profiles, float)
        shared = random.normal(size=(num, len(profiles), 1))  # a sample that moves much does so on all layers
        self.own = profiles * (1 + 0.3 * shared) + spread * random.normal(size=(num, *profiles.shape))
        directions = null * random.normal(size=(num_null, len(profiles)))
        self.null = directions + spread * random.normal(size=(num, num_null, len(profiles)))
        self.sizes = len(profiles), profiles.shape[1] - 1, num_null

    def decide(self, goal, **options):
        decisions = Decisions(goal, *self.sizes, **options)
        self.measured = []  # (samples, which effects, whether the null was among them)
        while samples := decisions.next_samples:
            rows = slice(samples.start, samples.stop)
            own = np.where(decisions.active, self.own[rows], np.nan)  # what is not active was not measured
            null = self.null[rows] if decisions.null_active else None
            self.measured.append((samples, decisions.active.copy(), decisions.null_active))
            decisions.update(own, null)
        return decisions


PROFILES = [
    [0.30, 0.02, 0.25, 0.05],
    [0.20, 0.15, 0.02, -0.01],
    [0.10, 0.01, 0.02, -0.09],  # its top layer lowers the score
    [0.00, 0.00, 0.00, 0.00],
    [-0.20, -0.15, 0.00, 0.00],
]
