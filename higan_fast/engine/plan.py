"""The engine's task: directions × sets of layers × steps, and how to split it into batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Plan:
    """Perturbations of layer codes or latents: every step along each direction on each set of layers.

    Attributes:
        moves: what a step of 1 along each direction adds to the layer codes, ``[M, L, D]``, or to the
            latents, ``[M, latent_dim]``; moved latents go through the mapping again.
        layer_sets: sets of layers that move together, each sorted; the other layers keep their codes.
            Latents move all layers, so they take one empty set.
        steps: ``[T]``.
        chosen: which direction to run on which set, ``[M, len(layer_sets)]``; default: all of them.
    """

    moves: Tensor
    layer_sets: tuple[tuple[int, ...], ...]
    steps: Tensor
    chosen: NDArray[np.bool_] = field(default_factory=lambda: np.ones((0, 0), np.bool_))

    def __post_init__(self) -> None:
        shape = (len(self.moves), len(self.layer_sets))
        if self.chosen.size == 0:
            object.__setattr__(self, "chosen", np.ones(shape, np.bool_))
        if self.chosen.shape != shape:
            raise ValueError(f"chosen: got shape {list(self.chosen.shape)}, expected {list(shape)}")
        if self.moves.ndim not in (2, 3) or self.in_latents != (self.layer_sets == ((),)):
            raise ValueError(
                f"moves: got shape {list(self.moves.shape)} and the sets of layers {list(self.layer_sets)}, "
                "expected [M, L, D] and sets of layers, or [M, latent_dim] and one empty set"
            )
        if not self.in_latents and any(
            list(layers) != sorted(set(layers)) or not layers for layers in self.layer_sets
        ):
            raise ValueError(f"layer_sets: got {list(self.layer_sets)}, expected sorted layers in each")

    @property
    def in_latents(self) -> bool:
        """Whether latents move rather than layer codes."""
        return self.moves.ndim == 2

    @property
    def images_per_sample(self) -> int:
        return int(self.chosen.sum()) * len(self.steps)


def all_and_each(num_layers: int) -> tuple[tuple[int, ...], ...]:
    """Returns the set of all layers, then every layer as a set of its own."""
    return (tuple(range(num_layers)), *((layer,) for layer in range(num_layers)))


class Box(NamedTuple):
    """Some samples × some directions × some steps: one batch for the networks."""

    samples: slice
    directions: slice
    steps: slice

    @classmethod
    def of(cls, *sizes: int) -> Box:
        return cls(*(slice(0, size) for size in sizes))

    @property
    def shape(self) -> tuple[int, int, int]:
        n, m, t = (part.stop - part.start for part in self)
        return n, m, t

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def split(self, at_most: int) -> Iterator[Box]:
        """Splits this box into boxes of about equal size with at most ``at_most`` images each.

        Splits samples first and steps last, because the perturbations of a sample share its activation.
        """
        n, m, t = self.shape
        for steps in _parts(self.steps, at_most if n * m else t):
            t = steps.stop - steps.start
            for directions in _parts(self.directions, max(1, at_most // t)):
                m = directions.stop - directions.start
                for samples in _parts(self.samples, max(1, at_most // (m * t))):
                    yield Box(samples, directions, steps)

    def within(self, other: Box) -> tuple[slice, ...]:
        """Returns the slices that select this box in the larger box ``other``."""
        return tuple(
            slice(own.start - whole.start, own.stop - whole.start)
            for own, whole in zip(self, other, strict=True)
        )


def _parts(whole: slice, at_most: int) -> Sequence[slice]:
    """Splits a slice into as few parts as possible, of nearly equal length."""
    num = whole.stop - whole.start
    count = -(-num // max(1, at_most))
    edges = [whole.start + num * index // max(1, count) for index in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]
