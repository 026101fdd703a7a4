"""Toys of the other kinds: with classes, with codes that are no copies of one w, with a single layer."""

from __future__ import annotations

import torch
from torch import Tensor

from higan_fast.generators.base import Activation, Layer
from tests.toy import NUM_LAYERS, RESOLUTION, ToyGenerator, ToyPredictor

NUM_CLASSES, CHUNK, EMBEDDED = 3, 24, 4


class ConditionalToy(ToyGenerator):
    """The class moves every ``w`` along the first direction, so that it changes the first layer's pattern."""

    family = "conditional-toy"

    def __init__(self) -> None:
        super().__init__()
        self.label_dim = NUM_CLASSES
        shifts = torch.tensor([[-1.0], [0.0], [1.0]]) * self.directions[0]
        self.register_buffer("shifts", shifts)  # [NUM_CLASSES, D]

    def mapping(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return super().mapping(z) + self.one_hot(label, z) @ self.shifts


class ChunkedToy(ToyGenerator):
    """As BigGAN: each layer gets its own chunk of z, and all but the first the class behind it.

    The first layer's code is padded to the length of the others.
    """

    family = "chunked-toy"
    shares_code = False

    def __init__(self) -> None:
        super().__init__()
        self.label_dim, self.latent_dim, self.code_dim = NUM_CLASSES, NUM_LAYERS * CHUNK, CHUNK + EMBEDDED
        random = torch.Generator().manual_seed(8)
        directions = torch.randn(NUM_LAYERS, self.code_dim, generator=random)
        directions[0, CHUNK:] = 0  # what is padding is not read
        self.directions = directions / directions.norm(dim=1, keepdim=True)
        self.tastes = 0.1 * torch.randn(NUM_LAYERS, self.code_dim, generator=random) * (directions[0] != 0)
        self.w_avg = torch.zeros(self.code_dim)
        self.embedding = torch.nn.Parameter(torch.randn(NUM_CLASSES, EMBEDDED, generator=random))

    @property
    def w_dim(self) -> int:
        return self.latent_dim + EMBEDDED

    def mapping(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return torch.cat([z, self.one_hot(label, z) @ self.embedding], dim=1)  # [N, w_dim]

    def layer_codes(
        self, w: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        psi = torch.ones(NUM_LAYERS, 1).to(w)
        psi[:truncation_layers] = truncation_psi
        chunks = psi * w[:, : self.latent_dim].unflatten(1, (NUM_LAYERS, CHUNK))
        embedded = w[:, None, self.latent_dim :].repeat(1, NUM_LAYERS, 1)
        embedded[:, 0] = 0
        return torch.cat([chunks, embedded], dim=2)


class OneLayerToy(ToyGenerator):
    """As PGGAN: one layer, which reads the whole code."""

    family = "one-layer-toy"

    def __init__(self) -> None:
        super().__init__()
        self.layers = (Layer(0, "paint", RESOLUTION, "all"),)

    def layer_codes(
        self, w: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        return super().layer_codes(w, truncation_psi, truncation_layers)[:, :1]

    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        assert index == 0
        for pattern in range(NUM_LAYERS):
            activation = super().layer(pattern, activation, code)
        return activation


class LinearToy(ToyGenerator):
    """Layer l paints pattern l as strongly as its code reaches along direction l."""

    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        strength = (code - self.w_avg) @ self.directions[index]
        painted = torch.einsum("n,chw->nchw", strength, self.patterns[index])
        return activation._replace(features=activation.features + painted)


def conditional_toy() -> tuple[ConditionalToy, ToyPredictor]:
    """The same two networks, to the bit, on every call."""
    generator = ConditionalToy()
    return generator, ToyPredictor(generator)


def chunked_toy() -> tuple[ChunkedToy, ToyPredictor]:
    """The same two networks, to the bit, on every call."""
    generator = ChunkedToy()
    return generator, ToyPredictor(generator)


def one_layer_toy() -> tuple[OneLayerToy, ToyPredictor]:
    """The same two networks, to the bit, on every call."""
    generator = OneLayerToy()
    return generator, ToyPredictor(generator)
