"""All families of generators, behind one interface."""

from __future__ import annotations

import importlib
from typing import Any

from higan_fast.generators.base import Generator
from higan_fast.generators.biggan import BigGAN, BigGANConfig
from higan_fast.generators.biggan_deep import BigGANDeep, BigGANDeepConfig
from higan_fast.generators.pggan import PGGAN, PGGANConfig
from higan_fast.generators.stylegan import StyleGAN, StyleGANConfig
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.generators.stylegan3 import StyleGAN3
from higan_fast.generators.stylegan3_config import StyleGAN3Config
from higan_fast.generators.wrapped import wrap

__all__ = ["FAMILIES", "Generator", "from_model", "wrap"]

# name → the class, and the dataclass of its architecture
FAMILIES: dict[str, tuple[type[Generator], Any]] = {
    family.family: (family, config)
    for family, config in (
        (StyleGAN2, StyleGAN2Config),
        (StyleGAN3, StyleGAN3Config),
        (StyleGAN, StyleGANConfig),
        (PGGAN, PGGANConfig),
        (BigGAN, BigGANConfig),
        (BigGANDeep, BigGANDeepConfig),
    )
}


def from_model(model: Any) -> Generator:
    """A live generator of public code as one of ours: see ``higan_fast.checkpoints.from_model``.

    Its readers know this package and are not known here: they are imported by name when someone asks.
    """
    generator: Generator = importlib.import_module("higan_fast.checkpoints").from_model(model)
    return generator
