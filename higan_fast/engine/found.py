"""What comes of a walk over base samples: images of its batches, and scores by direction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from higan_fast.engine.plan import Work


class Drawn(NamedTuple):
    """Images of a batch of a plan's work.

    Attributes:
        base: the base samples that are walked together with those of this batch.
        work: what was done, ``P`` entries.
        images: ``[P, 3, R, R]``; none where the scores are known already.
    """

    base: slice
    work: Work
    images: Tensor


class Perturbed(NamedTuple):
    """What came of some samples with all steps along some directions on one set of layers.

    Attributes:
        samples: which of the base samples.
        layer_set: which of the plan's sets.
        directions: which of the plan's directions, ``[m]``, ascending.
        values: scores ``[n, m, T, S]``.
    """

    samples: slice
    layer_set: int
    directions: Tensor
    values: Tensor


class Replaced(NamedTuple):
    """What came of some samples when one layer was fed the code of another sample.

    Attributes:
        samples: which of the base samples.
        layer: which layer.
        values: scores ``[n, S]``, or images ``[n, 3, R, R]``.
    """

    samples: slice
    layer: int
    values: Tensor


def by_direction(scored: Iterable[tuple[Drawn, Tensor]], num_steps: int) -> Iterator[Perturbed]:
    """Puts scores ``[P, S]`` of batches together; a direction's come when all its samples are there.

    Args:
        scored: batches of a walk, in order, each with its scores.
        num_steps: how many steps there are along each direction.
    """
    pending: list[tuple[Work, Tensor]] = []
    for batch, scores in scored:
        pending.append((batch.work, scores))
        work = Work._make(np.concatenate(parts) for parts in zip(*(each for each, _ in pending), strict=True))
        values = torch.cat([each for _, each in pending])
        num = batch.base.stop - batch.base.start
        whole = work.num // (num * num_steps)  # so many directions
        firsts = work.part(slice(0, whole * num * num_steps, num * num_steps))
        done = values[: whole * num * num_steps].unflatten(0, (whole, num, num_steps)).transpose(0, 1)
        for layer_set in dict.fromkeys(firsts.layer_sets.tolist()):
            rows = np.flatnonzero(firsts.layer_sets == layer_set)
            directions = torch.from_numpy(firsts.directions[rows])
            yield Perturbed(batch.base, layer_set, directions, done[:, rows[0] : rows[-1] + 1])
        rest = slice(whole * num * num_steps, None)
        pending = [(work.part(rest), values[rest])] if rest.start < work.num else []
