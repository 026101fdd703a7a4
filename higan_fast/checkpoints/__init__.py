"""Files with weights → generators, without ever executing what is in them."""

from __future__ import annotations

from pathlib import Path

import torch

from higan_fast.checkpoints.native import Header, load_native, read_header, save_generator
from higan_fast.devices import usable_device
from higan_fast.generators.base import Generator
from higan_fast.weights import embedded

__all__ = ["Header", "generator_file", "load_generator", "read_header", "save_generator"]


def generator_file(network: str | Path) -> Path:
    """``"scenes"`` or a path → the file with the weights."""
    return embedded("generator") if str(network) == "scenes" else Path(network)


def load_generator(network: str | Path, device: str | torch.device = "cpu") -> Generator:
    """A generator, ready to probe: in evaluation mode, on ``device``, with fixed noise.

    Args:
        network: ``"scenes"``, the embedded generator of rooms; or a ``.safetensors`` that
            ``save_generator`` wrote.
        device: where it shall run.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file holds no generator that can be read, or there is no such device.
    """
    return load_native(generator_file(network)).to(usable_device(device))
