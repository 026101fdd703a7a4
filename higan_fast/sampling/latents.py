"""Latents and classes that depend on (seed, index) alone, and their codes, whatever the batch size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.checks import check_label, check_seed
from higan_fast.generators.base import Generator

# The mapping network always runs on 64 samples, [64k, 64k + 64): a matrix product of another
# size may sum in another order, and then w would differ in its last bits.
BLOCK = 64

# Streams of one seed. They share no numbers: boundaries that were fitted on samples of the first
# stream are verified on codes that they have not seen, even where both stages get the same seed.
SAMPLING, VERIFICATION, NULL, JITTER, ATTRIBUTION, REPLACEMENT, GRADIENT, CHOICE = range(8)
COMPARISON, DOSE, NULL_COVARIANCE, EXPERIMENT, INVERSION, INVERSION_NOISE = range(8, 14)

# What is drawn for a sample: nothing in common either.
_LATENT, _LABEL = range(2)


class Codes(NamedTuple):
    """Codes of N samples, on the generator's device and in its precision."""

    z: Tensor  # [N, latent_dim]
    w: Tensor  # [N, W]; W is the generator's w_dim
    codes: Tensor  # [N, num_layers, code_dim]
    label: Tensor | None = None  # classes, int64 [N]; None: the generator is unconditional

    def taken(self, rows: Tensor) -> Codes:
        """Those of some of the samples."""
        z, w, codes = (part[rows] for part in self[:3])
        return Codes(z, w, codes, None if self.label is None else self.label[rows])

    @classmethod
    def joined(cls, parts: Sequence[Codes]) -> Codes:
        """Those of several sets of samples, one after the other."""
        z, w, codes = (torch.cat(part) for part in zip(*(part[:3] for part in parts), strict=True))
        labels = [part.label for part in parts if part.label is not None]
        return cls(z, w, codes, torch.cat(labels) if labels else None)


def latents(seed: int, start: int, stop: int, latent_dim: int, stream: int = SAMPLING) -> NDArray[np.float32]:
    """Latents of the samples ``start`` to ``stop - 1``, from N(0, I): float32 ``[stop - start, latent_dim]``.

    Sample *i* is a pure function of (seed, stream, i): Philox is keyed by seed and stream, and *i* is
    the second word of its counter, so that each sample has 2^64 blocks of random numbers of its own.

    Raises:
        ValueError: when the seed is no integer of 64 bits or the range runs backwards.
    """
    _check_range(seed, start, stop)
    z = np.empty((stop - start, latent_dim), np.float32)
    for row, philox in enumerate(_philox_of_each(seed, stream, start, stop, _LATENT)):
        np.random.Generator(philox).standard_normal(out=z[row], dtype=np.float32)
    return z


def labels(seed: int, start: int, stop: int, num_classes: int, stream: int = SAMPLING) -> NDArray[np.int64]:
    """Classes of the samples ``start`` to ``stop - 1``, all equally likely: int64 ``[stop - start]``.

    As with ``latents``, that of sample *i* is a pure function of (seed, stream, i); and unrelated to its
    latent, for the third word of the counter differs.

    Raises:
        ValueError: as ``latents``.
    """
    _check_range(seed, start, stop)
    drawn = (int(philox.random_raw()) for philox in _philox_of_each(seed, stream, start, stop, _LABEL))
    # [0, 2^64) → [0, num_classes)
    return np.array([number * num_classes >> 64 for number in drawn], np.int64)


def make_codes(
    generator: Generator,
    seed: int,
    start: int,
    stop: int,
    truncation_psi: float = 1.0,
    truncation_layers: int | None = None,
    stream: int = SAMPLING,
    label: int | None = None,
    classes_of: int | None = None,
) -> Codes:
    """Latents, ``w`` and layer codes of the samples ``start`` to ``stop - 1``.

    On one machine they are the same to the bit, whatever the range in which a sample is asked for.

    Args:
        label: the class of all samples of a conditional generator; None: each has one of its own.
        classes_of: the stream whose samples have these classes; None: this one.

    Raises:
        ValueError: when a code is not finite, or the generator has no such class.
    """
    check_label(label, generator.label_dim)
    parameter = next(generator.parameters())
    blocks = []
    for first in range(start // BLOCK * BLOCK, stop, BLOCK):
        # A copy, because torch aligns its own memory, and alignment too may change the order of a sum.
        z = torch.tensor(latents(seed, first, first + BLOCK, generator.latent_dim, stream)).to(parameter)
        classes = _classes(generator, label, seed, first, stream if classes_of is None else classes_of)
        w = generator.mapping(z, classes)
        blocks.append(Codes(z, w, generator.layer_codes(w, truncation_psi, truncation_layers), classes))
    inside = slice(start % BLOCK, start % BLOCK + stop - start)
    whole = Codes.joined(blocks)
    z, w, codes = (part[inside] for part in whole[:3])
    broken = (~codes.isfinite()).flatten(1).any(dim=1).nonzero()
    if len(broken):
        raise ValueError(
            f"codes: the generator maps sample {start + int(broken[0])} to a code that is not finite; "
            "are its weights those of a trained network?"
        )
    return Codes(z, w, codes, None if whole.label is None else whole.label[inside])


def codes_of(
    generator: Generator,
    seed: int,
    indices: Sequence[int],
    truncation_psi: float = 1.0,
    truncation_layers: int | None = None,
    stream: int = SAMPLING,
    label: int | None = None,
) -> Codes:
    """As ``make_codes``, but of chosen samples, in their order."""
    members: dict[int, list[int]] = {}
    for place, index in enumerate(indices):
        members.setdefault(index // BLOCK, []).append(place)
    parts = []
    for places in members.values():
        inside = [indices[place] for place in places]
        first, stop = min(inside), max(inside) + 1
        drawn = make_codes(generator, seed, first, stop, truncation_psi, truncation_layers, stream, label)
        rows = torch.tensor([index - first for index in inside], device=drawn.codes.device)
        parts.append(drawn.taken(rows))
    order = torch.tensor([place for places in members.values() for place in places]).argsort()
    return Codes.joined(parts).taken(order.to(parts[0].codes.device))


def labelled_latents(generator: Generator, codes: Codes) -> Tensor:
    """What steps in z start from: latents, each with its class behind, ``[N, latent_dim + label_dim]``."""
    return torch.cat([codes.z, generator.one_hot(codes.label, codes.z)], dim=1)


def labelled_moves(generator: Generator, normals: Sequence[NDArray[np.float64]]) -> Tensor:
    """What steps in z add to ``labelled_latents``: float64 ``[M, latent_dim + label_dim]``. Classes stay."""
    moves = torch.as_tensor(np.stack(normals), device=generator.device)
    return F.pad(moves, (0, generator.label_dim))


def map_labelled_latents(
    generator: Generator,
    labelled: Tensor,
    truncation_psi: float = 1.0,
    truncation_layers: int | None = None,
) -> Tensor:
    """``labelled_latents``, moved or not → layer codes ``[N, num_layers, code_dim]``."""
    z, one_hot = labelled[:, : generator.latent_dim], labelled[:, generator.latent_dim :]
    return generator.map(z, one_hot if generator.label_dim else None, truncation_psi, truncation_layers)


def _check_range(seed: int, start: int, stop: int) -> None:
    check_seed(seed)
    if not 0 <= start <= stop:
        raise ValueError(f"latents: got the range {start} to {stop}, expected 0 <= start <= stop")


def _philox_of_each(seed: int, stream: int, start: int, stop: int, what: int) -> Iterator[np.random.Philox]:
    """Yields the random numbers for one thing that is drawn, of each sample, until the next is asked for.

    It is one object, set anew for every sample: to make one takes longer than to draw a latent from it.
    """
    philox = np.random.Philox(key=np.array([seed, stream], np.uint64))
    fresh = philox.state  # nothing was drawn
    for index in range(start, stop):
        fresh["state"]["counter"][:] = 0, index, what, 0
        philox.state = fresh
        yield philox


def _classes(generator: Generator, label: int | None, seed: int, first: int, stream: int) -> Tensor | None:
    """Of the samples of one block, ``[BLOCK]``."""
    if generator.label_dim == 0:
        return None
    if label is not None:
        return torch.full((BLOCK,), label, device=generator.device)
    return torch.tensor(labels(seed, first, first + BLOCK, generator.label_dim, stream)).to(generator.device)
