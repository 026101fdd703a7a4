"""Boundaries in w along given or random directions, without fitting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.generators.base import Generator
from higan_fast.probing import Boundary


def boundaries_along(names: Sequence[str], normals: NDArray[Any]) -> dict[str, Boundary]:
    """Returns a boundary along each of the normals ``[len(names), w_dim]``, scaled to length 1."""
    units = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return {name: Boundary(name, "attribute", "w", unit) for name, unit in zip(names, units, strict=True)}


def random_boundaries(generator: Generator, names: Sequence[str], seed: int = 0) -> dict[str, Boundary]:
    """Returns a boundary per name, in directions drawn uniformly from the sphere."""
    normals = np.random.default_rng(seed).normal(size=(len(names), generator.w_dim))
    return boundaries_along(names, normals)
