"""eps696's stylegan2ada, whose generators start at any size, pickled by its own code."""

from __future__ import annotations

import types
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from torch.torch_version import TorchVersion

from benchmarks.parity.row import Row, importing
from benchmarks.parity.stylegan2_ada import ORIG, Setting, measured

# Height and width of the constant, and what distinguishes the network besides.
STARTS: tuple[tuple[list[int], Setting], ...] = (
    ([3, 5], ("skip, from 3×5", (24, 0, 20, 16), (88, 13), {"num_layers": 3}, {})),
    ([8, 4], ("orig, from 8×4", (32, 0, 32, 32), (512, 32), {}, ORIG)),
    ([4, 7], ("skip, from 4×7, its own widths", (512, 0, 512, 128), (8192, 512), {}, {})),
)


def rows(path: Path) -> Iterator[Row]:
    versions: Any = types.ModuleType("pkg_resources")
    versions.parse_version = TorchVersion
    with importing(path / "src", requests=types.ModuleType("requests"), pkg_resources=versions):
        networks: Any = import_module("training.networks")
        for start, setting in STARTS:
            yield from measured("stylegan2ada (eps696)", networks.Generator, False, [setting], init_res=start)
