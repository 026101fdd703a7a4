"""Where inversions start: at the mean of w, and at the samples whose images come nearest."""

from __future__ import annotations

import torch
from torch import Tensor

from higan_fast.generators.base import Generator
from higan_fast.inversion.distances import Distance
from higan_fast.inversion.distribution import Distribution
from higan_fast.sampling.latents import INVERSION, make_codes

AT_ONCE, TARGETS = 16, 64  # samples and targets whose features are held together


def starting_points(
    generator: Generator,
    targets: Tensor,
    distance: Distance,
    prior: Distribution,
    num: int,
    samples: int,
    label: int | None,
) -> Tensor:
    """The mean, and then the nearest samples, in whitened coordinates: ``[N, num, 1, w_dim]``.

    Args:
        targets: ``[N, C, H, W]``.
        num: how many for each target.
        samples: how many are looked at.
    """
    found = [torch.zeros(len(targets), 1, 1, prior.mean.shape[-1]).to(targets)]
    if num > 1:
        codes = make_codes(generator, 0, 0, samples, stream=INVERSION, label=label)
        apart = targets.new_empty(samples, len(targets))
        for first in range(0, len(targets), TARGETS):
            some = slice(first, first + TARGETS)
            wanted = distance.features(targets[some])
            for start in range(0, samples, AT_ONCE):
                part = slice(start, start + AT_ONCE)
                drawn = generator.draw(codes.codes[part]).clamp(-1, 1)
                apart[part, some] = distance.between_all(distance.features(drawn), wanted)
        nearest = apart.topk(num - 1, dim=0, largest=False).indices.T  # [N, num - 1]
        found.append(prior.whitened(codes.w[nearest.flatten()][:, None]).unflatten(0, nearest.shape))
    return torch.cat(found, dim=1)
