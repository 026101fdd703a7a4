"""How far a step along a boundary moves the code of every layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.boundaries.boundary import Space
from higan_fast.generators.base import Generator

Array = NDArray[np.float64]


@torch.no_grad()
def displacements(
    generator: Generator,
    space: Space,
    normals: Sequence[Array],
    step: float = 1.0,
    layers: Sequence[int] | None = None,
    truncation_psi: float = 1.0,
    truncation_layers: int | None = None,
) -> Tensor:
    """What a step along each normal adds to the layer codes: float64 ``[M, L, D]``.

    A step in "w" is taken before the truncation, which shortens it as it shortens what it truncates of ``w``,
    and every layer moves by what it reads of ``w``. A boundary that was fitted to the layer codes lives where
    they are truncated already.

    Args:
        space: "w" or "layers", in which the normals are.
        normals: M of one shape, of any length: ``[w_dim]`` in "w"; in "layers" ``[D]``, for all layers, or
            ``[L, D]``.
        layers: which move; the others get 0. None: all.
        truncation_psi: with which the codes were made.
        truncation_layers: with which the codes were made.
    """
    assert space != "z", "what a moved latent does to a code depends on the sample"
    steps = step * torch.as_tensor(np.stack(normals), dtype=torch.float64, device=generator.device)
    if space == "w":
        moves = generator.layer_moves(steps, truncation_psi, truncation_layers)
    else:
        moves = steps if steps.ndim == 3 else steps[:, None].repeat(1, generator.num_layers, 1)
    if layers is not None:
        still = [layer for layer in range(generator.num_layers) if layer not in layers]
        moves[:, still] = 0
    return moves
