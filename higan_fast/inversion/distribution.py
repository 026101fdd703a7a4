"""How codes are distributed: mean and principal axes of mapped samples, and how far others lie from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from higan_fast.generators.base import Generator
from higan_fast.sampling.latents import INVERSION, make_codes

NUM = 10_000  # samples, as in StyleGAN2's projection
FAR = 99  # percent of samples: what lies farther from the mean than so many is said to
FLOOR = 1e-4  # of the largest deviation: axes along which samples hardly vary count as having this one


@dataclass(frozen=True)
class Distribution:
    """Of points ``[P, D]``: P is 1 for ``w``, and for codes of layers that do not share one, their number.

    Attributes:
        mean: ``[P, D]``.
        axes: principal axes as rows, ``[P, D, D]``.
        deviations: standard deviation of the samples along each, ``[P, D]``.
        distances: how far each of the samples lies from the mean, sorted, ``[NUM]`` (see ``distance``).
    """

    mean: Tensor
    axes: Tensor
    deviations: Tensor
    distances: Tensor

    @classmethod
    def of(cls, points: Tensor) -> Distribution:
        """Measures samples ``[N, P, D]``."""
        double = points.double()
        mean = double.mean(dim=0)
        centred = (double - mean).transpose(0, 1)  # [P, N, D]
        values, vectors = torch.linalg.eigh(centred.mT @ centred / max(len(points) - 1, 1))
        deviations = values.clamp(min=0).sqrt()
        floor = FLOOR * deviations.amax(dim=1, keepdim=True).clamp(min=1e-12)
        axes, deviations = vectors.mT.contiguous(), deviations.maximum(floor)
        mean, axes, deviations = (part.to(points.dtype) for part in (mean, axes, deviations))
        found = cls(mean, axes, deviations, points.new_empty(0))
        return replace(found, distances=found.distance(points).sort().values)

    def whitened(self, points: Tensor) -> Tensor:
        """Points ``[N, P or L, D]`` → coordinates along the axes, in standard deviations: the same shape."""
        return (
            torch.einsum("npd,pkd->npk", points - self.mean, self._spread(self.axes, points))
            / self.deviations
        )

    def points(self, whitened: Tensor) -> Tensor:
        """Undoes ``whitened``."""
        axes = self._spread(self.axes, whitened)
        return torch.einsum("npk,pkd->npd", whitened * self.deviations, axes) + self.mean

    def distance(self, points: Tensor) -> Tensor:
        """Mahalanobis distance of points ``[N, P or L, D]`` from the mean, RMS over layers: ``[N]``."""
        return self.whitened(points).square().sum(dim=2).mean(dim=1).sqrt()

    def percentile(self, distance: Tensor) -> Tensor:
        """How many of the samples lie nearer, in percent, ``[N]``."""
        nearer = torch.searchsorted(self.distances, distance.contiguous())
        return nearer.to(distance) * (100 / len(self.distances))

    @staticmethod
    def _spread(part: Tensor, like: Tensor) -> Tensor:
        """One set of axes for all layers, where there is one."""
        return part.expand(like.shape[1], -1, -1)


@torch.no_grad()
def distribution_of_w(generator: Generator, label: int | None = None) -> Distribution:
    """Of ``w``, ``[1, w_dim]``, over ``NUM`` samples that serve nothing else."""
    return Distribution.of(make_codes(generator, 0, 0, NUM, stream=INVERSION, label=label).w[:, None])


@torch.no_grad()
def distribution_of_codes(generator: Generator, label: int | None = None) -> Distribution:
    """Of layer codes: of ``w`` where all layers share it, else of each layer's code, ``[L, code_dim]``."""
    if generator.shares_code:
        return distribution_of_w(generator, label)
    return Distribution.of(make_codes(generator, 0, 0, NUM, stream=INVERSION, label=label).codes)
