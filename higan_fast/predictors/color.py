"""A predictor without weights: brightness, saturation and warmth, straight from the pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from higan_fast.predictors.base import Predictor, Semantic


class ColorPredictor(Predictor):
    """Images → mean luma (ITU-R BT.709), mean HSV saturation, and mean of red minus blue, halved around 0.5.

    All three lie in [0, 1]. They are differentiable, and the same for every resolution up to resampling.
    """

    semantics = (
        Semantic("brightness", "color"),
        Semantic("saturation", "color"),
        Semantic("warmth", "color"),
    )

    @property
    def score_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        return ((0.0, 1.0),) * self.num_semantics

    def forward(self, images: Tensor) -> Tensor:
        rgb = (images.clamp(-1, 1) + 1) / 2  # [N, 3, H, W]
        red, green, blue = rgb.unbind(1)
        high, low = rgb.amax(1), rgb.amin(1)
        brightness = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        saturation = (high - low) / high.clamp(min=1e-6)
        warmth = (red - blue + 1) / 2
        return torch.stack([brightness, saturation, warmth], dim=1).mean([2, 3])
