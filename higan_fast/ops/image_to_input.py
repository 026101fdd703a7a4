"""Generated images → the input of a scoring network: rounding, resizing and normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from higan_fast import _native
from higan_fast.ops.arrays import takes_arrays
from higan_fast.ops.implementation import Impl, use_native
from higan_fast.ops.layout import accumulator_dtype, empty_image
from higan_fast.ops.registration import register

MOST_CHANNELS = 4  # that a kernel takes at once


@takes_arrays
def image_to_input(
    images: Tensor,
    size: int | tuple[int, int] | None = None,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    round_to_uint8: bool = False,
    antialias: bool = True,
    impl: Impl = "auto",
) -> Tensor:
    """Images in [-1, 1] → ``(resize(images in [0, 1]) − mean) / std``, on their device.

    Args:
        images: ``[N, C, H, W]``, nominally in [-1, 1]; values outside are clipped.
        size: height and width of the result, one number for both or a pair; None: no resizing.
        mean, std: a number for each channel, for images in [0, 1]; None: 0 and 1.
        round_to_uint8: round to the 256 levels of a PNG first, as HiGAN's re-scoring does.
        antialias: whether the bilinear filter widens when shrinking, as Pillow's does.
        impl: ``"auto"``, ``"reference"`` or ``"native"``.

    Returns:
        ``[N, C, height, width]``, in the dtype of ``images``.

    Raises:
        ValueError: if the images have no channels, there are not as many of ``mean`` and ``std``, or the
            implementation is unknown.
    """
    native = use_native("image_to_input", impl, images)
    if images.ndim != 4 or images.shape[1] == 0:
        raise ValueError(f"images: got shape {tuple(images.shape)}, expected [N, C, H, W]")
    channels = images.shape[1]
    means, deviations = _of_each("mean", mean, 0.0, channels), _of_each("std", std, 1.0, channels)
    height, width = images.shape[2:] if size is None else (size, size) if isinstance(size, int) else size
    if not native or channels <= MOST_CHANNELS:
        run = _op if native else _reference
        result: Tensor = run(images, height, width, means, deviations, round_to_uint8, antialias)
        return result
    groups = [slice(first, first + MOST_CHANNELS) for first in range(0, channels, MOST_CHANNELS)]
    parts = [
        _op(images[:, own], height, width, means[own], deviations[own], round_to_uint8, antialias)
        for own in groups
    ]
    return torch.cat(parts, 1)


def _of_each(name: str, given: Sequence[float] | None, default: float, channels: int) -> list[float]:
    """A number for each channel."""
    numbers = [default] * channels if given is None else list(given)
    if len(numbers) != channels:
        raise ValueError(f"{name}: got {len(numbers)} numbers, expected one for each of {channels} channels")
    return numbers


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
    _native.launch("image_to_input", images.device, images, out, mean, std, round_to_uint8, antialias)
    return out


_op = register("image_to_input", _reference, _native_image_to_input, _fake)
