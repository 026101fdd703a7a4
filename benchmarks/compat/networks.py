"""Unmodified networks of each public codebase, from a checkout, with one way to call them all."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.utils.cpp_extension
from torch import Tensor, nn
from torch.torch_version import TorchVersion

from benchmarks.parity.row import importing, randomize

SMALL = 32  # width of the layers in rows on what all networks must do
Draw = Callable[[Any, Tensor], Tensor]


@dataclass(frozen=True)
class Subject:
    """One network.

    Attributes:
        peer: the public repository.
        setting: what distinguishes the network.
        size: height and width of its images.
        make: makes it.
        draw: ``draw(network, z)``: images from latents.
        latent_dim: length of a latent.
        discriminator: makes one; None: there is none.
        judge: ``judge(discriminator, images)``: a logit each.
    """

    peer: str
    setting: str
    size: int
    make: Callable[[], nn.Module]
    draw: Draw
    latent_dim: int = 512
    discriminator: Callable[[], nn.Module] | None = None
    judge: Draw = lambda discriminator, images: discriminator(images)

    def made(self, seed: int = 0) -> Any:
        """A new network, with biases and noise that are not 0, in the layout of the setting."""
        torch.manual_seed(seed)
        network = self.make()
        randomize(network, seed)
        if "channels-last" in self.setting:
            for tensor in (*network.parameters(), *network.buffers()):
                if tensor.ndim == 4:
                    tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
        return network.eval().requires_grad_(False)

    def latents(self, num: int, seed: int = 0) -> Tensor:
        return torch.randn(num, self.latent_dim, generator=torch.Generator().manual_seed(seed))


@contextmanager
def stylegan2_ada(path: Path) -> Iterator[Callable[..., Subject]]:
    with importing(path, requests=types.ModuleType("requests")):
        networks: Any = import_module("training.networks")

        def subject(
            size: int, setting: str = "", classes: int = 0, small: bool = False, **options: Any
        ) -> Subject:
            options |= _narrow(size, small)
            return Subject(
                "stylegan2-ada-pytorch", setting, size,
                lambda: networks.Generator(512, classes, 512, size, 3, synthesis_kwargs=options),
                lambda g, z: g(z, _label(classes, len(z)), noise_mode="const"),
                discriminator=lambda: networks.Discriminator(0, size, 3, **_narrow(size, small)),
                judge=lambda d, images: d(images, None),
            )  # fmt: skip

        yield subject


@contextmanager
def stylegan3(path: Path) -> Iterator[Callable[..., Subject]]:
    versions: Any = types.ModuleType("pkg_resources")
    versions.parse_version = TorchVersion
    with importing(path, requests=types.ModuleType("requests"), pkg_resources=versions):
        own, second = (
            import_module("training.networks_stylegan3"),
            import_module("training.networks_stylegan2"),
        )

        def subject(
            size: int, setting: str = "", classes: int = 0, small: bool = False, **options: Any
        ) -> Subject:
            networks: Any = second if setting.startswith("StyleGAN2") else own
            options |= _narrow(size, small)
            return Subject(
                "stylegan3", setting, size,
                lambda: networks.Generator(512, classes, 512, size, 3, **options),
                lambda g, z: g(z, _label(classes, len(z)), noise_mode="const"),
            )  # fmt: skip

        yield subject


@contextmanager
def rosinality_(path: Path) -> Iterator[Callable[..., Subject]]:
    load = torch.utils.cpp_extension.load
    torch.utils.cpp_extension.load = lambda *_, **__: types.SimpleNamespace()  # its CUDA kernels: not needed
    try:
        with importing(path):
            model: Any = import_module("model")

            def subject(size: int, setting: str = "", small: bool = False) -> Subject:
                return Subject(
                    "stylegan2-pytorch (rosinality)", setting, size,
                    lambda: model.Generator(size, 512, 8, channel_multiplier=1),
                    lambda g, z: g([z], randomize_noise=False)[0],
                    discriminator=lambda: model.Discriminator(size, channel_multiplier=1),
                )  # fmt: skip

            yield subject
    finally:
        torch.utils.cpp_extension.load = load


@contextmanager
def genforce(path: Path) -> Iterator[Callable[..., Subject]]:
    with importing(path):
        models: Any = import_module("models.stylegan2_generator")

        def subject(
            size: int, setting: str = "", classes: int = 0, small: bool = False, **options: Any
        ) -> Subject:
            options |= _narrow(size, small, "fmaps_base", "fmaps_max")
            return Subject(
                "genforce", setting, size,
                lambda: models.StyleGAN2Generator(size, label_size=classes, **options),
                lambda g, z: g(z, _label(classes, len(z)))["image"],
            )  # fmt: skip

        yield subject


@contextmanager
def higan(path: Path) -> Iterator[Callable[..., Subject]]:
    with importing(path):
        models: Any = import_module("models.stylegan2_generator_network")

        def subject(size: int, setting: str = "", small: bool = False, **options: Any) -> Subject:
            options |= _narrow(size, small, "fmaps_base", "fmaps_max")
            return Subject(
                "higan (genforce)", setting, size,
                lambda: models.StyleGAN2GeneratorNet(size, randomize_noise=False, **options),
                lambda g, z: g(z),
            )  # fmt: skip

        yield subject


PEERS = {
    "stylegan2_ada": stylegan2_ada,
    "stylegan3": stylegan3,
    "rosinality": rosinality_,
    "genforce": genforce,
    "higan": higan,
}
# Options of each peer's networks that the rows on equal images go through.
HALF = {"num_fp16_res": 4, "conv_clamp": 256}
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "stylegan2_ada": [
        {"setting": "skip"},
        {"setting": "orig", "architecture": "orig"},
        {"setting": "resnet", "architecture": "resnet"},
        {"setting": "conditional", "classes": 3},
        {"setting": "3 taps", "resample_filter": [1, 2, 1]},
        {"setting": "swish, no noise", "activation": "swish", "use_noise": False},
        {"setting": "channels-last"},
        {"setting": "float16", **HALF},
        {"setting": "float16, channels-last", "fp16_channels_last": True, **HALF},
    ],
    "stylegan3": [  # whose networks take float16 on CUDA alone
        {"setting": "StyleGAN3-T"},
        {"setting": "StyleGAN3-T, conditional", "classes": 3},
        {"setting": "StyleGAN3-T, channels-last"},
        {"setting": "StyleGAN3-R", "conv_kernel": 1, "use_radial_filters": True},
        {"setting": "StyleGAN2", "num_fp16_res": 0},
        {"setting": "StyleGAN2, conditional", "num_fp16_res": 0, "classes": 3},
    ],
    "rosinality": [{"setting": ""}, {"setting": "channels-last"}],
    "genforce": [
        {"setting": "skip"},
        {"setting": "orig", "architecture": "origin"},
        {"setting": "conditional", "classes": 3},
        {"setting": "channels-last"},
    ],
    "higan": [
        {"setting": "skip"},
        {"setting": "orig", "architecture_type": "origin"},
        {"setting": "channels-last"},
    ],
}


def main_settings(peer: str) -> list[dict[str, Any]]:
    """One setting of each kind of network that a codebase has: these are timed, and drawn at full width."""
    named = [
        each for each in SETTINGS[peer] if each["setting"] in ("StyleGAN3-T", "StyleGAN3-R", "StyleGAN2")
    ]
    return named or SETTINGS[peer][:1]


def _narrow(size: int, small: bool, base: str = "channel_base", most: str = "channel_max") -> dict[str, int]:
    """Few channels; otherwise as many as the published networks of this size have (configuration F)."""
    return {base: SMALL * size, most: SMALL} if small else {base: min(64 * size, 32768)}


def _label(classes: int, num: int) -> Tensor | None:
    return torch.eye(classes)[:1].repeat(num, 1) if classes else None
