"""Generated images → what a scoring network reads: rounding, resize and normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from higan_fast.ops.implementation import Impl, check_impl


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
        size: height and width of the result; None: as they are.
        mean, std: per channel, for images in [0, 1].
        round_to_uint8: round to the 256 levels of a PNG first, as HiGAN's re-scoring does.
        antialias: bilinear with a support that grows when shrinking (as Pillow resizes), or plain bilinear.
        impl: ``"auto"`` or ``"reference"``.

    Returns:
        ``[N, 3, size, size]`` in the dtype of ``images``.
    """
    check_impl(impl)
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images: got shape {tuple(images.shape)}, expected [N, 3, H, W]")
    x = (images.clamp(-1, 1) + 1) / 2
    if round_to_uint8:
        # +0.5 and truncation, as in HiGAN's postprocess: half goes up, where round() would go to even.
        x = (x * 255 + 0.5).floor().clamp(0, 255) / 255
    if size is not None and x.shape[-2:] != (size, size):
        x = F.interpolate(x, (size, size), mode="bilinear", antialias=antialias, align_corners=False)
    return (x - x.new_tensor(mean)[:, None, None]) / x.new_tensor(std)[:, None, None]
