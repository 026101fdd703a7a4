"""Pictures of somebody's, as images that a generator can be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from higan_fast.generators.base import Generator
from higan_fast.opening import check_file, is_folder, opened
from higan_fast.wording import in_words, printable

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
MOST_PIXELS = 2**28  # of a picture; a small file can claim any number


def picture_files(paths: Sequence[Path]) -> list[Path]:
    """The files themselves, and those of each folder that end as pictures do, by name.

    Raises:
        ValueError: when a folder has none, or two files have the same name, which tells them apart later.
    """
    found: list[Path] = []
    for path in paths:
        if not is_folder(path):
            found.append(path)
            continue
        inside = sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS)
        if not inside:
            raise ValueError(f"{path}: has no picture in it, expected files that end in {', '.join(ENDINGS)}")
        found += inside
    names = [path.name for path in found]
    twice = next((path for path in found if names.count(path.name) > 1), None)
    if twice is not None:
        raise ValueError(
            f"{twice}: another picture has the name {printable(twice.name)} too; rename one of them"
        )
    return found


def read_pictures(paths: Sequence[Path], resolution: int, crop: bool = False) -> Tensor:
    """Reads RGB pictures of ``resolution``² pixels: ``[N, 3, R, R]`` in [-1, 1].

    Args:
        crop: take the middle square of a picture of another size, scale it, and make it RGB.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when one is no picture, or of another size or other channels.
    """
    return torch.stack([_read(path, resolution, crop) for path in paths])


def _read(path: Path, resolution: int, crop: bool) -> Tensor:
    check_file(path)
    with opened(path) as file:
        try:
            with Image.open(file) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise ValueError(
                        f"{path}: has {picture.width} by {picture.height} pixels, expected {resolution}²"
                    )
                found = ImageOps.exif_transpose(picture)
                found.load()
        except ValueError as error:
            if str(error).startswith(str(path)):
                raise
            raise ValueError(f"{path}: is no picture that can be read ({printable(str(error))})") from None
        except (OSError, SyntaxError, Image.DecompressionBombError, EOFError) as error:
            raise ValueError(f"{path}: is no picture that can be read ({_reason(error)})") from None
    if crop:
        found = ImageOps.fit(found.convert("RGB"), (resolution, resolution), Image.Resampling.LANCZOS)
    remedy = "; --crop takes its middle square, scaled, in RGB"
    if found.mode != "RGB":
        what = {"L": "one channel (grey)", "RGBA": "four channels (RGBA)", "P": "a palette"}
        got = what.get(found.mode, f"the channels {printable(found.mode)}")
        raise ValueError(f"{path}: has {got}, expected three, RGB{remedy}")
    if found.size != (resolution, resolution):
        raise ValueError(
            f"{path}: has {found.width} by {found.height} pixels, and the generator draws {resolution} by "
            f"{resolution}{remedy}"
        )
    return torch.from_numpy(np.array(found)).permute(2, 0, 1).float() / 127.5 - 1


def _reason(error: Exception) -> str:
    return (
        "it is of no format that is known"
        if isinstance(error, UnidentifiedImageError)
        else printable(str(error))
    )


def as_images(images: Any, generator: Generator) -> Tensor:
    """Images in memory → ``[N, 3, R, R]`` in [-1, 1] on the generator's device, in its precision.

    Args:
        images: uint8, or floating-point in [-1, 1], as a torch, NumPy or CuPy array ``[N, 3, R, R]``.

    Raises:
        ValueError: when they are no such array.
    """
    tensor = torch.as_tensor(images).to(generator.device)
    size = (3, generator.resolution, generator.resolution)
    if tensor.ndim != 4 or tensor.shape[1:] != size or not len(tensor):
        raise ValueError(f"images: got shape {list(tensor.shape)}, expected [N, {', '.join(map(str, size))}]")
    like = next(generator.parameters()).dtype
    if tensor.dtype == torch.uint8:
        return tensor.to(like) / 127.5 - 1
    if not tensor.is_floating_point():
        raise ValueError(f"images: got {in_words(str(tensor.dtype))}, expected uint8, or numbers in [-1, 1]")
    if not bool(((tensor >= -1) & (tensor <= 1)).all()):
        raise ValueError("images: got values outside of [-1, 1]; uint8 images may have 0 to 255")
    return tensor.to(like)
