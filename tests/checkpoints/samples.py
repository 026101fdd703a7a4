"""One small intact file of each format: what is converted, and what the fuzzing mutates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from higan_fast.checkpoints import save_generator
from higan_fast.generators.pggan import PGGAN, PGGANConfig
from higan_fast.generators.stylegan import StyleGAN, StyleGANConfig
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from tests.checkpoints.biggan import biggan_pytorch, huggingface
from tests.checkpoints.genforce_writer import gan_zoo_file, genforce_file, stylegan_state
from tests.checkpoints.raw_weights import random_pggan, random_stylegan
from tests.checkpoints.tensorflow_writer import (
    pggan_variables,
    stylegan2_variables,
    stylegan_variables,
    tensorflow_pickle,
)
from tests.checkpoints.writers import random_stylegan2, rosinality, stylegan2_ada

# Writes a file or folder; gives where it is, and the configuration that it needs.
Written = tuple[Path, dict[str, Any] | None]
Sample = Callable[[Path, Path], Written]


def _stylegan2() -> StyleGAN2:
    return random_stylegan2(StyleGAN2Config({4: 5, 8: 4}, latent_dim=6, code_dim=6, mapping_depth=2))


def _native(path: Path, mark: Path) -> Written:
    save_generator(_stylegan2(), path, {"source": "nowhere"})
    return path, None


def _ada(protocol: int) -> Sample:
    return lambda path, mark: (stylegan2_ada(path, _stylegan2(), mark, protocol), None)


def _rosinality(archive: bool) -> Sample:
    return lambda path, mark: (rosinality(path, _stylegan2(), archive), None)


def _stylegan() -> StyleGAN:
    return random_stylegan(StyleGANConfig({4: 5, 8: 4}, latent_dim=6, code_dim=6, mapping_depth=2))


def _pggan() -> PGGAN:
    return random_pggan(PGGANConfig({4: 5, 8: 4}, latent_dim=6))


def _genforce(path: Path, mark: Path) -> Written:
    return genforce_file(path, stylegan_state(_stylegan())), None


def _gan_zoo(path: Path, mark: Path) -> Written:
    return gan_zoo_file(path, _pggan()), None


def _tensorflow(family: str, protocol: int) -> Sample:
    def write(path: Path, mark: Path) -> Written:
        if family == "pggan":
            variables = pggan_variables(_pggan(), True)
        elif family == "stylegan":
            variables = stylegan_variables(_stylegan())
        else:
            variables = stylegan2_variables(_stylegan2())
        return tensorflow_pickle(path, variables, mark, protocol=protocol), None

    return write


def _biggan(path: Path, mark: Path) -> Written:
    torch.save(dict(biggan_pytorch((16, 8, 8), 2, attention=(0,))), path)
    return path, {"BN_eps": 1e-5}


def _biggan_deep(path: Path, mark: Path) -> Written:
    config, tensors = huggingface([(False, 4, 4), (True, 4, 2), (True, 2, 1)])
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    torch.save(dict(tensors), path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    return path, None


SAMPLES: dict[str, Sample] = {
    "native": _native,
    "stylegan2-ada": _ada(4),
    "stylegan2-ada, protocol 2": _ada(2),
    "TensorFlow StyleGAN2": _tensorflow("stylegan2", 4),
    "TensorFlow StyleGAN": _tensorflow("stylegan", 2),
    "TensorFlow PGGAN, protocol 0": _tensorflow("pggan", 0),
    "rosinality": _rosinality(True),
    "rosinality, before torch 1.6": _rosinality(False),
    "genforce": _genforce,
    "GAN zoo": _gan_zoo,
    "BigGAN": _biggan,
    "BigGAN-deep": _biggan_deep,
}
