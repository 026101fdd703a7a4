"""The engine's task: directions × sets of layers × steps, as a flat list of perturbed samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.engine.streams import upload

Indices = NDArray[np.int64]


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

    def forks(self) -> dict[int, list[int]]:
        """Returns the sets that something moves on, by their first layer; where latents move, that is 0."""
        found: dict[int, list[int]] = {}
        for index in np.flatnonzero(self.chosen.any(axis=0)):
            layers = self.layer_sets[index]
            found.setdefault(layers[0] if layers else 0, []).append(int(index))
        return found

    def work(self, layer_sets: Sequence[int], num_samples: int) -> Work:
        """Returns what is to do on some sets: by set, then direction, then sample, then step."""
        each = [(index, row) for index in layer_sets for row in np.flatnonzero(self.chosen[:, index])]
        pairs, samples, steps = np.arange(len(each)), np.arange(num_samples), np.arange(len(self.steps))
        which, *others = (part.ravel() for part in np.meshgrid(pairs, samples, steps, indexing="ij"))
        sets, directions = np.array(each, np.int64).reshape(-1, 2).T
        return Work(sets[which], directions[which], *others)


def all_and_each(num_layers: int) -> tuple[tuple[int, ...], ...]:
    """Returns the set of all layers, then every layer as a set of its own."""
    return (tuple(range(num_layers)), *((layer,) for layer in range(num_layers)))


class Work(NamedTuple):
    """A flat list of perturbed samples: each entry moves one sample by one step along one direction.

    Any of its entries can be a batch. All are int64 arrays ``[P]``.

    Attributes:
        layer_sets: which of the plan's sets of layers ...
        directions: ... which of its directions ...
        samples: ... which sample ...
        steps: ... and which of the plan's steps.
    """

    layer_sets: Indices
    directions: Indices
    samples: Indices
    steps: Indices

    @property
    def num(self) -> int:
        return len(self.samples)

    def part(self, entries: slice) -> Work:
        """Returns some of the entries."""
        return Work._make(each[entries] for each in self)

    def of_samples_from(self, first: int) -> Work:
        """Returns the same work with its samples counted from ``-first``."""
        return self._replace(samples=self.samples + first)


class Moved:
    """What a plan makes of codes or latents: those of any entries of its work, on the device of the base.

    Attributes:
        samples: which row of the base each entry moves, ``[P]``, on the device.
    """

    def __init__(self, plan: Plan, base: Tensor, work: Work) -> None:
        """``base`` holds the layer codes ``[N, L, D]`` or latents ``[N, latent_dim]`` that the plan moves."""
        self._base, self._moves, self._steps = base, _like(base, plan.moves), _like(base, plan.steps)
        index = upload(torch.from_numpy(np.stack(work)), base.device)
        self._sets, self._directions, self.samples, self._which = index
        self._layers = None
        if not plan.in_latents:
            layers = torch.zeros(len(plan.layer_sets), base.shape[1])
            for row, layer_set in zip(layers, plan.layer_sets, strict=True):
                row[list(layer_set)] = 1
            self._layers = _like(base, layers)

    def of(self, entries: slice) -> Tensor:
        """Returns the moved codes ``[P, L, D]``, or latents, of some entries."""
        along = self._moves[self._directions[entries]]
        if self._layers is not None:
            along = along * self._layers[self._sets[entries], :, None]
        steps = self._steps[self._which[entries]].reshape(-1, *[1] * (along.ndim - 1))
        return self._base[self.samples[entries]] + steps * along


def _like(base: Tensor, tensor: Tensor) -> Tensor:
    """A tensor on the base's device and in its dtype."""
    return upload(tensor, base.device, base.dtype)
