"""StyleGAN-Human's generators of images twice as high as wide, pickled by its own code."""

from __future__ import annotations

import types
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.parity.row import Row, importing
from benchmarks.parity.stylegan2_ada import RESNET, Setting, measured

SETTINGS: tuple[Setting, ...] = (
    ("skip", (24, 0, 20, 16), (88, 13), {"num_layers": 3}, {}),
    ("resnet, clamped at 0.5", (16, 0, 16, 32), (512, 32), {}, RESNET | {"conv_clamp": 0.5}),
    ("skip, its own widths", (512, 0, 512, 256), (16384, 512), {}, {}),
)


def rows(path: Path) -> Iterator[Row]:
    folders = path / "training_scripts" / "sg2", path  # its training and its torch_utils
    with importing(*folders, requests=types.ModuleType("requests")):
        networks: Any = import_module("training.networks")
        yield from measured("StyleGAN-Human", networks.Generator, False, SETTINGS, square=False)
