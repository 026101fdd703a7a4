"""One measurement of the table in docs/parity.md, and what all of them share."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

CODES, IMAGE = 1e-5, 1e-4  # what is tolerated, float32 on the CPU
IMAGE_RANGE = 2.0  # from -1 to 1
TRUNCATIONS: tuple[tuple[float, int | None], ...] = ((1.0, None), (0.7, None), (0.7, 3))


@dataclass(frozen=True)
class Row:
    """How far ours is from a public implementation.

    Attributes:
        peer: the public repository.
        format: of the file that it wrote and ours read.
        family: of the generator.
        size: height and width of the images.
        setting: what is special: architecture, channels, truncation.
        codes: the largest difference of a mapped code, which are of order 1.
        image: the largest difference of a pixel, as a share of the range of images, 2.
    """

    peer: str
    format: str
    family: str
    size: int
    setting: str
    codes: float
    image: float

    @property
    def good(self) -> bool:
        return self.codes <= CODES and self.image <= IMAGE


def codes_difference(ours: Tensor, theirs: Tensor) -> float:
    """Of mapped codes, for ``Row.codes``."""
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return (ours - theirs).abs().max().item()


def image_difference(ours: Tensor, theirs: Tensor) -> float:
    """Of images in about [-1, 1], for ``Row.image``."""
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return (ours - theirs).abs().max().item() / IMAGE_RANGE


def describe_truncation(psi: float, layers: int | None) -> str:
    """For ``Row.setting``."""
    return f"ψ = {psi:g}" + (f" on {layers} layers" if layers is not None else "")


@torch.no_grad()
def randomize(network: nn.Module, seed: int = 0) -> None:
    """Leaves nothing of a peer's network at zero: biases, noise strengths and averages become random.

    What has just been made has biases and noise of 0, or styles of 1, under which much could be forgotten.
    """
    random = torch.Generator().manual_seed(seed)
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        last = name.rsplit(".", 1)[-1]
        if last in ("bias", "noise_strength", "w_avg") or (last == "weight" and tensor.shape == (1,)):
            tensor.add_(0.3 * torch.randn(tensor.shape, generator=random))


@contextmanager
def importing(*folders: Path, **stubs: types.ModuleType) -> Iterator[None]:
    """Imports from a checkout first, and from nowhere afterwards: several have modules of the same names.

    Args:
        folders: to look into first.
        stubs: modules that stand for what is not installed and not needed, such as ``requests``.
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
            origin = getattr(module, "__file__", None) or ""
            if name not in before and any(origin.startswith(f"{folder}/") for folder in folders):
                del sys.modules[name]
        for name, previous in replaced.items():
            if previous is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = previous
