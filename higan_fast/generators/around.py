"""A generator around another one: whatever it does not change is as the other has it."""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor

from higan_fast.generators.base import Activation, Generator

Inner = TypeVar("Inner", bound=Generator)


class Around(Generator, Generic[Inner]):
    """A generator that feeds another one otherwise. It has the other's modes, and sets them there.

    Attributes:
        network: the other one.
    """

    network: Inner

    def __init__(self, network: Inner) -> None:
        super().__init__()
        self.network, self.layers = network, network.layers
        self.latent_dim, self.label_dim = network.latent_dim, network.label_dim
        self.code_dim, self.resolution = network.code_dim, network.resolution
        self.training = network.training

    @property
    def w_dim(self) -> int:
        return self.network.w_dim

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.network.image_shape

    @property
    def activation_dtype(self) -> torch.dtype | None:
        return self.network.activation_dtype

    @activation_dtype.setter
    def activation_dtype(self, dtype: torch.dtype | None) -> None:
        self.network.activation_dtype = dtype

    @property
    def noise_mode(self) -> str | None:
        mode: str | None = getattr(self.network, "noise_mode", None)
        return mode

    def mapping(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return self.network.mapping(z, label)

    def layer_codes(
        self, w: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        return self.network.layer_codes(w, truncation_psi, truncation_layers)

    def check_truncation(self, truncation_psi: float, truncation_layers: int | None = None) -> None:
        self.network.check_truncation(truncation_psi, truncation_layers)

    def features_of(self, index: int) -> int | None:
        return self.network.features_of(index)

    def start(self, num: int) -> Activation:
        return self.network.start(num)

    def image(self, activation: Activation) -> Tensor:
        return self.network.image(activation)
