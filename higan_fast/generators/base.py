"""The interface of every generator: map latents to layer codes, then synthesise layer by layer."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from higan_fast.checks import check_truncation
from higan_fast.generators.prepared import Kept, WeightCache
from higan_fast.generators.replaying import drawn
from higan_fast.image_shapes import size_in_words

# On CPUs a layer's features are kept below this size. They then fit the last-level cache of a few cores, and
# the C library's allocator reuses the block; larger blocks cost a page fault per 4 KiB at every layer.
CACHE_BYTES = 17 * 2**20

Group = Literal["bottom", "lower", "upper", "top", "all"]  # "all": the generator has only one layer


@dataclass(frozen=True)
class Layer:
    """One layer of a generator: the part that one layer code controls.

    Attributes:
        resolution: of its features, pixels of a side; of features that are not square, the longer one's.
        size: height and width of features that are not square; None: ``resolution`` says both.
        not_fingerprinted: what the shapes of a network's tensors say, which fingerprints cover.
    """

    index: int
    name: str
    resolution: int
    group: Group
    size: tuple[int, int] | None = None
    not_fingerprinted: ClassVar[tuple[str, ...]] = ("size",)

    def __post_init__(self) -> None:
        if self.size is not None:  # a list where it comes from a file
            object.__setattr__(self, "size", tuple(self.size))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of its features."""
        return self.size or (self.resolution, self.resolution)

    @property
    def pixels(self) -> str:
        """``"64²"``, or ``"64×32"``: height and width of its features."""
        return size_in_words(*self.shape)


class Activation(NamedTuple):
    """The state between two layers.

    Attributes:
        features: ``[N, C, H, W]``.
        rgb: the image accumulated so far, ``[N, C, H, W]``; None in families that do not accumulate one.
        residual: what the current block adds at its end, ``[N, C, H, W]``; None outside residual blocks.
    """

    features: Tensor
    rgb: Tensor | None = None
    residual: Tensor | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> Activation:
        """Applies ``change`` to every tensor."""
        rgb, residual = (None if part is None else change(part) for part in self[1:])
        return Activation(change(self.features), rgb, residual)

    def part(self, samples: slice) -> Activation:
        """Returns the activation of a slice of the samples."""
        return self.each(lambda tensor: tensor[samples])

    @staticmethod
    def joined(parts: Sequence[Activation]) -> Activation:
        """Concatenates the parts along the samples."""
        features, rgb, residual = zip(*parts, strict=True)
        return Activation(torch.cat(features), *(_joined(of_parts) for of_parts in (rgb, residual)))


class _MadeOutside(abc.ABCMeta):
    """Makes instances outside of inference mode: tensors that are made there do not count their changes."""

    def __call__(cls, *args: Any, **options: Any) -> Any:
        with torch.inference_mode(False) if torch.is_inference_mode_enabled() else contextlib.nullcontext():
            return super().__call__(*args, **options)


class Generator(torch.nn.Module, metaclass=_MadeOutside):
    """A style-based generator.

    ``map`` turns latents into layer codes, and ``synthesize`` turns layer codes into images. Both build on
    the staged interface ``start`` → ``layer`` (for each of ``num_layers``) → ``image``. To change the code of
    layer *l* alone, keep the activation that enters layer *l* and ``draw`` from there.

    Attributes:
        family: name of the family, as files and reports show it.
        shares_code: whether all layers receive the same ``w``, apart from truncation; if not, each layer
            reads a part of ``w``.
        activation_dtype: dtype of the features, in families that support a choice; None: the parameters'.
        latent_dim: length of a latent ``z``.
        label_dim: number of classes of a conditional generator; 0: unconditional.
        code_dim: length of one layer's code.
        resolution: height and width of an image, in pixels; the longer one of an image that is not square.
        layers: the layers in the order in which they run.
        identity: a name that replaces code and attributes in the fingerprint that stored results compare;
            None: the fingerprint covers what can be seen of both.
        not_fingerprinted: attributes that are not part of a module's identity, such as a call counter; every
            submodule may have its own.
        times_changed: how often ``weights_changed`` was called.
    """

    family: ClassVar[str]
    shares_code: ClassVar[bool] = True
    latent_dim: int
    label_dim: int = 0
    code_dim: int
    resolution: int
    layers: tuple[Layer, ...]
    activation_dtype: torch.dtype | None = None
    identity: str | None = None
    not_fingerprinted: ClassVar[tuple[str, ...]] = ("times_changed",)
    times_changed: int = 0

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image; families override it whose images are no square RGB."""
        return 3, self.resolution, self.resolution

    @property
    def w_dim(self) -> int:
        """Length of ``w``; equals ``code_dim`` in families whose layers share it and read nothing else."""
        return self.code_dim

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Generator:
        """Moves or converts all tensors, as ``to`` does; they stay out of inference mode.

        What layers prepare from their weights is kept as long as these do not change, which tensors that were
        made in inference mode do not count. Where a generator holds some (of someone else's network), all are
        moved there: torch would leave some in, and take others out.
        """
        made_there = any(tensor.is_inference() for tensor in (*self.parameters(), *self.buffers()))
        with contextlib.nullcontext() if made_there else torch.inference_mode(False):
            moved: Generator = super()._apply(fn, recurse)
        self._forget_prepared()
        return moved

    def load_state_dict(self, *args: Any, **options: Any) -> Any:
        """As in ``torch.nn.Module``; what was prepared from the old weights is forgotten."""
        loaded = super().load_state_dict(*args, **options)
        self.weights_changed()
        return loaded

    def weights_changed(self) -> None:
        """Makes everything that was prepared or recorded from the weights anew.

        Needed only after changes that cannot be seen: in place, on another device than a CPU, and through
        ``.data`` or of tensors that were made in inference mode (``prepared.Kept`` lists what is seen).
        """
        for tensor in (*self.parameters(), *self.buffers()):
            if not tensor.is_inference():
                torch.autograd.graph.increment_version(tensor)
        self.times_changed += 1  # which recordings compare
        self._forget_prepared()

    def _forget_prepared(self) -> None:
        for module in self.modules():
            for value in vars(module).values():
                if isinstance(value, Kept | WeightCache):
                    value.forget()

    @abc.abstractmethod
    def mapping(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents ``[N, latent_dim]`` → ``w`` ``[N, w_dim]``, before truncation."""

    @abc.abstractmethod
    def layer_codes(
        self, w: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        """``w`` ``[N, w_dim]`` → layer codes ``[N, num_layers, code_dim]``, truncated.

        In the StyleGAN families (arXiv 1812.04948, §B), ``codes[:, l] = w_avg + psi_l · (w − w_avg)``, where
        ``psi_l`` is ``truncation_psi`` on the first ``truncation_layers`` layers (None: on all) and 1 on the
        rest. Other families may truncate or read only a part of ``w``. The codes are always affine in ``w``,
        and hold all that an image depends on: how it was truncated is not said again later.
        """

    def layer_moves(
        self, moves: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        """Returns what moves of ``w`` ``[M, w_dim]`` add to the codes: float64 ``[M, num_layers, code_dim]``.

        ``layer_codes`` is affine, so the result does not depend on ``w``: it is ``layer_codes(moves)`` minus
        ``layer_codes(0)``.
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
            z: latents drawn from N(0, I); the generator normalises them if its family does.
            label: class indices ``[N]`` (int64) or one-hot ``[N, c_dim]``, for conditional generators.
            truncation_psi: 1 leaves the codes as they are, 0 gives the average image.
            truncation_layers: number of layers to truncate, counted from the first; None: all.

        Raises:
            ValueError: if an argument has another shape or range.
        """
        self.check_truncation(truncation_psi, truncation_layers)
        return self.layer_codes(self.mapping(z, label), truncation_psi, truncation_layers)

    @abc.abstractmethod
    def start(self, num: int) -> Activation:
        """Returns the activation of ``num`` samples before the first layer."""

    @abc.abstractmethod
    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        """Runs layer ``index`` on an activation of N samples with its code ``[N, code_dim]``."""

    @abc.abstractmethod
    def image(self, activation: Activation) -> Tensor:
        """Activation after the last layer → images ``[N, *image_shape]`` in about [-1, 1]."""

    def synthesize(self, codes: Tensor, replay: bool = True) -> Tensor:
        """Layer codes ``[N, num_layers, code_dim]`` → images ``[N, *image_shape]`` in about [-1, 1].

        On CUDA the third call with as many codes replays a CUDA graph, as do later ones, where no gradient is
        needed (``replaying.drawn`` says when else not). Recordings take the memory of one call.

        Args:
            codes: the layer codes.
            replay: whether recordings may be made and replayed; if not, every op is launched by the host.

        Raises:
            ValueError: if the codes do not have this generator's shape.
        """
        if codes.ndim != 3 or codes.shape[1:] != (self.num_layers, self.code_dim):
            raise ValueError(
                f"codes: got shape {tuple(codes.shape)}, expected [N, {self.num_layers}, {self.code_dim}]; "
                "make them with generator.map(z)"
            )
        return drawn(self, codes) if replay else self.draw(codes)

    def draw(self, codes: Tensor, first: int = 0, activation: Activation | None = None) -> Tensor:
        """Layer codes ``[N, num_layers, code_dim]`` → images ``[N, *image_shape]``, without checks.

        Args:
            codes: the layer codes; those before ``first`` are not read.
            first: the first layer to run.
            activation: the activation that enters it; None: the one from ``start``.
        """
        if activation is None:
            activation = self.start(len(codes))
        for index in range(first, self.num_layers):
            if parts := self.slices(index, len(codes)):
                return torch.cat([self.draw(codes[part], index, activation.part(part)) for part in parts])
            activation = self.layer(index, activation, codes[:, index])
        return self.image(activation)

    def slices(self, index: int, num: int) -> list[slice]:
        """Splits ``num`` samples where layer ``index`` runs faster in parts; empty if one pass is best."""
        most = self.samples_at_once(index)
        return [] if most is None or most >= num else [slice(i, i + most) for i in range(0, num, most)]

    def samples_at_once(self, index: int) -> int | None:
        """Returns the fastest number of samples per pass through layer ``index``; None: no limit."""
        numbers = self.features_of(index)
        if numbers is None or self.device.type != "cpu":
            return None
        itemsize = (self.activation_dtype or next(self.parameters()).dtype).itemsize
        return max(1, CACHE_BYTES // (numbers * itemsize))

    def features_of(self, index: int) -> int | None:
        """Returns the number of feature values per sample in layer ``index``; None: too few to matter."""
        return None

    def check_truncation(self, truncation_psi: float, truncation_layers: int | None = None) -> None:
        """Raises ValueError if there are no codes of this truncation; sets nothing.

        Families override this where ``truncation_psi`` cannot be any finite number.
        """
        check_truncation(truncation_psi, truncation_layers, self.num_layers)

    def check_latents(self, z: Tensor) -> None:
        """Raises ValueError if the latents are no tensor of this generator's shape."""
        if not isinstance(z, Tensor):
            raise ValueError(f"z: got a {type(z).__name__}, expected a tensor [N, {self.latent_dim}]")
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"z: got shape {tuple(z.shape)}, expected [N, {self.latent_dim}]")

    def one_hot(self, label: Tensor | None, z: Tensor) -> Tensor:
        """Converts labels as ``map`` accepts them to one-hot ``[N, label_dim]`` in the dtype of ``z``.

        Raises:
            ValueError: if an unconditional generator gets labels, a conditional one gets none, or the labels
                have the wrong shape, dtype or range.
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

    def extra_repr(self) -> str:
        """What a printed generator says of itself: layers, their codes, and its images ``[C, H, W]``."""
        return f"{self.num_layers} layers, codes of {self.code_dim}, images {list(self.image_shape)}"

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents → images, without truncation."""
        return self.synthesize(self.map(z, label))


def check_generator(generator: object) -> None:
    """Raises TypeError, naming the call to write instead, if ``generator`` is not a ``Generator``."""
    if not isinstance(generator, Generator):
        raise TypeError(
            f"generator: got a {type(generator).__name__}, expected a Generator; use load_generator, "
            "higan_fast.generators.from_model(it), or "
            "higan_fast.generators.wrap(it, num_layers, code_dim, resolution, map=...)"
        )


def layer_of_size(index: int, name: str, size: tuple[int, int], num: int) -> Layer:
    """Returns the layer ``index`` of ``num``, whose features have this height and width."""
    height, width = size
    return Layer(index, name, max(size), group_of(index, num), None if height == width else size)


def group_of(index: int, num: int) -> Group:
    """Returns HiGAN's group (of 14 layers: 0–1, 2–5, 6–11, 12–13), scaled to ``num`` layers; "all" for 1."""
    if num == 1:
        return "all"
    position = (index + 0.5) / num * 14
    return "bottom" if position < 2 else "lower" if position < 6 else "upper" if position < 12 else "top"


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None
