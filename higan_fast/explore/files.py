"""What the page can save: pictures, animations and codes, as bytes."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from higan_fast.explore.drawing import Picture
from higan_fast.explore.states import Animation, State
from higan_fast.pictures import check_animation_name, save_animation
from higan_fast.probing.layers import format_layers

LONGEST_NAME = 120  # of a file
SMALLEST, LARGEST = 256, 512  # pixels a side of an animation; small frames grow by a whole factor


def jpeg(picture: Picture) -> bytes:
    """A picture while something moves."""
    return _written(Image.fromarray(picture).convert("RGB"), format="jpeg", quality=90)


def png(picture: Picture, *, small: bool = False) -> bytes:
    """A picture pixel by pixel; ``small``: in more time."""
    return _written(Image.fromarray(picture), format="png", compress_level=6 if small else 1)


def animation(frames: Sequence[Picture], ending: str) -> bytes:
    """Pictures forth and back, as ".mp4" or ".gif"; small ones are enlarged.

    Raises:
        ValueError: when this format cannot be written here.
    """
    side = max(frames[0].shape[:2])
    factor = max(1, SMALLEST // side)
    enlarged = [frame.repeat(factor, axis=0).repeat(factor, axis=1) for frame in frames]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"animation{ending}"
        save_animation(path, [*enlarged, *enlarged[-2:0:-1]])
        return path.read_bytes()


def why_no_mp4() -> str | None:
    """Why no MP4 can be written here, and what to install; None: it can."""
    try:
        check_animation_name(Path("animation.mp4"))
    except ValueError as error:
        return str(error)
    return None


def codes_file(codes: Tensor, state: State) -> bytes:
    """An .npz with codes ``[1, L, D]`` as ``w``, and their state as JSON text."""
    content = io.BytesIO()
    text = np.array(state.model_dump_json())
    np.savez(content, allow_pickle=False, w=codes.float().numpy(), state=text)
    return content.getvalue()


def file_name(state: State, ending: str, animated: Animation | None = None) -> str:
    """Says the sample and its moves in letters that every file system takes."""
    parts = [f"sample={state.sample}"]
    parts += [f"{format_layers(mix.layers)}={mix.sample}" for mix in state.mix if mix.layers]
    if animated is not None:
        parts.append(f"{animated.semantic}={animated.start:g}..{animated.stop:g}")
    for move in state.moves:
        if move.step and move.layers and (animated is None or move.semantic != animated.semantic):
            layers = "all" if state.all_layers else format_layers(move.layers)
            parts.append(f"{move.semantic}={move.step:+g}@{layers}")
    name = re.sub(r"[^A-Za-z0-9=+.,@_-]", "-", "_".join(["explore", *parts]))
    return f"{name[:LONGEST_NAME]}{ending}"


def _written(image: Image.Image, **how: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, **how)
    return content.getvalue()
