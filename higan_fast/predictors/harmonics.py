"""Densities of angles, by their Fourier series: smooth, without bins that a value could jump between."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor


def harmonics(weight: Tensor, cosine: Tensor, sine: Tensor, num: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields weight · (cos mα, sin mα) for m = 1 … ``num``, from cos α and sin α, all of one shape.

    Where (cosine, sine) is shorter than 1, as of an angle that is hardly known, higher harmonics fade.
    """
    real, imaginary = weight * cosine, weight * sine
    yield real, imaginary
    for _ in range(num - 1):
        real, imaginary = real * cosine - imaginary * sine, real * sine + imaginary * cosine
        yield real, imaginary
