"""Generated images → the input of a scoring network: rounding, resizing and normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from higan_fast import _native
from higan_fast.ops.arrays import takes_arrays
from higan_fast.ops.implementation import Impl, use_native
from higan_fast.ops.layout import accumulator_dtype, empty_image
from higan_fast.ops.registration import register


@takes_arrays
def image_to_input(
    images: Tensor,
    size: int | None = None,
    *,
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    std: Sequence[float] = (1.0, 1.0, 1.0),
    round_to_uint8: bool = False,
    antialias: bool = True,
    impl: Impl = "auto",
) -> Tensor:
    """Images in [-1, 1] → ``(resize(images in [0, 1]) − mean) / std``, on their device.

    Args:
        images: ``[N, 3, H, W]``, nominally in [-1, 1]; values outside are clipped.
        size: height and width of the result; None: no resizing.
        mean, std: per channel, for images in [0, 1].
        round_to_uint8: round to the 256 levels of a PNG first, as HiGAN's re-scoring does.
        antialias: whether the bilinear filter widens when shrinking, as Pillow's does.
        impl: ``"auto"``, ``"reference"`` or ``"native"``.

    Returns:
        ``[N, 3, size, size]``, or ``[N, 3, H, W]`` without a size, in the dtype of ``images``.

    Raises:
        ValueError: if the images do not have 3 channels, or the implementation is unknown.
    """
    native = use_native("image_to_input", impl, images)
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images: got shape {tuple(images.shape)}, expected [N, 3, H, W]")
    height, width = images.shape[2:] if size is None else (size, size)
    return (_op if native else _reference)(
        images, height, width, list(mean), list(std), round_to_uint8, antialias
    )


def _reference(
    images: Tensor,
    height: int,
    width: int,
    mean: list[float],
    std: list[float],
    round_to_uint8: bool,
    antialias: bool,
) -> Tensor:
    x = (images.to(accumulator_dtype(images.dtype)).clamp(-1, 1) + 1) / 2
    if round_to_uint8:
        # Adds 0.5 and truncates, as HiGAN's postprocess does: halves round up, where round() rounds to even.
        x = (x * 255 + 0.5).floor().clamp(0, 255) / 255
    if x.shape[2:] != (height, width):
        x = F.interpolate(x, (height, width), mode="bilinear", antialias=antialias, align_corners=False)
    x = (x - x.new_tensor(mean)[:, None, None]) / x.new_tensor(std)[:, None, None]
    return x.to(images.dtype)


def _fake(images: Tensor, height: int, width: int, *_: object) -> Tensor:
    return empty_image((*images.shape[:2], height, width), like=images)


def _native_image_to_input(
    images: Tensor,
    height: int,
    width: int,
    mean: list[float],
    std: list[float],
    round_to_uint8: bool,
    antialias: bool,
) -> Tensor:
    out = _fake(images, height, width)
    _native.launch(
        "image_to_input", images.device, images, out, tuple(mean), tuple(std), round_to_uint8, antialias
    )
    return out


_op = register("image_to_input", _reference, _native_image_to_input, _fake)
