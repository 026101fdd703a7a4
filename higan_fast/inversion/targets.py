"""Pictures of somebody's, as images that a generator can be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from higan_fast.engine.budget import is_out_of_memory
from higan_fast.generators.base import Generator
from higan_fast.image_shapes import channels_in_words
from higan_fast.opening import check_file, is_folder, opened
from higan_fast.wording import in_words, printable

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")  # Pillow runs other programs for some others
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # of Pillow, by channels of the generator's images
OPAQUE = (1, 3)  # channels of those that have no alpha
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
        inside = sorted(file for file in path.iterdir() if is_picture(file.name))
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


def is_picture(name: str) -> bool:
    """Whether a file is called as a picture is; hidden ones ("._a.png") are notes of an operating system."""
    return name.lower().endswith(ENDINGS) and not name.startswith(".")


def read_pictures(paths: Sequence[Path], image_shape: tuple[int, int, int], crop: bool = False) -> Tensor:
    """Reads pictures as images of ``image_shape`` (channels, height, width): ``[N, C, H, W]`` in [-1, 1].

    For a generator of gray images they become gray, and a gray one becomes RGB for one of RGB. Where it draws
    alpha, a picture keeps its own, and one without is opaque.

    Args:
        paths: files, one for each picture.
        image_shape: of the generator.
        crop: take the middle of a picture of another size, in the generator's proportions, and scale it;
            lay it over white where it has alpha and the generator has none.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when one is no picture, several in one file, or of another size; when it has alpha and the
            generator none; or when no picture has as many channels as the generator.
    """
    if image_shape[0] not in MODES:
        raise ValueError(
            f"pictures: the generator's images have {channels_in_words(image_shape[0])}, and a picture has "
            "four at most; give arrays from Python (hf.invert)"
        )
    return torch.stack([_read(path, image_shape, crop) for path in paths])


def _read(path: Path, image_shape: tuple[int, int, int], crop: bool) -> Tensor:
    channels, height, width = image_shape
    check_file(path)
    with opened(path) as file:
        try:
            with Image.open(file, formats=FORMATS) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise ValueError(
                        f"{path}: has {picture.width} by {picture.height} pixels, not {width} by {height}"
                    )
                num = getattr(picture, "n_frames", 1)
                if num > 1 and picture.format != "MPO":  # a JPEG with a preview in it, as cameras write
                    raise ValueError(
                        f"{path}: has {num} pictures in it (an animation, or pages), expected one; save the "
                        "one that is meant as PNG"
                    )
                found = ImageOps.exif_transpose(picture)
                found.load()
        except ValueError as error:
            if str(error).startswith(str(path)):
                raise
            raise ValueError(f"{path}: is no picture that can be read ({printable(str(error))})") from None
        except (OSError, SyntaxError, Image.DecompressionBombError, EOFError) as error:
            raise ValueError(f"{path}: is no picture that can be read ({_reason(error)})") from None
    found = _in_channels(path, found, channels, crop)
    if crop:
        found = ImageOps.fit(found, (width, height), Image.Resampling.LANCZOS)
    if found.size != (width, height):
        raise ValueError(
            f"{path}: has {found.width} by {found.height} pixels, and the generator draws {width} by "
            f"{height}; --crop takes its middle, scaled"
        )
    pixels = torch.from_numpy(np.array(found)).view(height, width, channels)
    return pixels.permute(2, 0, 1).float() / 127.5 - 1


def _in_channels(path: Path, picture: Image.Image, channels: int, crop: bool) -> Image.Image:
    """The picture in the generator's channels."""
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray(np.rint(np.asarray(picture) / 257).astype(np.uint8))
    if picture.mode[0] in "IF":  # Pillow would clip these to 255
        raise ValueError(f"{path}: has numbers of 32 bits, expected 8 or 16; save it with 8")
    has_alpha = picture.has_transparency_data and channels in OPAQUE
    if has_alpha and not crop:
        raise ValueError(
            f"{path}: has alpha, and the generator's images have {channels_in_words(channels)}; --crop lays "
            "it over white"
        )
    picture = picture.convert("RGBA")
    if has_alpha:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert(MODES[channels])


def _reason(error: Exception) -> str:
    return (
        f"expected one of these formats: {', '.join(FORMATS)}; save it as PNG"
        if isinstance(error, UnidentifiedImageError)
        else printable(str(error))
    )


def as_images(images: Any, generator: Generator) -> Tensor:
    """Images in memory → ``[N, C, H, W]`` in [-1, 1] on the generator's device, in its precision.

    Args:
        images: uint8, or floating-point in [-1, 1], as a torch, NumPy or CuPy array ``[N, *image_shape]``.
        generator: whose ``image_shape`` they must have.

    Raises:
        ValueError: when they are no such array.
    """
    try:
        tensor = torch.as_tensor(images).to(generator.device)
    except (TypeError, ValueError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise ValueError(
            f"images: got {in_words(images)}, expected an array [N, C, H, W]; read_pictures reads files"
        ) from error
    size = tuple(generator.image_shape)
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
