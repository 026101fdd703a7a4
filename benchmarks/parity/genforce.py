"""The generators of genforce/genforce and genforce/higan, in files as each repository saves them."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.parity.row import (
    TRUNCATIONS,
    Row,
    codes_difference,
    describe_truncation,
    image_difference,
    importing,
    randomize,
)
from higan_fast.checkpoints import load_generator

SMALL = {"z_space_dim": 24, "w_space_dim": 20}
LABELS = {"z_space_dim": 24, "w_space_dim": 20, "label_size": 3, "mapping_layers": 2, "mapping_fmaps": 33}


@dataclass(frozen=True)
class Setting:
    """One generator to compare.

    Attributes:
        words: what distinguishes the network.
        options: arguments of the peer's constructor besides the size.
        config: what the user must tell us about the file.
    """

    family: str
    words: str
    size: int
    options: Mapping[str, Any]
    config: Mapping[str, Any] | None = None


def _channels(base: int, most: int) -> dict[str, int]:
    return {"fmaps_base": base, "fmaps_max": most}


BOTH = (
    Setting("stylegan", "odd channels", 8, SMALL | _channels(124, 31)),
    Setting("stylegan", "fused_scale auto", 256, _channels(4096, 64)),
    Setting("stylegan", "its own widths", 256, {}),
    Setting("stylegan2", "odd channels", 8, SMALL | _channels(124, 31)),
    Setting("stylegan2", "skip", 64, SMALL | _channels(1024, 48)),
    Setting("stylegan2", "skip, its own widths", 256, {}),
    Setting("pggan", "odd channels", 8, {"z_space_dim": 24} | _channels(124, 31)),
    Setting("pggan", "its own widths", 256, {}),
)
FUSED, UNFUSED = {"fused_scale": True}, {"fused_scale": False}
HIGAN = (
    Setting("stylegan", "fused_scale on, odd channels", 32, SMALL | _channels(250, 63) | FUSED),
    Setting("stylegan", "fused_scale off", 128, _channels(2048, 32) | UNFUSED),
    Setting("stylegan2", "orig", 32, SMALL | _channels(512, 48) | {"architecture_type": "origin"}),
    Setting("pggan", "fused_scale on, odd channels", 32, _channels(250, 63) | FUSED),
)
GENFORCE = (
    Setting("stylegan", "fused_scale on", 32, _channels(250, 63) | FUSED, FUSED),
    Setting("stylegan", "fused_scale off", 128, _channels(2048, 32) | UNFUSED, UNFUSED),
    Setting("stylegan", "conditional", 16, LABELS | _channels(250, 63)),
    Setting("stylegan2", "orig", 32, SMALL | _channels(512, 48) | {"architecture": "origin"}),
    Setting("pggan", "fused_scale on, odd channels", 32, _channels(250, 63) | FUSED),
)


def rows(path: Path) -> Iterator[Row]:
    higan = (path / "models" / "stylegan_generator_network.py").is_file()
    peer = Higan(path) if higan else Genforce(path)
    for index, setting in enumerate(BOTH + (HIGAN if higan else GENFORCE)):
        torch.manual_seed(index)
        theirs = peer.generator(setting).eval().requires_grad_(False)
        _make_random(theirs, index)
        z = torch.randn(3, theirs.z_space_dim)
        label_dim = setting.options.get("label_size", 0)
        label = torch.eye(label_dim)[[1, 0, 2]] if label_dim else None
        _put_into_range(theirs, peer.run(theirs, z, label, 1, 0)[1])
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "network.pth"
            torch.save(peer.saved(theirs), file)
            ours = load_generator(file, config=setting.config)
        for psi, layers in TRUNCATIONS if setting.family != "pggan" else TRUNCATIONS[:1]:
            codes = ours.map(z, label, truncation_psi=psi, truncation_layers=layers)
            their_codes, images = peer.run(
                theirs, z, label, psi, ours.num_layers if layers is None else layers
            )
            yield Row(
                peer.name, ".pth", setting.family, setting.size,
                f"{setting.words}, {describe_truncation(psi, layers)}",
                codes_difference(codes, codes if their_codes is None else their_codes),
                image_difference(ours.synthesize(codes), images),
            )  # fmt: skip


class Higan:
    """genforce/higan, which saves a bare state dict."""

    name = "higan"

    def __init__(self, path: Path) -> None:
        with importing(path):
            families = ("stylegan", "stylegan2", "pggan")
            modules = {family: import_module(f"models.{family}_generator_network") for family in families}
        self.classes = {
            "stylegan": modules["stylegan"].StyleGANGeneratorNet,
            "stylegan2": modules["stylegan2"].StyleGAN2GeneratorNet,
            "pggan": modules["pggan"].PGGANGeneratorNet,
        }

    def generator(self, setting: Setting) -> Any:
        return self.classes[setting.family](setting.size, **setting.options)

    def saved(self, generator: Any) -> Any:
        return {k: v for k, v in generator.state_dict().items() if k != "truncation.truncation"}

    def run(
        self, generator: Any, z: Tensor, label: Tensor | None, psi: float, layers: int
    ) -> tuple[Tensor | None, Tensor]:
        if not hasattr(generator, "mapping"):
            return None, generator(z)
        strength = generator.truncation.truncation
        strength.fill_(1)
        strength[:, :layers] = psi
        codes = generator.truncation(generator.mapping(z))
        return codes, generator.synthesis(codes)


class Genforce:
    """genforce/genforce, which saves three state dicts in one file."""

    name = "genforce"

    def __init__(self, path: Path) -> None:
        with importing(path):
            models: Any = import_module("models")
        self.classes = {
            "stylegan": models.StyleGANGenerator,
            "stylegan2": models.StyleGAN2Generator,
            "pggan": models.PGGANGenerator,
        }

    def generator(self, setting: Setting) -> Any:
        return self.classes[setting.family](setting.size, **setting.options)

    def saved(self, generator: Any) -> Any:
        return {"generator": {}, "discriminator": {}, "generator_smooth": generator.state_dict()}

    def run(
        self, generator: Any, z: Tensor, label: Tensor | None, psi: float, layers: int
    ) -> tuple[Tensor | None, Tensor]:
        found = generator(z, label=label, trunc_psi=psi, trunc_layers=layers)
        return found.get("wp"), found["image"]


def _make_random(network: nn.Module, seed: int) -> None:
    """Initialises weights as for training, and randomises every tensor that is all ones or zeros."""
    randomize(network, seed)
    random = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("weight") and tensor.ndim > 1:
            mapped = (
                100 if ".dense" in name and "mapping" in name else 1
            )  # trained at a hundredth of the rate
            tensor.copy_(mapped * torch.randn(tensor.shape, generator=random))
        elif tensor.numel() > 1 and tensor.min() == tensor.max() and "truncation" not in name:
            tensor.add_(0.3 * torch.randn(tensor.shape, generator=random))


def _put_into_range(network: nn.Module, images: Tensor) -> None:
    """Scales the RGB layers so that images vary like photographs, within about [-1, 1]."""
    for name, parameter in network.named_parameters():
        if re.match(r"(synthesis\.)?output", name) and ".style." not in name:
            parameter.mul_(0.5 / images.std())
