"""A generator that is broken on purpose, in one layer: claims about that layer must not survive.

Nothing of the generator itself changes: it is told other codes than those that it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from higan_fast.generators.around import Around
from higan_fast.generators.base import Activation, Generator


class Sabotaged(Around[Generator]):
    """A generator of which some layers read other codes than their own, or coordinates in another order.

    Attributes:
        network: the generator as it is.
        reads: the layer whose code each layer reads, ``[L]``.
        order: the coordinates of its code as each layer reads them, ``[L, D]``. To read them in another order
            is to have the weights that read them permuted.
    """

    family: ClassVar[str] = "sabotaged"
    reads: Tensor
    order: Tensor

    def __init__(self, network: Generator, reads: Sequence[int], order: Tensor) -> None:
        super().__init__(network)
        self.shares_code = network.shares_code  # type: ignore[misc]
        self.register_buffer("reads", torch.tensor(list(reads), device=network.device))
        self.register_buffer("order", order.to(network.device))
        # Below this layer nothing reads a code that is not its own.
        self._kept = next((i for i, layer in enumerate(reads) if layer != i), len(reads))

    @classmethod
    def permuted(cls, network: Generator, layer: int, seed: int = 0) -> Sabotaged:
        """One whose ``layer`` has the weights that read its code permuted."""
        num, dim = network.num_layers, network.code_dim
        order = torch.arange(dim).repeat(num, 1)
        order[layer] = torch.randperm(dim, generator=torch.Generator().manual_seed(seed))
        return cls(network, range(num), order)

    @classmethod
    def swapped(cls, network: Generator, first: int, second: int) -> Sabotaged:
        """One in which two layers read each other's code."""
        reads = list(range(network.num_layers))
        reads[first], reads[second] = second, first
        return cls(network, reads, torch.arange(network.code_dim).repeat(network.num_layers, 1))

    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        """As of the network, but for layers that read another's code: those ``draw`` runs anew."""
        return self.network.layer(index, activation, code[:, self.order[index]])

    def draw(self, codes: Tensor, first: int = 0, activation: Activation | None = None) -> Tensor:
        """As of the network, with the codes that its layers read here. It reads all codes."""
        if first > self._kept:  # a layer below may read a code that was moved, or was not run with its own
            first, activation = 0, None
        read = codes[:, self.reads].gather(2, self.order.expand(len(codes), -1, -1))
        return self.network.draw(read, first, activation)
