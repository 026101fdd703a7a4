"""The renderer of the embedded world, in batches and one room at a time."""

from __future__ import annotations

import torch

from benchmarks.cases.case import Backend, Case
from higan_fast.scenes.factors import sample_factors
from higan_fast.scenes.renderer import render


def render_rooms() -> Case:
    """The renderer, in batches and one room at a time."""
    factors = sample_factors(0, range(64))

    def one_by_one() -> torch.Tensor:
        return torch.cat([render(factors[row : row + 1]) for row in range(len(factors))])

    backends = (Backend("one by one", one_by_one), Backend("batched", lambda: render(factors)))
    return Case("render 64²", backends, "a room does not depend on its batch", images=len(factors))
