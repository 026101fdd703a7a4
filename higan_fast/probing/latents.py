"""Latents that depend on (seed, index) alone, and their codes, whatever the batch size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.generators.base import Generator
from higan_fast.probing.checks import check_seed

# The mapping network always runs on 64 samples, [64k, 64k + 64): a matrix product of another
# size may sum in another order, and then w would differ in its last bits.
BLOCK = 64

# Streams of one seed. They share no numbers: boundaries that were fitted on samples of the first
# stream are verified on codes that they have not seen, even where both stages get the same seed.
SAMPLING, VERIFICATION, NULL, JITTER = range(4)


class Codes(NamedTuple):
    """Codes of N samples, on the generator's device and in its precision."""

    z: Tensor  # [N, latent_dim]
    w: Tensor  # [N, code_dim]
    codes: Tensor  # [N, num_layers, code_dim]


def latents(seed: int, start: int, stop: int, latent_dim: int, stream: int = SAMPLING) -> NDArray[np.float32]:
    """Latents of the samples ``start`` to ``stop - 1``, from N(0, I): float32 ``[stop - start, latent_dim]``.

    Sample *i* is a pure function of (seed, stream, i): Philox is keyed by seed and stream, and *i* is
    the second word of its counter, so that each sample has 2^64 blocks of random numbers of its own.

    Raises:
        ValueError: when the seed is no integer of 64 bits or the range runs backwards.
    """
    check_seed(seed)
    if not 0 <= start <= stop:
        raise ValueError(f"latents: got the range {start} to {stop}, expected 0 <= start <= stop")
    z = np.empty((stop - start, latent_dim), np.float32)
    key = np.array([seed, stream], np.uint64)
    for row, index in enumerate(range(start, stop)):
        philox = np.random.Philox(key=key, counter=np.array([0, index, 0, 0], np.uint64))
        np.random.Generator(philox).standard_normal(out=z[row], dtype=np.float32)
    return z


def make_codes(
    generator: Generator,
    seed: int,
    start: int,
    stop: int,
    truncation_psi: float = 1.0,
    truncation_layers: int | None = None,
    stream: int = SAMPLING,
) -> Codes:
    """Latents, ``w`` and layer codes of the samples ``start`` to ``stop - 1``.

    On one machine they are the same to the bit, whatever the range in which a sample is asked for.

    Raises:
        ValueError: when a code is not finite.
    """
    dtype = next(generator.parameters()).dtype
    blocks = []
    for first in range(start // BLOCK * BLOCK, stop, BLOCK):
        # A copy, because torch aligns its own memory, and alignment too may change the order of a sum.
        z = torch.tensor(
            latents(seed, first, first + BLOCK, generator.latent_dim, stream),
            dtype=dtype,
            device=generator.device,
        )
        w = generator.mapping(z)
        blocks.append(Codes(z, w, generator.layer_codes(w, truncation_psi, truncation_layers)))
    inside = slice(start % BLOCK, start % BLOCK + stop - start)
    z, w, codes = (torch.cat(parts)[inside] for parts in zip(*blocks, strict=True))
    broken = (~codes.isfinite()).flatten(1).any(dim=1).nonzero()
    if len(broken):
        raise ValueError(
            f"codes: the generator maps sample {start + int(broken[0])} to a code that is not finite; "
            "are its weights those of a trained network?"
        )
    return Codes(z, w, codes)
