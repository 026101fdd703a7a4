"""Simulated generators of rooms: which layer decides which factor, and how far a step moves it, is known.

A new one is drawn for each number. Its latents are Gaussian, and a random linear map makes codes of them,
whose variance differs between directions as that of a trained generator does. Each layer adds to the factors
that it decides, and the renderer draws the room. All factors have the distribution that they have in the
world.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import Tensor

from higan_fast.generators.base import Activation, Generator, Group, Layer
from higan_fast.predictors.base import LEVELS, Predictor
from higan_fast.scenes.factors import (
    FURNITURE,
    NUM_COLUMNS,
    RANGES,
    SEMANTICS,
    Factors,
    factors_of,
    labels,
    sample_factors,
)
from higan_fast.scenes.renderer import render

Array = NDArray[np.float64]

NUM_LAYERS, CODE_DIM, RESOLUTION = 4, 64, 12
VARIANCES = np.geomspace(6.0, 0.02, CODE_DIM)  # of the codes along their principal axes

NAMES = tuple(semantic.name for semantic in SEMANTICS)
# The columns of ``factors_of`` that semantics are read from; bed, sofa and table are thirds of one.
DRIVERS = ("view", "pitch", "depth", "furniture", "window", "lamp", "picture", "lighting", "wood_floor",
           "clutter", "warmth", "saturation")  # fmt: skip
DRIVER_OF = tuple(DRIVERS.index("furniture" if name in FURNITURE else name) for name in NAMES)
_LEVEL_OF = {DRIVERS[driver]: semantic.level for driver, semantic in zip(DRIVER_OF, SEMANTICS, strict=True)}

# Worlds of renders that the reader of pictures learns from; no simulated generator draws of them.
READER_SEED, READER_ROOMS = 2_000_081, 6_000


@dataclass(frozen=True)
class Truth:
    """What is true of a simulated generator.

    Attributes:
        ordered: whether layers decide levels in HiGAN's order, one each; else each factor has a random layer.
        layer_of: the layer that decides most of each driver, ``[len(DRIVERS)]``.
        decided: the part of each driver's variance that the codes decide linearly, ``[len(DRIVERS)]``; the
            rest is decided by a hash of the code, so that it differs from sample to sample and no direction
            moves it. 0: no direction moves the driver at all.
        weights: what each layer's code adds to each column, ``[NUM_LAYERS, NUM_COLUMNS, CODE_DIM]``.
        mixing: codes are latents times this, ``[CODE_DIM, CODE_DIM]``.
    """

    ordered: bool
    layer_of: NDArray[np.int64]
    decided: Array
    weights: Array
    mixing: Array

    @property
    def blind(self) -> tuple[str, ...]:
        """Semantics that no direction moves."""
        return tuple(name for name, driver in zip(NAMES, DRIVER_OF, strict=True) if self.decided[driver] == 0)

    def effects(self, move: Array) -> Array:
        """The exact effects of a step, half the difference between forth and back: ``[1 + NUM_LAYERS, S]``.

        Row 0 is of all layers together, row 1 + l of layer l alone. A driver is Gaussian with variance 1
        whatever is moved, so that these are differences of normal probabilities.

        Args:
            move: what a step adds to the code, ``[CODE_DIM]``.
        """
        forth, back = self._moved(move)
        return (forth - back) / 2

    def even_parts(self, move: Array) -> Array:
        """What a step forth and one back change alike, likewise: ``[1 + NUM_LAYERS, S]``."""
        forth, back = self._moved(move)
        return (forth + back) / 2 - _mean_scores(np.zeros(len(NAMES)))

    def _moved(self, move: Array) -> tuple[Array, Array]:
        """Mean labels after a step forth, and after one back, each ``[1 + NUM_LAYERS, S]``."""
        alone = self.weights[:, : len(DRIVERS)] @ move  # [L, F]
        shifts = np.concatenate([alone.sum(0, keepdims=True), alone])[:, DRIVER_OF]
        return _mean_scores(shifts), _mean_scores(-shifts)


def _mean_scores(shifts: Array) -> Array:
    """Mean labels of rooms whose drivers are moved by so much, ``[..., S]``."""
    means = np.empty_like(shifts)
    ends = np.array([-np.inf, -0.43072729929545767, 0.43072729929545767, np.inf])  # thirds of a Gaussian
    for column, name in enumerate(NAMES):
        shift = shifts[..., column]
        if name in RANGES:
            means[..., column] = ndtr(shift / np.sqrt(2))
        elif name in FURNITURE:
            kind = FURNITURE.index(name)
            means[..., column] = ndtr(ends[kind + 1] - shift) - ndtr(ends[kind] - shift)
        else:
            means[..., column] = ndtr(-shift)
    return means


# Standard deviation of each label in the world.
DEVIATIONS = np.array(
    [12**-0.5 if name in RANGES else 2**0.5 / 3 if name in FURNITURE else 0.5 for name in NAMES]
)


def draw_truth(number: int) -> Truth:
    """Returns what is true of simulated generator ``number``.

    Even numbers have levels in HiGAN's order. Two drivers are decided by no direction; warmth shares a
    direction with lighting, so that these are entangled. The layer that decides a driver has a helper, which
    adds up to 0.9 times as much.
    """
    random = np.random.default_rng((number, 1_000_003))
    rotation = np.linalg.qr(random.standard_normal((CODE_DIM, CODE_DIM)))[0]
    mixing = VARIANCES[:, None] ** 0.5 * rotation  # rows of z @ mixing have this covariance
    covariance = mixing.T @ mixing
    ordered = number % 2 == 0
    layer_of = np.array(
        [LEVELS.index(_LEVEL_OF[name]) if ordered else random.integers(NUM_LAYERS) for name in DRIVERS]
    )
    decided = random.uniform(0.02, 1, len(DRIVERS))
    blind = random.permutation([i for i, name in enumerate(DRIVERS) if name != "furniture"])[:2]
    decided[blind] = 0
    directions = random.standard_normal((NUM_COLUMNS, CODE_DIM))
    lighting, warmth = DRIVERS.index("lighting"), DRIVERS.index("warmth")
    directions[warmth] = 0.8 * directions[lighting] + 0.6 * directions[warmth]
    weights = np.zeros((NUM_LAYERS, NUM_COLUMNS, CODE_DIM))
    for column in range(NUM_COLUMNS):
        main = layer_of[column] if column < len(DRIVERS) else random.integers(NUM_LAYERS)
        helper = random.permutation([layer for layer in range(NUM_LAYERS) if layer != main])[0]
        weights[main, column] = directions[column]
        weights[helper, column] = random.uniform(0, 0.9) * directions[column]
        total = weights[:, column].sum(0)
        share = decided[column] if column < len(DRIVERS) else 1.0
        weights[:, column] *= np.sqrt(share / (total @ covariance @ total))
    return Truth(ordered, layer_of, decided, weights, mixing)


class SimulatedGenerator(Generator):
    """Simulated generator ``number``.

    Args:
        number: which one; 0 or more.
        drawn: whether its pictures are drawn by the renderer; if not, their first pixels hold the labels of
            the room, for ``LabelReader``.
    """

    family: ClassVar[str] = "simulated rooms"
    weights: Tensor
    mixing: Tensor
    noise: Tensor
    main: Tensor
    odd: Tensor

    def __init__(self, number: int, drawn: bool = True) -> None:
        super().__init__()
        self.latent_dim = self.code_dim = CODE_DIM
        self.resolution, self.drawn = RESOLUTION, drawn
        groups: tuple[Group, ...] = ("bottom", "lower", "upper", "top")
        self.layers = tuple(Layer(i, f"decide{i}", RESOLUTION, group) for i, group in enumerate(groups))
        self.truth = truth = draw_truth(number)
        self.mixing = torch.nn.Parameter(torch.from_numpy(truth.mixing).float(), requires_grad=False)
        columns = NUM_COLUMNS if drawn else len(DRIVERS)  # the rest decides no label
        self.register_buffer("weights", torch.from_numpy(truth.weights[:, :columns]).float())
        self.register_buffer("noise", torch.from_numpy(np.sqrt(1 - truth.decided)).float())
        self.register_buffer("main", torch.from_numpy(truth.layer_of))
        odd = np.random.default_rng((number, 1_000_033)).integers(2**62, size=(len(DRIVERS), CODE_DIM)) | 1
        self.register_buffer("odd", torch.from_numpy(odd))

    def mapping(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return z @ self.mixing

    def layer_codes(
        self, w: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        psi = torch.ones(NUM_LAYERS, 1).to(w)
        psi[:truncation_layers] = truncation_psi
        return psi * w[:, None]

    def start(self, num: int) -> Activation:
        return Activation(torch.zeros(num, NUM_COLUMNS, 1, 1))

    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        columns = activation.features[:, :, 0, 0].clone()
        columns[:, : self.weights.shape[1]] += code @ self.weights[index].T
        own = (self.main == index).nonzero()[:, 0]
        columns[:, own] += self.noise[own] * torch.special.ndtri(_hash(code, self.odd[own])).float()
        return Activation(columns[:, :, None, None])

    def image(self, activation: Activation) -> Tensor:
        uniform = torch.special.ndtr(activation.features[:, :, 0, 0].double()).clamp(0, 1 - 1e-9)
        factors = factors_of(uniform.numpy())
        if self.drawn:
            return render(factors, RESOLUTION, supersample=1).float() / 127.5 - 1
        images = torch.zeros(len(factors), 3 * RESOLUTION**2)
        images[:, : len(SEMANTICS)] = torch.from_numpy(labels(factors)) * 2 - 1
        return images.view(-1, 3, RESOLUTION, RESOLUTION)


def _hash(code: Tensor, odd: Tensor) -> Tensor:
    """Numbers in (0, 1) that look independent of each other and of the code, ``[N, D]`` → ``[N, F]``.

    They are of the bits of the code alone: multiplied and mixed as in SplitMix64 (Steele et al. 2014).
    """
    bits = code.contiguous().float().view(torch.int32).long()
    mixed = (bits[:, None] * odd).sum(-1)
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        mixed = (mixed ^ ((mixed >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return (((mixed ^ ((mixed >> 31) & ((1 << 33) - 1))) >> 12) & (2**52 - 1)).double().add_(0.5) / 2**52


class LabelReader(Predictor):
    """Reads the labels that a generator with ``drawn=False`` writes into its pictures: it never errs."""

    def __init__(self) -> None:
        super().__init__()
        self.semantics = SEMANTICS

    @property
    def score_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        return ((0.0, 1.0),) * len(SEMANTICS)

    def forward(self, images: Tensor) -> Tensor:
        return (images.flatten(1)[:, : len(SEMANTICS)] + 1) / 2


class PictureReader(LabelReader):
    """Reads labels from pictures of 12 × 12 pixels: ridge regression on pixels and random convolutions.

    It has learnt from renders with their labels, and errs: ``correlations`` says how much on others.
    """

    kernels: Tensor
    offsets: Tensor
    centre: Tensor
    weights: Tensor
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(READER_SEED)
        self.kernels = torch.nn.Parameter(
            0.2 * torch.randn(24, 3, 5, 5, generator=random), requires_grad=False
        )
        self.offsets = torch.nn.Parameter(0.3 * torch.randn(24, generator=random), requires_grad=False)
        rooms = sample_factors(READER_SEED, range(READER_ROOMS))
        truth = torch.from_numpy(labels(rooms)).double()
        features = self._features(_pictures(rooms)).double()
        train, test = slice(0, READER_ROOMS * 5 // 6), slice(READER_ROOMS * 5 // 6, None)
        centre, mean = features[train].mean(0), truth[train].mean(0)
        centred = features[train] - centre
        square = centred.T @ centred + 30 * torch.eye(centred.shape[1], dtype=torch.float64)
        solved = torch.linalg.solve(square, centred.T @ (truth[train] - mean))
        for name, value in (("centre", centre), ("weights", solved), ("mean", mean)):
            self.register_buffer(name, value.float())
        found = self.forward(_pictures(rooms[test])).double().numpy()
        self.correlations = {
            name: float(np.corrcoef(found[:, column], truth[test, column])[0, 1])
            for column, name in enumerate(NAMES)
        }

    def forward(self, images: Tensor) -> Tensor:
        return ((self._features(images) - self.centre) @ self.weights + self.mean).clamp(0, 1)

    def _features(self, images: Tensor) -> Tensor:
        seen = F.relu(F.conv2d(images, self.kernels, self.offsets, padding=2))
        return torch.cat([F.avg_pool2d(seen, 3).flatten(1), images.flatten(1)], dim=1)


@lru_cache(maxsize=1)
def picture_reader() -> PictureReader:
    """The reader of pictures, made once."""
    with torch.inference_mode(False):
        return PictureReader()


def _pictures(rooms: Factors) -> Tensor:
    return render(rooms, RESOLUTION, supersample=1).float() / 127.5 - 1
