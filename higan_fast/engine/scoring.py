"""Images → scores: the one place where a predictor is called, and where its images become what it takes."""

from __future__ import annotations

from torch import Tensor

from higan_fast.image_shapes import with_channels
from higan_fast.predictors.base import Predictor
from higan_fast.predictors.outputs import as_scores


def in_range(images: Tensor) -> Tensor:
    """Clips images to [-1, 1]: no picture shows what a generator draws beyond, and HiGAN scores pictures.

    A pixel outside gets no gradient.
    """
    return images.clamp(-1, 1)


def score(predictor: Predictor, images: Tensor) -> Tensor:
    """Images ``[N, C, H, W]``, clipped to [-1, 1], in the channels that it takes → scores ``[N, S]``.

    HiGAN also rounds them to the 256 levels of a PNG. That would leave no gradient to screen by, so a scorer
    that was trained with it rounds by itself: ``higan_fast.ops.image_to_input(..., round_to_uint8=True)``.

    Raises:
        ValueError: when the predictor gives anything else (see ``as_scores``), or takes images of another
            number of channels (see ``image_shapes.with_channels``).
    """
    return as_scores(predictor(with_channels(in_range(images), predictor.channels)), predictor.names, images)
