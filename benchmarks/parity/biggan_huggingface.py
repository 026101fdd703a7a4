"""Hugging Face's pytorch-pretrained-BigGAN: folders with a config.json and weights, as it writes them."""

from __future__ import annotations

import tempfile
import types
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.parity.biggan_pytorch import randomize
from benchmarks.parity.row import Row, codes_difference, describe_truncation, image_difference, importing
from higan_fast.checkpoints import load_generator

TRUNCATIONS = (1.0, 0.7, 0.43, 0.4)  # 0.43 lies between two of the 51 truncations with statistics
SIZES: dict[int, list[tuple[bool, int, int]]] = {
    8: [(False, 16, 8), (False, 8, 4), (True, 4, 2), (False, 2, 1)],
    64: [(False, 16, 16), (True, 16, 8), (False, 8, 8), (True, 8, 4), (True, 4, 2), (True, 2, 1)],
    128: [
        *((False, 16, 16), (True, 16, 16), (False, 16, 16), (True, 16, 8), (False, 8, 8), (True, 8, 4)),
        *((False, 4, 4), (True, 4, 2), (False, 2, 2), (True, 2, 1)),
    ],
    256: [
        *((False, 16, 16), (True, 16, 16), (False, 16, 16), (True, 16, 8), (False, 8, 8), (True, 8, 8)),
        *((False, 8, 8), (True, 8, 4), (False, 4, 4), (True, 4, 2), (False, 2, 2), (True, 2, 1)),
    ],
}
# size, what distinguishes the network, and what differs from its 128² model
SETTINGS: tuple[tuple[int, str, dict[str, Any]], ...] = (
    (8, "no attention", {"channel_width": 4, "attention_layer_position": 99}),
    (64, "odd channels", {"channel_width": 5, "attention_layer_position": 3}),
    (
        64,
        "attention first, 11 statistics",
        {"channel_width": 4, "attention_layer_position": 0, "n_stats": 11},
    ),
    (128, "", {"channel_width": 8}),
    (256, "", {"channel_width": 8, "eps": 1e-3}),
)
CLASSES, LATENT = 7, 12


def rows(path: Path) -> Iterator[Row]:
    with importing(path, **_stubs()):
        package: Any = import_module("pytorch_pretrained_biggan.model")
    for index, (size, special, settings) in enumerate(SETTINGS):
        torch.manual_seed(index)
        config = package.BigGANConfig(
            size, LATENT, LATENT, num_classes=CLASSES, layers=SIZES[size], **settings
        )
        theirs = package.BigGAN(config)
        randomize(theirs)
        z, label = torch.randn(3, LATENT), torch.randint(CLASSES, [3])
        one_hot = torch.nn.functional.one_hot(label, CLASSES).float()
        with torch.no_grad():
            for _ in range(5):  # spectral norms find their vectors only in training mode
                theirs.train()(z, one_hot, 1.0)
        theirs.eval().requires_grad_(False)
        with tempfile.TemporaryDirectory() as folder:
            torch.save(theirs.state_dict(), Path(folder) / package.WEIGHTS_NAME)
            (Path(folder) / package.CONFIG_NAME).write_text(config.to_json_string())
            ours = load_generator(folder)
        for psi in TRUNCATIONS:
            codes = ours.map(z, label, psi)
            code = torch.cat([z * psi, theirs.embeddings(one_hot)], 1)
            yield Row(
                "pytorch-pretrained-BigGAN",
                "folder",
                ours.family,
                size,
                ", ".join(filter(None, (special, describe_truncation(psi, None)))),
                codes_difference(codes[..., :-1], code[:, None].expand(-1, ours.num_layers, -1)),
                image_difference(ours.synthesize(codes), theirs(z * psi, one_hot, psi)),
            )


def _stubs() -> dict[str, types.ModuleType]:
    """Returns stand-ins for the modules with which it downloads and samples, which are not needed here."""
    names = ("boto3", "botocore", "botocore.exceptions", "requests", "tqdm", "scipy", "scipy.stats")
    stubs = {name: types.ModuleType(name) for name in names}
    stubs["botocore.exceptions"].ClientError = OSError  # type: ignore[attr-defined]
    stubs["tqdm"].tqdm = stubs["scipy.stats"].truncnorm = None  # type: ignore[attr-defined]
    return stubs
