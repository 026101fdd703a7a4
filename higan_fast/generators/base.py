"""The one interface behind which every generator stands: map codes, then synthesise them layer by layer."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# On CPUs the features of a layer stay below this: they fit the last cache of a few cores, and the C library's
# allocator keeps blocks of this size, where larger ones cost a page fault for every 4 KiB at every layer.
CACHE_BYTES = 17 * 2**20

Group = Literal["bottom", "lower", "upper", "top", "all"]  # "all": of the only layer


@dataclass(frozen=True)
class Layer:
    """One layer of a generator: what a single layer code feeds."""

    index: int
    name: str
    resolution: int
    group: Group


class Activation(NamedTuple):
    """The state between two layers.

    Attributes:
        features: ``[N, C, H, W]``.
        rgb: the image accumulated so far, ``[N, 3, H, W]``, where a family accumulates one.
        residual: what the block that has begun will add at its end, ``[N, C, H, W]``, where one does.
    """

    features: Tensor
    rgb: Tensor | None = None
    residual: Tensor | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> Activation:
        """With a change of every tensor."""
        rgb, residual = (None if part is None else change(part) for part in self[1:])
        return Activation(change(self.features), rgb, residual)

    def part(self, samples: slice) -> Activation:
        """Of some of the samples."""
        return self.each(lambda tensor: tensor[samples])

    def repeated(self, times: int) -> Activation:
        """Every sample ``times`` times, one after the other."""
        return self.each(lambda tensor: tensor.repeat_interleave(times, 0))

    @staticmethod
    def joined(parts: Sequence[Activation]) -> Activation:
        """Of all samples of the parts."""
        features, rgb, residual = zip(*parts, strict=True)
        return Activation(torch.cat(features), *(_joined(of_parts) for of_parts in (rgb, residual)))


class Generator(torch.nn.Module, abc.ABC):
    """A style-based generator.

    ``map`` turns latents into layer codes and ``synthesize`` turns layer codes into images. Beneath
    them lies the staged interface ``start`` → ``layer`` (for each of ``num_layers``) → ``image``:
    whoever changes the code of layer *l* alone may keep the activation that enters layer *l*, and
    ``fork`` there.

    Attributes:
        family: its name, as files and reports give it.
        shares_code: whether all layers get one and the same ``w``, apart from truncation; otherwise each
            reads a part of ``w``.
        activation_dtype: dtype of the features where a family lets one choose it; None: the parameters'.
        latent_dim: length of a latent ``z``.
        label_dim: number of classes of a conditional generator; 0: it is unconditional.
        code_dim: length of one layer's code.
        resolution: height and width of an image, in pixels.
        layers: the layers in the order in which they run.
    """

    family: ClassVar[str]
    shares_code: ClassVar[bool] = True
    latent_dim: int
    label_dim: int = 0
    code_dim: int
    resolution: int
    layers: tuple[Layer, ...]
    activation_dtype: torch.dtype | None = None

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    @property
    def w_dim(self) -> int:
        """Length of ``w``: ``code_dim`` where the layers share it."""
        return self.code_dim

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @abc.abstractmethod
    def mapping(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents ``[N, latent_dim]`` → ``w`` ``[N, w_dim]``, before truncation."""

    @abc.abstractmethod
    def layer_codes(
        self, w: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        """``w`` ``[N, w_dim]`` → layer codes ``[N, num_layers, code_dim]``, truncated.

        ``codes[:, l] = w_avg + psi_l · (w − w_avg)`` with ``psi_l = truncation_psi`` on the first
        ``truncation_layers`` layers (None: on all) and 1 on the others (StyleGAN, arXiv 1812.04948, §B).
        Other families may truncate a part of ``w``, or read one; in all of them the codes are affine in it.
        """

    def layer_moves(
        self, moves: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        """What moves ``[M, w_dim]`` of ``w`` add to the layer codes: float64 ``[M, num_layers, code_dim]``.

        It is the same for every ``w``, because ``layer_codes`` is affine: what it makes of the moves, less
        what it makes of zero.
        """
        moves = moves.to(self.device, torch.float64)
        of_zero = self.layer_codes(torch.zeros_like(moves[:1]), truncation_psi, truncation_layers)
        return self.layer_codes(moves, truncation_psi, truncation_layers) - of_zero

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

    def draw(self, codes: Tensor, first: int = 0, activation: Activation | None = None) -> Tensor:
        """Layer codes ``[N, num_layers, code_dim]`` → images ``[N, 3, R, R]``, without checks.

        Args:
            first: the layer to begin with ...
            activation: ... and what enters it; None: ``start``'s.
        """
        if activation is None:
            activation = self.start(len(codes))
        for index in range(first, self.num_layers):
            if parts := self.slices(index, len(codes)):
                return torch.cat([self.draw(codes[part], index, activation.part(part)) for part in parts])
            activation = self.layer(index, activation, codes[:, index])
        return self.image(activation)

    def fork(self, index: int, activation: Activation, codes: Tensor, moves: Tensor, steps: Tensor) -> Tensor:
        """Runs the layers from ``index`` on for every sample with every step along every direction.

        Families that can share work between the perturbations of one sample do it here.

        Args:
            index: the first layer whose code moves.
            activation: what enters it, of N samples.
            codes: of the same samples, ``[N, num_layers, code_dim]``.
            moves: what a step of 1 along each direction adds to the codes, ``[M, num_layers, code_dim]``.
            steps: ``[T]``.

        Returns:
            Images ``[N·M·T, 3, R, R]``: all steps of all directions of the first sample, then those of the
            next.
        """
        repeated = activation.repeated(len(moves) * len(steps))
        return self.draw(moved_codes(codes, moves, steps), index, repeated)

    def slices(self, index: int, num: int) -> list[slice]:
        """The parts of ``num`` samples that run layer ``index`` faster one after the other, if any."""
        most = self.samples_at_once(index)
        return [] if most is None or most >= num else [slice(i, i + most) for i in range(0, num, most)]

    def samples_at_once(self, index: int) -> int | None:
        """How many samples run fastest through layer ``index`` together; None: as many as there are."""
        numbers = self.features_of(index)
        if numbers is None or self.device.type != "cpu":
            return None
        itemsize = (self.activation_dtype or next(self.parameters()).dtype).itemsize
        return max(1, CACHE_BYTES // (numbers * itemsize))

    def features_of(self, index: int) -> int | None:
        """How many numbers the features of one sample in layer ``index`` are; None: too few to matter."""
        return None

    def use_truncation(self, truncation_psi: float) -> None:
        """Prepares what depends on the truncation beside the codes; the probe says it before it synthesises.

        Most families have nothing of the kind. BigGAN-deep keeps batch statistics for each truncation.
        """

    def check_latents(self, z: Tensor) -> None:
        """Raises a ValueError when the latents have another shape than this generator's."""
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"z: got shape {tuple(z.shape)}, expected [N, {self.latent_dim}]")

    def one_hot(self, label: Tensor | None, z: Tensor) -> Tensor:
        """Labels as ``map`` takes them → one-hot ``[N, label_dim]`` for the latents ``z``, in their dtype.

        Raises:
            ValueError: when an unconditional generator gets labels, a conditional one none, or their
                shape, type or range is another.
        """
        if self.label_dim == 0:
            if label is not None:
                raise ValueError("label: this generator is unconditional, expected None")
            return z.new_zeros(len(z), 0)
        expected = f"expected class indices [{len(z)}] from 0 to {self.label_dim - 1}, as int64, or one-hot"
        expected += f" [{len(z)}, {self.label_dim}]"
        if label is None:
            raise ValueError(f"label: this generator has {self.label_dim} classes and got none; {expected}")
        if label.shape == (len(z), self.label_dim):
            return label.to(z)
        if label.shape != (len(z),) or label.is_floating_point():
            raise ValueError(f"label: got shape {list(label.shape)} of {label.dtype}, {expected}")
        if len(label) and not (int(label.min()) >= 0 and int(label.max()) < self.label_dim):
            raise ValueError(f"label: got classes {int(label.min())} to {int(label.max())}, {expected}")
        return F.one_hot(label.long(), self.label_dim).to(z)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents → images, without truncation."""
        return self.synthesize(self.map(z, label))


def group_of(index: int, num: int) -> Group:
    """HiGAN's four groups (of 14 layers: 0–1, 2–5, 6–11, 12–13), scaled to ``num`` layers; "all" for one."""
    if num == 1:
        return "all"
    position = (index + 0.5) / num * 14
    return "bottom" if position < 2 else "lower" if position < 6 else "upper" if position < 12 else "top"


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None


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
