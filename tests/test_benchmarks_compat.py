"""The benchmark of patched public code, on stand-ins."""

import hashlib
import re
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import timing
from benchmarks.compat import __main__ as table
from benchmarks.compat import scripts
from benchmarks.compat.__main__ import equal, training
from benchmarks.compat.networks import PEERS, SETTINGS, Subject
from benchmarks.compat.speed import speed, speed_row
from tests.compat.stand_ins import ada

bias_act = ada.bias_act


class Discriminator(torch.nn.Module):
    """A smooth one, with a function that is known."""

    def __init__(self):
        super().__init__()
        self.conv, self.out = torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(4, 1)

    def forward(self, images):
        return self.out(bias_act.bias_act(self.conv(images), act="swish").mean([2, 3]))


def subject(make=ada.Generator):
    return Subject(
        "a stand-in", "skip", 16, make, lambda g, z: g(z, noise_mode="const"), latent_dim=10,
        discriminator=Discriminator,
    )  # fmt: skip


def test_rows_say_what_was_measured(monkeypatch, capsys):
    monkeypatch.setattr(timing, "SECONDS", 0.0)
    assert equal(subject())
    assert re.search(r"\| a stand-in \| skip \| 16² \| \d\.\de-0\d \| \d+ \| 0 \|", capsys.readouterr().out)
    plain, patched = speed(subject(), 1, 1)
    assert plain > 0 and patched > 0
    row = speed_row(subject(), 1, [(3.0, 2.0), (4.0, 1.0), (8.0, 4.0)])
    assert row == "| a stand-in | skip | 16² | 1 | 4.000 s | 2.000 s | 2.00 | 1.50 | 4.00 |"
    assert SETTINGS.keys() == PEERS.keys()


def test_training_with_second_derivatives(monkeypatch, capsys):
    assert training(subject(), 5, batch=2)
    assert "losses differ by" in capsys.readouterr().out
    monkeypatch.setattr(table, "LOSSES", -1.0)
    monkeypatch.setattr(table, "ROUNDINGS", 0)
    assert not training(subject(), 1, batch=2)
    found = re.search(r"after one rounding of its weights, by (\d\.\de-\d+)", capsys.readouterr().out)
    assert 0 < float(found[1]) < 1e-5


def test_scripts_are_compared_by_what_they_write(tmp_path, monkeypatch, capsys):
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)

    def run(run, checkout, arguments, cache, plain):
        Image.fromarray(image if plain else image + np.uint8(run.network["off"])).save(
            f"{arguments[1]}/0.png"
        )
        return subprocess.CompletedProcess(
            [], 0, "step 1: dist 0.50\nstep 2: dist 0.25\n" * run.network.get("steps", 0),
            "higan_fast: <Handle of every model: A ×1>; 2 of 13 calls fell back",
        )  # fmt: skip

    monkeypatch.setattr(scripts, "write_network", lambda run, checkout, path: None)
    monkeypatch.setattr(scripts, "_run", run)
    for off, expected in ((1, True), (2, False)):
        row = scripts.Run("stylegan2_ada", "draw.py", {"off": off}, "{out}")
        assert scripts.compared(row, tmp_path, tmp_path, off) == expected
        shown = f"| 1 | {off} of 255, {100 * (off - 1):.1f}% | 13 | 2 |\n"
        assert capsys.readouterr().out.endswith(shown)
    row = scripts.Run("stylegan2_ada", "projector.py", {"off": 9, "steps": 1}, "{out}")
    assert scripts.compared(row, tmp_path, tmp_path, 9)  # its pictures need not be the same
    assert "; last distance 0.25 and 0.25 | 13 | 2 |" in capsys.readouterr().out


def test_features_lie_where_the_projector_looks(tmp_path):
    scripts.prepare(tmp_path)
    (path,) = (tmp_path / "cache" / "downloads").iterdir()
    assert path.name == f"{hashlib.md5(scripts.VGG16.encode()).hexdigest()}_vgg16.pt"
    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.load"):
        features = torch.jit.load(str(path))
    found = features(torch.rand(2, 3, 64, 64) * 255, resize_images=False, return_lpips=True)
    assert found.shape == (2, 16 * 4096 + 32 * 1024 + 48 * 256 + 64 * 64 + 64 * 16)
    assert not found.requires_grad
