"""StyleGAN2 generators of the stylegan3 repository, pickled by its own code."""

from __future__ import annotations

import types
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from torch.torch_version import TorchVersion

from benchmarks.parity.row import Row, importing
from benchmarks.parity.stylegan2_ada import measured


def rows(path: Path) -> Iterator[Row]:
    versions: Any = types.ModuleType("pkg_resources")
    versions.parse_version = TorchVersion
    with importing(path, requests=types.ModuleType("requests"), pkg_resources=versions):
        networks: Any = import_module("training.networks_stylegan2")
        yield from measured("stylegan3", networks.Generator, flat_synthesis=True)
