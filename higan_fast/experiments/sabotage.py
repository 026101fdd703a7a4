"""A generator that is broken on purpose, in one layer: claims about that layer must not survive.

Nothing of the generator itself changes: it is told other codes than those that it is given, or what a layer
hands on is put in another order.
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

    Or the channels that one layer hands on are in another order, which is to have the output channels of its
    convolution permuted, with their biases.

    Attributes:
        network: the generator as it is.
        reads: the layer whose code each layer reads, ``[L]``.
        order: the coordinates of its code as each layer reads them, ``[L, D]``. To read them in another order
            is to have the weights that read them permuted.
        after: the layer whose channels are in another order; None: none.
        channels: that order, ``[C]``.
    """

    family: ClassVar[str] = "sabotaged"
    reads: Tensor
    order: Tensor
    channels: Tensor

    def __init__(
        self,
        network: Generator,
        reads: Sequence[int],
        order: Tensor,
        after: int | None = None,
        channels: Tensor | None = None,
    ) -> None:
        super().__init__(network)
        self.shares_code = network.shares_code  # type: ignore[misc]
        self.register_buffer("reads", torch.tensor(list(reads), device=network.device))
        self.register_buffer("order", order.to(network.device))
        self.after = after
        none = torch.zeros(0, dtype=torch.int64)
        self.register_buffer("channels", (none if channels is None else channels).to(network.device))
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

    @classmethod
    @torch.no_grad()
    def scrambled(cls, network: Generator, layer: int, seed: int = 0) -> Sabotaged:
        """One whose ``layer`` hands its channels on in another order, each in another's place.

        Raises:
            ValueError: for the last layer, behind which nothing reads its channels.
        """
        num, dim = network.num_layers, network.code_dim
        if not 0 <= layer < num - 1:
            raise ValueError(f"layer: got {layer}, expected one of 0 to {num - 2}")
        activation = network.start(1)
        for index in range(layer + 1):
            dtype = next(network.parameters()).dtype
            code = torch.zeros(1, dim, dtype=dtype, device=network.device)
            activation = network.layer(index, activation, code)
        drawn = torch.Generator().manual_seed(seed)
        cycle = torch.randperm(activation.features.shape[1], generator=drawn)
        channels = torch.empty_like(cycle)
        channels[cycle] = cycle.roll(1)
        return cls(network, range(num), torch.arange(dim).repeat(num, 1), layer, channels)

    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        """As of the network, but for layers that read another's code: those ``draw`` runs anew."""
        activation = self.network.layer(index, activation, code[:, self.order[index]])
        if index == self.after:
            activation = activation._replace(features=activation.features[:, self.channels])
        return activation

    def draw(self, codes: Tensor, first: int = 0, activation: Activation | None = None) -> Tensor:
        """As of the network, with the codes and channels that its layers read here. It reads all codes."""
        if self.after is not None and first <= self.after:
            activation = self.start(len(codes)) if activation is None else activation
            for index in range(first, self.after + 1):
                activation = self.layer(index, activation, codes[:, index])
            return self.network.draw(codes, self.after + 1, activation)
        if first > self._kept:  # a layer below may read a code that was moved, or was not run with its own
            first, activation = 0, None
        read = codes[:, self.reads].gather(2, self.order.expand(len(codes), -1, -1))
        return self.network.draw(read, first, activation)
