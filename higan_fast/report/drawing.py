"""Pictures on the page: grids of images as data URIs, small enough for the page to stay light."""

from __future__ import annotations

import base64
import io
import math
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from higan_fast.generators.base import Generator
from higan_fast.pictures import image_grid, shrunk, shrunk_size
from higan_fast.sampling.samples import Samples

NUM_ON_SHEET, SHEET_COLUMNS = 64, 8
SIDES = (96, 72, 48)  # pixels to a side of an image on the page
MOST_PIXELS = 12_000_000  # on all strips together: about 4 MB of the page
PIXELATED = 32  # up to this size browsers enlarge an image without smoothing
QUALITY = 85


@dataclass(frozen=True)
class Picture:
    """A grid of images as a data URI."""

    uri: str
    alt: str
    rows: int
    columns: int
    width: int
    height: int
    pixelated: bool


def picture(images: Tensor, alt: str, largest: int = SIDES[0]) -> Picture:
    """Returns images ``[rows, columns, C, H, W]`` in [-1, 1] as one picture.

    Args:
        images: the grid.
        alt: what it shows, for those who cannot see it.
        largest: larger images are scaled down, so that the longer side has so many pixels.
    """
    rows, columns = images.shape[:2]
    images = shrunk(images, largest)
    grid = image_grid(images, padding=0)
    pixelated = max(images.shape[-2:]) <= PIXELATED
    uri = _png(grid) if pixelated else _jpeg(grid)
    return Picture(uri, alt, rows, columns, grid.shape[1], grid.shape[0], pixelated)


def labelled(grid: NDArray[np.uint8], alt: str) -> Picture:
    """Returns a grid that has its labels already, ``[height, width, 3]``, as a picture."""
    return Picture(_jpeg(grid), alt, 1, 1, grid.shape[1], grid.shape[0], False)


def largest_side(num_images: int, image_shape: tuple[int, int, int]) -> int:
    """Returns the largest side at which so many images keep the page light."""
    _, height, width = image_shape
    for side in SIDES:
        if num_images * math.prod(shrunk_size(height, width, side)) <= MOST_PIXELS:
            return side
    return SIDES[-1]


def contact_sheet(generator: Generator, samples: Samples) -> list[Picture]:
    """Returns the first samples, four rows to a picture: small screens show one picture below the other."""
    codes = torch.as_tensor(samples.codes[:NUM_ON_SHEET]).to(next(generator.parameters()))
    with torch.inference_mode():
        images = torch.cat([generator.synthesize(batch) for batch in codes.split(16)])
    num = len(images)
    missing = -num % SHEET_COLUMNS
    images = torch.cat([images, images.new_ones(missing, *images.shape[1:])])
    rows = images.unflatten(0, (-1, SHEET_COLUMNS))
    sheets, first = [], 0
    for part in rows.split(4):
        last = min(first + part.shape[0] * SHEET_COLUMNS, num) - 1
        sheets.append(picture(part, f"Samples {first} to {last}, row by row"))
        first = last + 1
    return sheets


def _png(grid: NDArray[np.uint8]) -> str:
    """Small images without loss. Six bits to a channel are enough for the eye, and take a third less."""
    buffer = io.BytesIO()
    rounded = grid & 0xFC | 2
    Image.fromarray(rounded).save(buffer, format="PNG", compress_level=9, compress_type=zlib.Z_FILTERED)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _jpeg(grid: NDArray[np.uint8]) -> str:
    """Larger images at a quarter of a PNG's size; colours at full resolution, since steps change them."""
    buffer = io.BytesIO()
    Image.fromarray(grid).save(buffer, format="JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
