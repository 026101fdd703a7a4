"""pytorch_GAN_zoo's progressive GAN, in files as its own code saves them."""

from __future__ import annotations

import tempfile
import types
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.parity.row import Row, codes_difference, image_difference, importing, randomize
from higan_fast.checkpoints import load_generator

CLASSES = {"Gender": {"order": 0, "values": ["M", "W"]}, "Hair": {"order": 1, "values": ["a", "b", "c"]}}
# what distinguishes the network, latent length, channels, other options
SETTINGS: tuple[tuple[str, int, tuple[int, ...], dict[str, Any]], ...] = (
    ("odd channels", 24, (31, 15), {}),
    ("tanh", 32, (32, 24, 16), {"lossMode": "DCGAN"}),
    ("conditional", 20, (24, 17, 9, 8), {"attribKeysOrder": CLASSES}),
    ("its own widths", 512, (512, 512, 512, 512, 256, 128, 64), {}),
)


def rows(path: Path) -> Iterator[Row]:
    with importing(path):
        progressive: Any = import_module("models.progressive_gan")
        # Its optimizer settings need an older torch, and nothing is trained here.
        idle = types.SimpleNamespace(zero_grad=lambda: None)
        progressive.ProgressiveGAN.getOptimizerG = progressive.ProgressiveGAN.getOptimizerD = lambda _: idle
        for index, (words, latent_dim, channels, options) in enumerate(SETTINGS):
            torch.manual_seed(index)
            theirs = progressive.ProgressiveGAN(latent_dim, channels[0], useGPU=False, **options)
            for width in channels[1:]:
                theirs.addScale(width)
            network = theirs.getOriginalAvgG().requires_grad_(False)
            randomize(network, index)
            z, label = torch.randn(3, latent_dim), _labels() if "attribKeysOrder" in options else None
            code = z if label is None else torch.cat([z, label], 1)
            rgb = network.toRGBLayers[-1].module
            for parameter in rgb.parameters():  # bring the images into their range
                parameter.div_(2 * network(code).std())
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "network.pth"
                theirs.save(file)
                ours = load_generator(file)
            codes = ours.map(z, label)
            yield Row(
                "pytorch_GAN_zoo", ".pth", ours.family, ours.resolution, words,
                codes_difference(codes[:, 0], code),
                image_difference(ours.synthesize(codes), network(code)),
            )  # fmt: skip


def _labels() -> torch.Tensor:
    """Returns one class per attribute, concatenated as in its AC-GAN: ``[3, 5]``."""
    return torch.tensor([[1.0, 0, 0, 1, 0], [0, 1, 1, 0, 0], [0, 1, 0, 0, 1]])
