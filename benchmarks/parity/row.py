"""One measurement of the table in docs/parity.md, and helpers shared by all peers."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

CODES, IMAGE = 1e-5, 1e-4  # tolerances, for float32 on the CPU
IMAGE_RANGE = 2.0  # from -1 to 1
TRUNCATIONS: tuple[tuple[float, int | None], ...] = ((1.0, None), (0.7, None), (0.7, 3))


@dataclass(frozen=True)
class Row:
    """The difference between our generator and a public implementation.

    Attributes:
        peer: the public repository.
        format: format of the file that it wrote and ours read.
        family: family of the generator.
        size: height and width of the images, one number where they are the same.
        setting: what distinguishes the network: architecture, channels, truncation.
        codes: largest difference of a mapped code (codes are of order 1).
        image: largest difference of a pixel, as a share of the image range, 2.
    """

    peer: str
    format: str
    family: str
    size: int | tuple[int, int]
    setting: str
    codes: float
    image: float

    @property
    def good(self) -> bool:
        return self.codes <= CODES and self.image <= IMAGE


def codes_difference(ours: Tensor, theirs: Tensor) -> float:
    """Returns the difference of mapped codes, for ``Row.codes``."""
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return (ours - theirs).abs().max().item()


def image_difference(ours: Tensor, theirs: Tensor) -> float:
    """Returns the difference of images in about [-1, 1], for ``Row.image``."""
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return (ours - theirs).abs().max().item() / IMAGE_RANGE


def describe_truncation(psi: float, layers: int | None) -> str:
    """Describes a truncation, for ``Row.setting``."""
    return f"ψ = {psi:g}" + (f" on {layers} layers" if layers is not None else "")


@torch.no_grad()
def randomize(network: nn.Module, seed: int = 0) -> None:
    """Randomises the biases, noise strengths and averages of a peer's network.

    A new network has biases and noise of 0, or styles of 1, which would hide errors in reading them.
    """
    random = torch.Generator().manual_seed(seed)
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        last = name.rsplit(".", 1)[-1]
        if last in ("bias", "noise_strength", "w_avg") or (last == "weight" and tensor.shape == (1,)):
            tensor.add_(0.3 * torch.randn(tensor.shape, generator=random))


@contextmanager
def importing(*folders: Path, **stubs: types.ModuleType) -> Iterator[None]:
    """Context that imports from a checkout first, and forgets its modules on exit: module names clash.

    Args:
        folders: folders to search first.
        stubs: stand-ins for modules that are neither installed nor needed, such as ``requests``.
    """
    before = set(sys.modules)
    sys.path[:0] = [str(folder) for folder in folders]
    replaced = {name: sys.modules.get(name) for name in stubs}
    sys.modules.update(stubs)
    try:
        yield
    finally:
        del sys.path[: len(folders)]
        for name, module in list(sys.modules.items()):
            origin = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", [])), "")
            origin = f"{origin}/"  # a package without code of its own is its folder
            if name not in before and any(origin.startswith(f"{folder}/") for folder in folders):
                del sys.modules[name]
        for name, previous in replaced.items():
            if previous is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = previous
