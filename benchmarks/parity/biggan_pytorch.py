"""ajbrock's BigGAN-PyTorch: the state dicts of its BigGAN and its BigGAN-deep."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.parity.row import Row, codes_difference, describe_truncation, image_difference, importing
from higan_fast.checkpoints import load_generator

TRUNCATIONS: tuple[tuple[float, int | None], ...] = ((1.0, None), (0.7, None), (0.4, 2))
SHARED = {"G_shared": True, "shared_dim": 16}
HIERARCHICAL = {**SHARED, "hier": True}

# module, what distinguishes the network, and the arguments of its generator
SETTINGS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("BigGAN", "", {"resolution": 32, "G_ch": 8, "dim_z": 36, "G_attn": "0", **HIERARCHICAL}),
    ("BigGAN", "odd channels", {"resolution": 64, "G_ch": 5, "dim_z": 33, "G_attn": "16", **HIERARCHICAL}),
    (
        "BigGAN",
        "two attentions",
        {"resolution": 128, "G_ch": 8, "dim_z": 120, "G_attn": "32_64", **HIERARCHICAL},
    ),
    ("BigGAN", "", {"resolution": 256, "G_ch": 8, "dim_z": 140, "G_attn": "64", **HIERARCHICAL}),
    ("BigGAN", "", {"resolution": 512, "G_ch": 8, "dim_z": 128, "G_attn": "64", **HIERARCHICAL}),
    ("BigGAN", "BN_eps 1e-4", {"resolution": 32, "G_ch": 8, "dim_z": 36, "BN_eps": 1e-4, **HIERARCHICAL}),
    ("BigGAN", "not hierarchical", {"resolution": 64, "G_ch": 6, "dim_z": 24, "G_attn": "16", **SHARED}),
    ("BigGAN", "class tables (SAGAN)", {"resolution": 64, "G_ch": 6, "dim_z": 24, "G_attn": "32"}),
    (
        "BigGAN",
        "no spectral norm, bottom_width 3",
        {"resolution": 32, "G_ch": 8, "bottom_width": 3, "G_param": "None"},
    ),
    ("BigGAN", "mybn", {"resolution": 32, "G_ch": 8, "dim_z": 36, "mybn": True, **HIERARCHICAL}),
    ("BigGAN", "mybn, standing", {"resolution": 32, "G_ch": 8, "dim_z": 36, "mybn": True, **HIERARCHICAL}),
    ("BigGAN", "cross_replica", {"resolution": 32, "G_ch": 8, "cross_replica": True, **SHARED}),
    (
        "BigGANdeep",
        "",
        {"resolution": 32, "G_ch": 8, "dim_z": 20, "G_attn": "16", "G_depth": 3, **HIERARCHICAL},
    ),
    ("BigGANdeep", "BN_eps 1e-3", {"resolution": 64, "G_ch": 8, "dim_z": 20, "BN_eps": 1e-3, **HIERARCHICAL}),
    ("BigGANdeep", "", {"resolution": 256, "G_ch": 8, "dim_z": 20, "G_attn": "64", **HIERARCHICAL}),
)
CLASSES = 7


def rows(path: Path) -> Iterator[Row]:
    for index, (module, special, settings) in enumerate(SETTINGS):
        torch.manual_seed(index)
        with importing(path), contextlib.redirect_stdout(io.StringIO()):
            theirs = import_module(module).Generator(n_classes=CLASSES, no_optim=True, **settings)
        randomize(theirs)
        if "standing" in special:
            _accumulate(theirs)
        theirs.eval().requires_grad_(False)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "G_ema.pth"
            torch.save(theirs.state_dict(), file)
            ours = load_generator(file, config={"BN_eps": settings.get("BN_eps", 1e-5)})
        z, label = torch.randn(3, theirs.dim_z), torch.randint(CLASSES, [3])
        for psi, layers in TRUNCATIONS[: 3 if settings.get("hier") and module == "BigGAN" else 2]:
            images, codes = _theirs(theirs, module, z, label, psi, layers)
            found = ours.map(z, label, psi, layers)
            yield Row(
                "BigGAN-PyTorch (ajbrock)",
                "state dict .pth",
                ours.family,
                ours.resolution,
                ", ".join(filter(None, (special, describe_truncation(psi, layers)))),
                max(codes_difference(found[:, i, : code.shape[1]], code) for i, code in enumerate(codes)),
                image_difference(ours.synthesize(found), images),
            )


def _theirs(
    theirs: Any, module: str, z: Tensor, label: Tensor, psi: float, layers: int | None
) -> tuple[Tensor, list[Tensor]]:
    """Returns its images, and the input of each part of the network, the latent first."""
    classes, z = theirs.shared(label), z.clone()
    chunk = theirs.z_chunk_size if module == "BigGAN" and theirs.hier else theirs.dim_z
    z[:, : chunk * layers if layers else None] *= psi
    images = theirs(z, classes)
    if classes.ndim == 1:
        classes = nn.functional.one_hot(label, CLASSES).float()
    first, *chunks = z.split(chunk, 1)
    num = len(theirs.blocks)
    if module == "BigGANdeep":
        return images, [torch.cat([z, classes], 1)] * (num + 1)
    if theirs.hier:
        return images, [first, *(torch.cat([part, classes], 1) for part in chunks)]
    return images, [z, *[classes] * num]


@torch.no_grad()
def randomize(network: nn.Module) -> None:
    """Randomises statistics, gains and biases, which are 0 or 1 in a new network."""
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        last = name.rsplit(".", 1)[-1]
        if last in ("stored_mean", "running_mean", "running_means") or (last == "bias" and tensor.ndim == 1):
            tensor.normal_(0, 0.3)
        elif last in ("stored_var", "running_var", "running_vars"):
            tensor.uniform_(0.3, 1.8)
        elif last == "gamma":
            tensor.fill_(0.7)
        elif last == "gain" or (last == "weight" and tensor.ndim == 1):
            tensor.normal_(1, 0.3)


@torch.no_grad()
def _accumulate(network: Any) -> None:
    """Accumulates standing statistics, as its ``utils.accumulate_standing_stats`` does on a GPU."""
    for module in network.modules():
        if hasattr(module, "accumulate_standing"):
            module.reset_stats()
            module.accumulate_standing = True
    network.train()
    for _ in range(3):
        network(torch.randn(4, network.dim_z), network.shared(torch.randint(CLASSES, [4])))
