"""Images of any number of channels and any size: how they are seen in color, and how a line says their shape.

One channel is gray, two are gray and alpha, three RGB, four RGBA. Whoever shows or scores an image that has
alpha sees it over white; alpha is in [-1, 1] as colors are, with -1 for what cannot be seen.
"""

from __future__ import annotations

from torch import Tensor

NAMES = {1: "gray", 2: "gray with alpha", 3: "RGB", 4: "RGBA"}


def as_rgb(images: Tensor) -> Tensor:
    """Images ``[..., C, H, W]`` in [-1, 1] → how they look, ``[..., 3, H, W]``; RGB ones as they are.

    Gray becomes three equal channels, and what has alpha is laid over white. Of more than four channels the
    first three are taken. Values are clipped to [-1, 1] where there is alpha.
    """
    channels = images.shape[-3]
    if channels == 3:
        return images
    if channels in (2, 4):
        color, alpha = images.clamp(-1, 1).split([channels - 1, 1], dim=-3)
        share = (alpha + 1) / 2
        images = color * share + (1 - share)
    if images.shape[-3] == 1:
        return images.expand(*images.shape[:-3], 3, *images.shape[-2:])
    return images[..., :3, :, :]


def with_channels(images: Tensor, channels: int | None, who: str = "the predictor") -> Tensor:
    """Images ``[N, C, H, W]`` in [-1, 1] → ``[N, channels, H, W]``, as ``who`` takes them.

    Args:
        images: of a generator.
        channels: None: any, so that they stay as they are. 3: as ``as_rgb`` makes them, of up to four.
        who: what a message calls it.

    Raises:
        ValueError: when it takes another number of channels, and there is no one way to make them.
    """
    given = images.shape[1]
    if channels is None or given == channels:
        return images
    if channels == 3 and given in NAMES:
        return as_rgb(images)
    raise ValueError(
        f"images: got {channels_in_words(given)}, and {who} takes {channels_in_words(channels)}; choose "
        "channels of the generator (--bands 0,1,2, load_generator(..., bands=(0, 1, 2))), or give a "
        f"predictor that takes {given} (--channels {given}, load_predictor(..., channels={given}))"
    )


def channels_in_words(channels: int) -> str:
    """``"1 channel (gray)"``, ``"4 channels (RGBA)"``, ``"7 channels"``."""
    number = f"{channels} channel{'s' * (channels != 1)}"
    return f"{number} ({NAMES[channels]})" if channels in NAMES else number


def size_in_words(height: int, width: int) -> str:
    """``"64²"``, or ``"1024×512"``, the height first."""
    return f"{height}²" if height == width else f"{height}×{width}"


def shape_in_words(shape: tuple[int, int, int]) -> str:
    """``"64²"`` for RGB, and else such as ``"64² gray"``, ``"1024×512 RGBA"`` or ``"64² of 7 channels"``."""
    channels, height, width = shape
    size = size_in_words(height, width)
    if channels == 3:
        return size
    return f"{size} {NAMES[channels]}" if channels in NAMES else f"{size} of {channels} channels"
