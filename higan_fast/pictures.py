"""Grids of images, with and without labels, picture files and animations.

Pictures are RGB, whatever channels images have: ``image_shapes.as_rgb`` says how these are seen. Predictors
see the same, so that a picture shows what is scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from higan_fast.files import write_whole
from higan_fast.image_shapes import as_rgb

# Formats by the end of a file's name, and how each is written.
FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"format": "png"},
    ".jpg": {"format": "jpeg", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "jpeg", "quality": 95, "subsampling": 0},
    ".webp": {"format": "webp", "lossless": True},
}

# Those that can move: MP4 by PyAV, the others by Pillow.
ANIMATED = (".mp4", ".gif", ".webp")
FRAME_RATE = Fraction(25, 2)  # a second; GIF counts in hundredths of one

# Below this many pixels to a side, labels would be wider than what they label.
READABLE = 64
INK, FADED = (34, 34, 34), (118, 118, 118)


def to_uint8(images: Tensor) -> Tensor:
    """Images in [-1, 1] (values outside are clipped) → uint8, same shape."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def to_pixels(images: Tensor) -> Tensor:
    """Images ``[..., C, H, W]``, uint8 or in [-1, 1] → as they are seen, uint8 ``[..., 3, H, W]``."""
    if images.dtype != torch.uint8:
        return to_uint8(as_rgb(images))
    return images if images.shape[-3] == 3 else to_uint8(as_rgb(images.float() / 127.5 - 1))


def shrunk_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width of an image whose longer side is scaled down to ``side`` pixels, where it has more."""
    longer = max(height, width)
    if longer <= side:
        return height, width
    return max(1, round(height * side / longer)), max(1, round(width * side / longer))


def shrunk(images: Tensor, side: int) -> Tensor:
    """Images ``[..., C, H, W]`` in [-1, 1] → as seen, ``[..., 3, h, w]``, up to ``side`` pixels a side.

    Larger ones are scaled down, and keep their proportions. RGB may have any other range, uint8 among them.
    """
    height, width = images.shape[-2:]
    images, size = as_rgb(images), shrunk_size(height, width, side)
    if images.shape[-2:] == size:
        return images
    flat = images.reshape(-1, *images.shape[-3:]).float()
    small = F.interpolate(flat, size=size, mode="bilinear", antialias=True)
    return small.reshape(*images.shape[:-2], *size)


def image_grid(images: Tensor, padding: int = 2) -> NDArray[np.uint8]:
    """Images ``[rows, columns, C, H, W]``, uint8 or in [-1, 1] → one picture ``[height, width, 3]``.

    Args:
        images: the grid, of any number of channels.
        padding: white pixels between neighbours.
    """
    if images.ndim != 5 or images.shape[2] == 0:
        raise ValueError(f"images: got shape {tuple(images.shape)}, expected [rows, columns, C, H, W]")
    pixels = to_pixels(images)
    rows, columns, _, height, width = pixels.shape
    grid = np.full(
        (rows * (height + padding) - padding, columns * (width + padding) - padding, 3), 255, np.uint8
    )
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + padding), column * (width + padding)
            grid[top : top + height, left : left + width] = pixels[row, column].permute(1, 2, 0).cpu().numpy()
    return grid


def labelled_grid(
    images: Tensor, rows: Sequence[str], columns: Sequence[str], title: str = "", corner: str = ""
) -> NDArray[np.uint8]:
    """Returns a grid with labels on the left and on top: ``[height, width, 3]``.

    Pixels stay as they are; images of fewer than 64 to a side are enlarged by a whole factor.

    The labels are drawn with Pillow's own font, which knows ASCII and little more.

    Args:
        images: uint8 or in [-1, 1], ``[rows, columns, C, H, W]``.
        rows: a label for each row.
        columns: a label for each column.
        title: stands above the labels.
        corner: says what the labels of the columns are.
    """
    height, width = images.shape[-2:]
    factor = -(-READABLE // min(height, width))
    height, width = height * factor, width * factor
    size = min(max(12, height // 10), 40)
    font = ImageFont.load_default(size)
    gap, margin = max(2, size // 6), size
    grid = image_grid(images.repeat_interleave(factor, -2).repeat_interleave(factor, -1), gap)
    left = margin + round(max(font.getlength(text) for text in (*rows, corner))) + size // 2
    line = round(1.5 * size)
    top = margin + (line if title else 0) + line
    shape = (
        max(left + grid.shape[1], margin + round(font.getlength(title))) + margin,
        top + grid.shape[0] + margin,
    )
    picture = Image.new("RGB", shape, "white")
    picture.paste(Image.fromarray(grid), (left, top))
    draw = ImageDraw.Draw(picture)
    if title:
        draw.text((margin, margin), title, INK, font, anchor="lt")
    draw.text((left - size // 2, top - size // 2), corner, FADED, font, anchor="rs")
    for column, text in enumerate(columns):
        middle = left + column * (width + gap) + width / 2
        draw.text((middle, top - size // 2), text, INK, font, anchor="ms")
    for row, text in enumerate(rows):
        middle = top + row * (height + gap) + height / 2
        draw.text((left - size // 2, middle), text, INK, font, anchor="rm")
    return np.asarray(picture)


def check_picture_name(path: Path) -> None:
    """Raises ValueError when the name of a picture ends in no format that can be written."""
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"{path}: pictures end in {', '.join(FORMATS)}, and this one in {path.suffix or 'nothing'!r}"
        )


def save_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Writes a picture ``[height, width, 3]`` atomically, in the format that its name says.

    Raises:
        ValueError: when the name ends in no format that can be written.
    """
    check_picture_name(path)
    with write_whole(path) as file:
        Image.fromarray(picture).save(file, **FORMATS[path.suffix.lower()])


def check_animation_name(path: Path) -> None:
    """Raises ValueError when the name of an animation ends in no format that can be written here."""
    if path.suffix.lower() not in ANIMATED:
        raise ValueError(
            f"{path}: animations end in {', '.join(ANIMATED)}, and this one in {path.suffix or 'nothing'!r}"
        )
    if path.suffix.lower() == ".mp4":
        try:
            import av  # noqa: F401 (whether it is there)
        except ModuleNotFoundError:
            raise ValueError(
                f"{path}: MP4 is written by PyAV, which is not installed; pip install 'higan_fast[media]', "
                "or take a .gif or .webp"
            ) from None


def save_animation(path: Path, frames: Sequence[NDArray[np.uint8]]) -> None:
    """Writes pictures ``[height, width, 3]`` atomically as one animation, ``FRAME_RATE`` of them a second.

    Smaller ones get a white margin on the right and below. GIF and WebP start again at the end.

    Raises:
        ValueError: when there are no pictures, or the name ends in no format that can be written here.
    """
    check_animation_name(path)
    if not frames:
        raise ValueError("frames: got none, expected at least one")
    height, width = (max(frame.shape[axis] for frame in frames) for axis in range(2))
    size = (height + height % 2, width + width % 2)  # as H.264 wants them
    whole = []
    for frame in frames:
        margin = [(0, side - has) for side, has in zip(size, frame.shape, strict=False)]
        whole.append(np.pad(frame, [*margin, (0, 0)], constant_values=255))
    with write_whole(path) as file:
        if path.suffix.lower() == ".mp4":
            _write_mp4(file, whole)
            return
        first, *others = map(Image.fromarray, whole)
        settings: dict[str, Any] = {"append_images": others, "duration": int(1000 / FRAME_RATE), "loop": 0}
        how = {"format": "gif"} if path.suffix.lower() == ".gif" else {"format": "webp", "quality": 90}
        first.save(file, save_all=True, **settings, **how)


def _write_mp4(file: IO[bytes], frames: Sequence[NDArray[np.uint8]]) -> None:
    """H.264 where PyAV has it, and else MPEG-4: what every player reads, with colours at half the width."""
    import av

    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream(codec, rate=FRAME_RATE)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "18"} if codec == "libx264" else {"qscale": "2"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
