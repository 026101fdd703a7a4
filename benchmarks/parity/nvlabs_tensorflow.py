"""NVlabs' TensorFlow code: progressive_growing_of_gans, stylegan or stylegan2, detected from the checkout.

It runs in a separate process with TensorFlow 1.15: set ``TENSORFLOW_PYTHON`` to a Python that has it.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import tensorflow_process
from benchmarks.parity.row import (
    TRUNCATIONS,
    Row,
    codes_difference,
    describe_truncation,
    image_difference,
)  # fmt: skip
from higan_fast.checkpoints import load_generator

LATENTS = {"latent_size": 24, "dlatent_size": 20, "mapping_fmaps": 20, "mapping_layers": 2}
LABELS = {"latent_size": 24, "dlatent_size": 20, "mapping_fmaps": 33, "label_size": 3}
UNFUSED = LATENTS | {"fused_modconv": False}  # its grouped convolutions run on GPUs only
STYLEGAN = ("networks_stylegan.G_style", "networks_stylegan.D_basic")
STYLEGAN2 = ("networks_stylegan2.G_main", "networks_stylegan2.D_stylegan2")
REVISED = {"synthesis_func": "G_synthesis_stylegan_revised"}


@dataclass(frozen=True)
class Setting:
    """One network to compare.

    Attributes:
        words: what distinguishes the network.
        networks: the functions of the checkout that build G and D.
        settings: arguments of G.
    """

    words: str
    size: int
    settings: Mapping[str, Any]
    networks: tuple[str, str] = STYLEGAN


def _channels(base: int, most: int) -> dict[str, int]:
    return {"fmap_base": base, "fmap_max": most}


PGGANS = (
    Setting("odd channels", 8, _channels(62, 31)),
    Setting("fused_scale off, odd channels", 32, _channels(250, 63) | {"fused_scale": False}),
    Setting("fused_scale on", 64, _channels(1024, 64)),
    Setting("conditional", 16, _channels(250, 31) | {"label_size": 3, "latent_size": 20}),
    Setting("its own widths", 256, {}),
)
STYLEGANS = (
    Setting("odd channels", 8, LATENTS | _channels(62, 31)),
    Setting("fused_scale on", 32, LATENTS | _channels(250, 63) | {"fused_scale": True}),
    Setting("fused_scale off", 128, LATENTS | _channels(2048, 32) | {"fused_scale": False}),
    Setting("conditional, mapping of other widths", 16, LABELS | _channels(250, 31)),
    Setting("mapping_lrmul 0.1", 16, LATENTS | _channels(250, 31) | {"mapping_lrmul": 0.1}),
    Setting("its own widths", 256, {}),
)
STYLEGAN2S = (
    Setting("skip, odd channels", 8, UNFUSED | _channels(62, 31), STYLEGAN2),
    Setting("orig, odd channels", 16, UNFUSED | _channels(125, 63) | {"architecture": "orig"}, STYLEGAN2),
    Setting("resnet, odd channels", 32, UNFUSED | _channels(250, 63) | {"architecture": "resnet"}, STYLEGAN2),
    Setting("configuration D", 32, UNFUSED | _channels(250, 63) | REVISED, STYLEGAN2),
    Setting("its own widths", 256, {"fused_modconv": False, "fmap_base": 8192}, STYLEGAN2),
    Setting("configuration A", 32, LATENTS | _channels(250, 63)),
)


def rows(path: Path) -> Iterator[Row]:
    if (path / "tfutil.py").is_file():
        peer, settings = "progressive_growing_of_gans", PGGANS
    elif (path / "training" / "networks_stylegan2.py").is_file():
        peer, settings = "stylegan2 (TensorFlow)", STYLEGAN2S
    else:
        peer, settings = "stylegan (TensorFlow)", STYLEGANS
    for index, setting in enumerate(settings):
        truncations = TRUNCATIONS if peer != "progressive_growing_of_gans" else TRUNCATIONS[:1]
        with tempfile.TemporaryDirectory() as folder:
            _run(path, setting, index, truncations, Path(folder))
            ours = load_generator(Path(folder) / "network.pkl")
            found = np.load(Path(folder) / "run.npz", allow_pickle=False)
            z, labels, w, w_avg, images = (
                torch.from_numpy(found[key]) for key in ("z", "labels", "w", "w_avg", "images")
            )
        label = labels if ours.label_dim else None
        for (psi, layers), image in zip(truncations, images, strict=True):
            codes = ours.map(z, label, truncation_psi=psi, truncation_layers=layers)
            truncated = f", {describe_truncation(psi, layers)}" if len(truncations) > 1 else ""
            yield Row(
                peer, "pickle", ours.family, setting.size, setting.words + truncated,
                codes_difference(codes, _codes(w, w_avg, psi, layers, ours.num_layers)),
                image_difference(ours.synthesize(codes), image),
            )  # fmt: skip


def _run(
    path: Path, setting: Setting, seed: int, truncations: tuple[tuple[float, int | None], ...], folder: Path
) -> None:
    python = os.environ.get("TENSORFLOW_PYTHON")
    if python is None:
        raise RuntimeError("set TENSORFLOW_PYTHON to a Python that has TensorFlow 1.15 (intel-tensorflow)")
    layers = 2 * int(np.log2(setting.size)) - 2
    job = {
        "networks": setting.networks,
        "settings": {"resolution": setting.size, **setting.settings},
        "seed": seed,
        "truncations": [(psi, layers if cutoff is None else cutoff) for psi, cutoff in truncations],
    }
    (folder / "job.json").write_text(json.dumps(job))
    command = [python, tensorflow_process.__file__, path, folder / "job.json", folder]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{setting.words}: {done.stderr[-2000:]}")


def _codes(w: Tensor, w_avg: Tensor, psi: float, cutoff: int | None, num_layers: int) -> Tensor:
    """Returns its layer codes: ``w`` after its truncation; for PGGAN, the input."""
    codes = w[:, None].repeat(1, num_layers, 1)
    if len(w_avg):
        codes[:, :cutoff] = w_avg + (codes[:, :cutoff] - w_avg) * psi
    return codes
