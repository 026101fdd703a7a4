"""Images → oriented edges: how strong, and which way they run."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from higan_fast.predictors.harmonics import harmonics

# Scharr's derivative: of all 3 × 3 filters the one whose direction is least in error (Scharr 2000, §9).
SMOOTH = (3 / 16, 10 / 16, 3 / 16)
FAINT = 0.01  # an edge that changes by this share of white per pixel counts half
NOISE = 0.0025  # below it the direction of an edge fades out, so that a flat image has a gradient: 0


class Edges:
    """The edges of N images, each at H·W pixels.

    The direction of an edge is one of a line, not of an arrow, so angles are doubled: an edge at the angle
    α, counterclockwise from the right, is ``(cos 2α, sin 2α)``. No step of it has a branch, so all of it
    can be differentiated.

    Attributes:
        strength: in [0, 1), ``[N, H, W]``; 0 where the image is flat, one half at ``FAINT``.
        cosine, sine: of the doubled angle, ``[N, H, W]``; shorter than 1 where an edge is weaker than noise.
    """

    def __init__(self, images: Tensor) -> None:
        """Finds the edges of ``[N, 3, H, W]`` in [0, 1], by the structure tensor of all channels."""
        right, up = _derivatives(images)
        tensor = torch.stack([(right * right).sum(1), (up * up).sum(1), (right * up).sum(1)], 1)
        right2, up2, both = F.avg_pool2d(tensor, 3, stride=1, padding=1, count_include_pad=False).unbind(
            1
        )  # [N, H, W]
        # The gradient's doubled angle; the edge is at a right angle to it, so both parts turn around.
        cosine, sine = up2 - right2, -2 * both
        square = (cosine * cosine + sine * sine + NOISE**4).sqrt()
        self.cosine, self.sine = cosine / square, sine / square
        energy = square - NOISE**2
        self.strength = energy / (energy + FAINT**2)

    def along(self, right: Tensor, up: Tensor, sharpness: int) -> Tensor:
        """How strongly edges run in the given directions, ``cos²`` of the angle to the power ``sharpness``.

        Args:
            right, up: the directions at each pixel, of any length but 0: ``[N, H, W]``, or what broadcasts.
        """
        cosine, sine = doubled(right, up)
        agreement = (1 + self.cosine * cosine + self.sine * sine) / 2
        return self.strength * agreement.clamp(min=0) ** sharpness

    def harmonics(self, num: int) -> Tensor:
        """Strength × (1, cos 2mα, sin 2mα for m = 1 … ``num``): ``[N, 1 + 2·num, H, W]``.

        Any density over directions can be read off these, as far as its Fourier series reaches.
        """
        cosines, sines = zip(*harmonics(self.strength, self.cosine, self.sine, num), strict=True)
        return torch.stack([self.strength, *cosines, *sines], dim=1)


def doubled(right: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """The cosine and sine of twice the angle of a direction, whatever its length; 0 where that is 0."""
    square = right * right + up * up + 1e-12
    return (right * right - up * up) / square, 2 * right * up / square


def _derivatives(images: Tensor) -> tuple[Tensor, Tensor]:
    """The derivatives to the right and upwards, per pixel, ``[N, 3, H, W]`` each."""
    x = F.pad(images, (1, 1, 1, 1), mode="replicate")
    side, middle, _ = SMOOTH
    right = (x[..., 2:] - x[..., :-2]) / 2
    right = side * (right[..., :-2, :] + right[..., 2:, :]) + middle * right[..., 1:-1, :]
    up = (x[..., :-2, :] - x[..., 2:, :]) / 2
    up = side * (up[..., :-2] + up[..., 2:]) + middle * up[..., 1:-1]
    return right, up
