"""stylegan2-ada-pytorch's generators, pickled by its own code."""

from __future__ import annotations

import copy
import pickle
import tempfile
import types
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

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

ORIG, RESNET = {"architecture": "orig"}, {"architecture": "resnet"}
WIDTHS = {"embed_features": 12, "layer_features": 40, "num_layers": 4, "lr_multiplier": 0.1}
FAST = {"num_fp16_res": 4, "conv_clamp": 256}  # on the CPU the peer still runs in float32
# What distinguishes the network; z_dim, c_dim, w_dim and size; channel_base and channel_max; other arguments
# of the mapping network, then of the synthesis network.
Setting = tuple[str, tuple[int, int, int, int], tuple[int, int], dict[str, Any], dict[str, Any]]
SETTINGS: tuple[Setting, ...] = (
    ("skip, odd channels", (24, 0, 20, 8), (88, 13), {"num_layers": 3}, {}),
    ("skip, without noise", (16, 0, 16, 16), (256, 24), {}, {"use_noise": False}),
    ("orig", (32, 0, 32, 16), (512, 32), {}, ORIG),
    ("resnet, odd channels", (16, 0, 24, 32), (480, 31), {}, RESNET),
    ("resnet, clamped at 0.5", (16, 0, 16, 32), (512, 32), {}, RESNET | {"conv_clamp": 0.5}),
    ("skip, clamped at 0.5", (16, 0, 16, 32), (512, 32), {}, {"conv_clamp": 0.5}),
    ("conditional, orig", (20, 3, 20, 64), (1024, 48), {"num_layers": 2}, ORIG),
    ("conditional, mapping of other widths", (32, 5, 48, 64), (2048, 64), WIDTHS, {}),
    ("skip, its own widths", (512, 0, 512, 128), (8192, 512), {}, FAST),
    ("skip, its own widths", (512, 0, 512, 256), (16384, 512), {}, FAST),
)
OTHER_COLORS: tuple[Setting, ...] = (
    ("skip, clamped at 4", (16, 0, 16, 32), (512, 24), {}, {"conv_clamp": 4}),
)
COLORS = {1: "gray", 4: "RGBA", 6: "six channels"}


def rows(path: Path) -> Iterator[Row]:
    with importing(path, requests=types.ModuleType("requests")):
        networks: Any = import_module("training.networks")
        yield from measured("stylegan2-ada-pytorch", networks.Generator, flat_synthesis=False)
        for channels, color in COLORS.items():
            of_color = [(f"{color}, {setting}", *rest) for setting, *rest in OTHER_COLORS]
            yield from measured(
                "stylegan2-ada-pytorch", networks.Generator, False, of_color, img_channels=channels
            )


def measured(
    peer: str, generator_class: Any, flat_synthesis: bool, settings: Sequence[Any] = SETTINGS, **own: Any
) -> Iterator[Row]:
    """Yields a row for each setting and truncation.

    Args:
        peer: the public repository.
        generator_class: its generator.
        flat_synthesis: whether the generator takes the synthesis network's arguments directly.
        settings: what distinguishes the networks.
        own: other arguments of the generator.
    """
    for index, (setting, sizes, (base, most), mapping, others) in enumerate(settings):
        torch.manual_seed(index)
        names = ("z_dim", "c_dim", "w_dim", "img_resolution")
        z_dim, c_dim, _, _ = sizes
        synthesis = {"channel_base": base, "channel_max": most, **others}
        options: dict[str, Any] = synthesis if flat_synthesis else {"synthesis_kwargs": synthesis}
        given = {"img_channels": 3, **dict(zip(names, sizes, strict=True)), **options, **own}
        theirs = generator_class(mapping_kwargs=mapping, **given)
        theirs = theirs.eval().requires_grad_(False)
        randomize(theirs, index)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "network.pkl"
            file.write_bytes(pickle.dumps({"G": None, "D": None, "G_ema": copy.deepcopy(theirs)}))
            ours = load_generator(file)
        z = torch.randn(3, z_dim)
        one_hot = torch.eye(c_dim)[[1, 0, 2]] if c_dim else None
        for psi, layers in TRUNCATIONS:
            ws = theirs.mapping(z, one_hot, truncation_psi=psi, truncation_cutoff=layers)
            images = theirs.synthesis(ws, noise_mode="const", force_fp32=True)
            codes = ours.map(z, one_hot, truncation_psi=psi, truncation_layers=layers)
            yield Row(
                peer,
                "pickle",
                ours.family,
                (images.shape[2], images.shape[3]),
                f"{setting}, {describe_truncation(psi, layers)}",
                codes_difference(codes, ws),
                image_difference(ours.synthesize(codes), images),
            )
