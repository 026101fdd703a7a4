"""sRGB → CIELAB, differentiable everywhere."""

from __future__ import annotations

import torch
from torch import Tensor

# IEC 61966-2-1: linear sRGB → CIE XYZ, each row divided by that of the white point D65, which is their sum.
TO_XYZ = (
    (0.4124, 0.3576, 0.1805),
    (0.2126, 0.7152, 0.0722),
    (0.0193, 0.1192, 0.9505),
)
TOE = 6 / 29  # CIE 15: below its cube the cube root goes over into a line


def linear(rgb: Tensor) -> Tensor:
    """Returns the light, in [0, 1], of sRGB in [0, 1] (IEC 61966-2-1)."""
    return torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: Tensor) -> Tensor:
    """Returns L* in [0, 100], a* and b* (CIE 15, under D65) of sRGB in [0, 1], both ``[N, 3, …]``.

    Grays have a* and b* 0 without a rounding error, by which scores of color would vary: each share is green
    and what red and blue differ from it.
    """
    red, green, blue = linear(rgb).unbind(1)
    from_red, from_blue = red - green, blue - green
    x, y, z = (_root(green + (a * from_red + c * from_blue) / (a + b + c)) for a, b, c in TO_XYZ)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def _root(share: Tensor) -> Tensor:
    """The cube root, with a line where that is too steep; both branches have finite gradients."""
    return torch.where(share > TOE**3, share.clamp(min=TOE**3) ** (1 / 3), share / (3 * TOE**2) + 4 / 29)
