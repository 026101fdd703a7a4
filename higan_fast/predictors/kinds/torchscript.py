"""``FILE.ts`` or ``FILE.pt``: a TorchScript network."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from higan_fast.files import first_line
from higan_fast.opening import opened, sha256
from higan_fast.predictors.kind import Kind, always
from higan_fast.predictors.network import OPTIONS, NetworkPredictor
from higan_fast.refusing import refusing
from higan_fast.wording import in_words


class ScriptedNetwork(torch.nn.Module):
    """A TorchScript network, known by the content of its file.

    Two copies that were loaded in one process differ in how their classes are called, and in nothing else.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.identity = f"torchscript {sha256(path)}"
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of the format itself
            network = torch.jit.load(path, map_location="cpu")
        self.network = network.eval()
        for parameter in network.parameters():
            parameter.requires_grad_(False)

    def forward(self, images: torch.Tensor) -> Any:
        return self.network(images)


def read(argument: str, options: Mapping[str, Any]) -> NetworkPredictor:
    """The network in a file.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it holds weights without a network, or is damaged.
    """
    path = Path(argument)
    _check_is_script(path)
    with refusing(path):
        network = ScriptedNetwork(path)
    others = dict(options)
    return NetworkPredictor(network, others.pop("names", None), str(path), **others)


def _check_is_script(path: Path) -> None:
    """Raises ValueError, which says what to do, where a file is of another of torch's formats."""
    names, damaged = _entries(path)
    if damaged is not None:
        raise ValueError(f"{path}: is damaged; the checksum of {in_words(damaged)} in it differs")
    inside = [name.partition("/")[2] for name in names]
    if any(name.startswith("code/") for name in inside) and "constants.pkl" in inside:
        return
    what = "no TorchScript"
    if "data.pkl" in inside or not names:
        what = "a pickle: weights without their network, or objects of somebody's code"
    elif any("exported_program" in name for name in inside) or "archive_format" in inside:
        what = "a program of torch.export"
    raise ValueError(
        f"{path}: is {what}; save the network with torch.jit.script(network).save('network.ts') or "
        "torch.onnx.export, or write a Python file that builds and loads it, and give FILE.py:FUNCTION"
    )


def _entries(path: Path) -> tuple[list[str], str | None]:
    """The names in a zip file, and the first that is damaged, which torch does not look for."""
    with opened(path) as file:
        try:
            if not zipfile.is_zipfile(file):
                return [], None
            entries = zipfile.ZipFile(file)
            return entries.namelist(), entries.testzip()
        except Exception as error:  # zipfile and zlib raise all kinds of them
            raise ValueError(f"{path}: is damaged ({first_line(error)})") from error


KIND = Kind(
    name="torchscript",
    example="network.ts --names wood,lighting --input-size 224 --activation sigmoid",
    help="a TorchScript network; torch.jit.load is no sandbox, so trust the file",
    read=read,
    suffixes=(".ts", ".pt", ".pth"),
    options=OPTIONS,
    runs_code=always,
)
