"""The one interface behind which every generator stands: map codes, then synthesise them layer by layer."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

Group = Literal["bottom", "lower", "upper", "top"]


@dataclass(frozen=True)
class Layer:
    """One layer of a generator: what a single layer code feeds."""

    index: int
    name: str
    resolution: int
    group: Group


class Activation(NamedTuple):
    """The state between two layers: features ``[N, C, H, W]`` and the RGB accumulated so far, if any."""

    features: Tensor
    rgb: Tensor | None = None

    def part(self, samples: slice) -> Activation:
        """Of some of the samples."""
        return Activation(self.features[samples], None if self.rgb is None else self.rgb[samples])


class Generator(torch.nn.Module, abc.ABC):
    """A style-based generator.

    ``map`` turns latents into layer codes and ``synthesize`` turns layer codes into images. Beneath
    them lies the staged interface ``start`` → ``layer`` (for each of ``num_layers``) → ``image``:
    whoever changes the code of layer *l* alone may keep the activation that enters layer *l*, and
    ``fork`` there.

    Attributes:
        activation_dtype: dtype of the features where a family lets one choose it; None: the parameters'.
        latent_dim: length of a latent ``z``.
        code_dim: length of one layer's code.
        resolution: height and width of an image, in pixels.
        layers: the layers in the order in which they run.
    """

    family: ClassVar[str]
    latent_dim: int
    code_dim: int
    resolution: int
    layers: tuple[Layer, ...]
    activation_dtype: torch.dtype | None = None

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @abc.abstractmethod
    def mapping(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents ``[N, latent_dim]`` → ``w`` ``[N, code_dim]``, before truncation."""

    @abc.abstractmethod
    def layer_codes(
        self, w: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        """``w`` ``[N, code_dim]`` → layer codes ``[N, num_layers, code_dim]``, truncated.

        ``codes[:, l] = w_avg + psi_l · (w − w_avg)`` with ``psi_l = truncation_psi`` on the first
        ``truncation_layers`` layers (None: on all) and 1 on the others (StyleGAN, arXiv 1812.04948, §B).
        """

    def map(
        self,
        z: Tensor,
        label: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_layers: int | None = None,
    ) -> Tensor:
        """Latents ``[N, latent_dim]`` → layer codes ``[N, num_layers, code_dim]``.

        Args:
            z: latents drawn from N(0, I); the generator normalises them as its family does.
            label: class indices ``[N]`` (int64) or one-hot ``[N, c_dim]``, for conditional generators.
            truncation_psi: 1 leaves the codes as they are, 0 gives the average image.
            truncation_layers: how many of the first layers are truncated; None: all.
        """
        return self.layer_codes(self.mapping(z, label), truncation_psi, truncation_layers)

    @abc.abstractmethod
    def start(self, num: int) -> Activation:
        """The activation of ``num`` samples before the first layer."""

    @abc.abstractmethod
    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        """Runs layer ``index`` on an activation of N samples with its code ``[N, code_dim]``."""

    @abc.abstractmethod
    def image(self, activation: Activation) -> Tensor:
        """The activation after the last layer → images ``[N, 3, resolution, resolution]``, about [-1, 1]."""

    def synthesize(self, codes: Tensor) -> Tensor:
        """Layer codes ``[N, num_layers, code_dim]`` → images ``[N, 3, R, R]`` in about [-1, 1].

        Raises:
            ValueError: when the codes have another shape than this generator's.
        """
        if codes.ndim != 3 or codes.shape[1:] != (self.num_layers, self.code_dim):
            raise ValueError(
                f"codes: got shape {tuple(codes.shape)}, expected [N, {self.num_layers}, {self.code_dim}]; "
                "make them with generator.map(z)"
            )
        return self.draw(codes)

    def draw(self, codes: Tensor) -> Tensor:
        """``synthesize`` without its checks: in slices, where a family says that they run faster."""
        parts = codes.split(self.samples_at_once() or max(1, len(codes)))
        return torch.cat([self.image(self.walk(part)) for part in parts])

    def walk(self, codes: Tensor, first: int = 0, activation: Activation | None = None) -> Activation:
        """Layer codes ``[N, num_layers, code_dim]`` → the activation after the last layer.

        Args:
            first: the layer to begin with ...
            activation: ... and what enters it; None: ``start``'s.
        """
        if activation is None:
            activation = self.start(codes.shape[0])
        for index in range(first, self.num_layers):
            activation = self.layer(index, activation, codes[:, index])
        return activation

    def fork(
        self, index: int, activation: Activation, codes: Tensor, moves: Tensor, steps: Tensor
    ) -> Activation:
        """Runs the layers from ``index`` on for every sample with every step along every direction.

        Families that can share work between the perturbations of one sample do it here.

        Args:
            index: the first layer whose code moves.
            activation: what enters it, of N samples.
            codes: of the same samples, ``[N, num_layers, code_dim]``.
            moves: what a step of 1 along each direction adds to the codes, ``[M, num_layers, code_dim]``.
            steps: ``[T]``.

        Returns:
            The activation after the last layer of N·M·T samples: all steps of all directions of the first
            sample, then those of the next.
        """
        repeats = len(moves) * len(steps)
        features, rgb = (None if part is None else part.repeat_interleave(repeats, 0) for part in activation)
        assert features is not None
        return self.walk(moved_codes(codes, moves, steps), index, Activation(features, rgb))

    def samples_at_once(self) -> int | None:
        """How many samples walk fastest through all layers together; None: as many as there are."""
        return None

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents → images, without truncation."""
        return self.synthesize(self.map(z, label))


def moved_codes(codes: Tensor, moves: Tensor, steps: Tensor) -> Tensor:
    """``codes + steps · moves`` for all combinations.

    Args:
        codes: ``[N, ...]``, layer codes or latents.
        moves: ``[M, ...]``.
        steps: ``[T]``.

    Returns:
        ``[N·M·T, ...]``: all steps of all directions of the first sample, then those of the next.
    """
    along = steps.reshape(-1, *[1] * (moves.ndim - 1)) * moves[:, None]  # [M, T, ...]
    return (codes[:, None, None] + along).flatten(0, 2)
