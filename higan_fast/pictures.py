"""Grids of images, and PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from higan_fast.files import write_whole


def to_uint8(images: Tensor) -> Tensor:
    """Images in [-1, 1] (values outside are clipped) → uint8, same shape."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def image_grid(images: Tensor, padding: int = 2) -> NDArray[np.uint8]:
    """Images ``[rows, columns, 3, H, W]``, uint8 or in [-1, 1] → one picture ``[height, width, 3]``.

    Args:
        images: the grid.
        padding: white pixels between neighbours.
    """
    if images.ndim != 5 or images.shape[2] != 3:
        raise ValueError(f"images: got shape {tuple(images.shape)}, expected [rows, columns, 3, H, W]")
    pixels = images if images.dtype == torch.uint8 else to_uint8(images)
    rows, columns, _, height, width = pixels.shape
    grid = np.full(
        (rows * (height + padding) - padding, columns * (width + padding) - padding, 3), 255, np.uint8
    )
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + padding), column * (width + padding)
            grid[top : top + height, left : left + width] = pixels[row, column].permute(1, 2, 0).cpu().numpy()
    return grid


def save_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Writes a picture ``[height, width, 3]`` atomically as a PNG file."""
    with write_whole(path) as file:
        Image.fromarray(picture).save(file, format="png")
