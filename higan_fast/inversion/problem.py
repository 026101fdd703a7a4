"""What is made small in an inversion: a distance from each target, and what keeps codes plausible."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from higan_fast.generators.base import Generator
from higan_fast.inversion.distances import Distance, Features
from higan_fast.inversion.noise_maps import WEIGHT, correlation, draw_with, standardised
from higan_fast.inversion.search import Variables

MAP = "noise."  # before the names of variables that are noise maps


def possible(name: str, value: Tensor) -> Tensor:
    """Noise maps with mean 0 and variance 1; other variables as they are."""
    return standardised(value) if name.startswith(MAP) else value


class Problem:
    """Variables of some images → how far their images are from the targets, and penalties.

    Attributes:
        to_codes: whitened coordinates ``[n, P, D]`` → layer codes ``[n, L, D]``.
        pull: weight of the mean square of the coordinates.
        spread: weight of the mean square of what layers have of their own.
        images_drawn: those of the last call.
    """

    def __init__(
        self,
        generator: Generator,
        targets: Tensor,
        distance: Distance,
        to_codes: Callable[[Tensor], Tensor],
        pull: float,
        spread: float = 0.0,
    ) -> None:
        self.generator, self.targets, self.distance = generator, targets, distance
        self.to_codes, self.pull, self.spread = to_codes, pull, spread
        self._features: tuple[list[int], Features] | None = None
        self.images_drawn: Tensor | None = None

    def images(self, variables: Variables) -> Tensor:
        maps = {name.removeprefix(MAP): value for name, value in variables.items() if name.startswith(MAP)}
        return draw_with(self.generator, self.to_codes(variables["codes"]), maps)

    def __call__(self, variables: Variables, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Distances and penalties, ``[n]`` each, of the images ``rows``.

        Raises:
            ValueError: when no gradient comes back to the codes.
        """
        images = self.images(variables)
        self.images_drawn = images.detach()
        distance = self.distance(images, self._target(rows))
        own = variables["codes"]
        if own.requires_grad and not distance.requires_grad:
            raise ValueError(
                f"distance (--distance): {self.distance.name}: carries no gradient back to the codes; is the "
                "generator one that torch can differentiate?"
            )
        penalty = self.pull * own.square().flatten(1).mean(dim=1)
        if self.spread:
            apart = own - own.mean(dim=1, keepdim=True)
            penalty = penalty + self.spread * apart.square().flatten(1).mean(dim=1)
        for name, value in variables.items():
            if name.startswith(MAP):
                penalty = penalty + WEIGHT * correlation(value)
        return distance, penalty

    def _target(self, rows: Tensor) -> Features:
        """Features of the targets, kept while the same ones are asked for."""
        which = rows.tolist()
        if self._features is None or self._features[0] != which:
            with torch.no_grad():
                self._features = which, self.distance.features(self.targets[rows])
        return self._features[1]
