"""Generators of the stylegan3 repository, pickled by its own code: its StyleGAN2, and StyleGAN3-T and -R."""

from __future__ import annotations

import copy
import pickle
import tempfile
import types
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch.torch_version import TorchVersion

from benchmarks.parity.row import (
    Row,
    codes_difference,
    describe_truncation,
    image_difference,
    importing,
    randomize,
)
from benchmarks.parity.stylegan2_ada import measured
from higan_fast.checkpoints import load_generator

R = {"conv_kernel": 1, "use_radial_filters": True}
OTHER = {"num_critical": 1, "first_cutoff": 1.5, "first_stopband": 3.0, "last_stopband_rel": 1.5}
OTHER |= {"margin_size": 4, "filter_size": 4, "lrelu_upsampling": 4, "conv_clamp": 1.0, "num_layers": 7}
# What distinguishes the network; z_dim, c_dim, w_dim and size; channel_base and channel_max; other arguments
# of the synthesis network; how the image is moved: degrees, and widths of the image to the right and down.
STILL = (0.0, (0.0, 0.0))
SETTINGS: tuple[tuple[str, tuple[int, int, int, int], tuple[int, int], dict[str, Any], Any], ...] = (
    ("T", (64, 0, 64, 32), (2048, 64), {}, STILL),
    ("R", (64, 0, 64, 32), (4096, 96), R, STILL),
    ("T, conditional, moved", (20, 3, 24, 32), (2048, 31), {}, (20.0, (0.1, -0.25))),
    ("R, moved", (64, 0, 64, 32), (4096, 48), R, (-75.0, (0.0, 0.3))),
    ("T, other bands, rates and filters", (16, 0, 16, 64), (1024, 24), OTHER, STILL),
    ("T", (64, 0, 64, 64), (4096, 128), {}, STILL),
    ("R, conditional", (64, 5, 64, 64), (8192, 128), R, STILL),
    ("T, its own widths", (512, 0, 512, 256), (32768, 512), {}, STILL),
    ("R, half its widths", (512, 0, 512, 256), (32768, 512), R, STILL),
    ("T, at most 8 channels", (512, 0, 512, 1024), (32768, 8), {}, STILL),
)


def rows(path: Path) -> Iterator[Row]:
    versions: Any = types.ModuleType("pkg_resources")
    versions.parse_version = TorchVersion
    with importing(path, requests=types.ModuleType("requests"), pkg_resources=versions):
        networks: Any = import_module("training.networks_stylegan2")
        yield from measured("stylegan3", networks.Generator, flat_synthesis=True)
        yield from _stylegan3(import_module("training.networks_stylegan3"))


def _stylegan3(networks: Any) -> Iterator[Row]:
    """A row for each setting, with a truncation, and so with the average of ``w``."""
    for index, (setting, sizes, (base, most), others, (degrees, shift)) in enumerate(SETTINGS):
        torch.manual_seed(index)
        z_dim, c_dim, _, size = sizes
        theirs = networks.Generator(*sizes, 3, channel_base=base, channel_max=most, **others)
        theirs = theirs.eval().requires_grad_(False)
        randomize(theirs, index)
        _measure_magnitudes(theirs)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "network.pkl"
            file.write_bytes(pickle.dumps({"G": None, "D": None, "G_ema": copy.deepcopy(theirs)}))
            ours = load_generator(
                file, config={"rotate": degrees, "translate": shift} if any(shift) else None
            )
        theirs.synthesis.input.transform.copy_(_moving(degrees, shift).inverse())
        z = torch.randn(2, z_dim)
        one_hot = torch.eye(c_dim)[[1, 0]] if c_dim else None
        ws = theirs.mapping(z, one_hot, truncation_psi=0.7, truncation_cutoff=5)
        images = theirs.synthesis(ws, noise_mode="const", force_fp32=True)
        codes = ours.map(z, one_hot, truncation_psi=0.7, truncation_layers=5)
        setting = f"{setting}, {describe_truncation(0.7, 5)}"
        differences = codes_difference(codes, ws), image_difference(ours.synthesize(codes), images)
        yield Row("stylegan3", "pickle", ours.family, size, setting, *differences)


@torch.no_grad()
def _measure_magnitudes(network: Any) -> None:
    """Sets the averages of magnitudes as training does, and the weights of the input's affine.

    A new network has 1 and 0 there, and images that are nearly gray.
    """
    synthesis = network.synthesis
    synthesis.input.affine.weight.normal_()
    for name in synthesis.layer_names:
        getattr(synthesis, name).magnitude_ema_beta = 0.0
    one_hot = torch.eye(network.c_dim)[[0, 0]] if network.c_dim else None
    codes = network.mapping(torch.randn(2, network.z_dim), one_hot)
    synthesis(codes, update_emas=True, force_fp32=True)


def _moving(degrees: float, shift: tuple[float, float]) -> torch.Tensor:
    """As the users' manual has it: where a point of the still image goes."""
    angle = torch.deg2rad(torch.tensor(degrees))
    across = [angle.cos(), angle.sin(), shift[0]]
    return torch.tensor([across, [-angle.sin(), angle.cos(), shift[1]], [0, 0, 1]])
