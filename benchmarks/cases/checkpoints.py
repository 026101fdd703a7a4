"""Loading a whole StyleGAN2 from a public pickle and from our own format, compared with a plain copy."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.cases.case import Backend, Case
from higan_fast.checkpoints import convert, load_generator
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from tests.checkpoints.writers import random_stylegan2, stylegan2_ada


def checkpoint_cases(resolution: int = 1024, base: int = 32768) -> Iterator[Case]:
    """One case; the files are in the page cache, as after a download."""
    channels = {
        size: min(base // size, 512) for size in (4 * 2**power for power in range(9)) if size <= resolution
    }
    generator = random_stylegan2(StyleGAN2Config(channels, latent_dim=512, code_dim=512, mapping_depth=8))
    with tempfile.TemporaryDirectory() as folder:
        pickle = stylegan2_ada(Path(folder) / "network.pkl", generator, Path(folder) / "mark")
        converted = Path(folder) / "network.safetensors"
        convert(pickle, converted)
        copied = _ReadAndCopy(pickle, generator)
        yield Case(
            f"load StyleGAN2 {resolution}²",
            (
                Backend("read and copy", copied),
                Backend("stylegan2-ada pickle", lambda: _constant(pickle)),
                Backend("converted", lambda: _constant(converted)),
            ),
            "the same bits",
        )


class _ReadAndCopy:
    """The unavoidable cost: reading the file, and copying out pieces of the same sizes as the tensors."""

    def __init__(self, path: Path, generator: StyleGAN2) -> None:
        self.path = path
        self.sizes = [tensor.nbytes for tensor in generator.state_dict().values()]
        self.shape = generator.synthesis.const.shape
        self.start = path.read_bytes().index(generator.synthesis.const.numpy().tobytes())

    def __call__(self) -> Tensor:
        data, copies, at = self.path.read_bytes(), [], 0
        for size in self.sizes:
            copies.append(np.frombuffer(data, np.uint8, size, at).copy())
            at += size
        constant = np.frombuffer(data, np.float32, self.shape.numel(), self.start)
        return torch.from_numpy(constant.copy()).reshape(self.shape)


def _constant(path: Path) -> Tensor:
    """Loads the file and returns one of its tensors."""
    generator = load_generator(path)
    assert isinstance(generator, StyleGAN2)
    return generator.synthesis.const.detach()
