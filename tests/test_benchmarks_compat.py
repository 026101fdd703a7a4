"""The benchmark of patched public code, on stand-ins."""

import re

import torch

from benchmarks import timing
from benchmarks.compat.__main__ import equal, speed, training
from benchmarks.compat.networks import PEERS, SETTINGS, Subject
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
    speed(subject(), 1, 1)
    assert re.search(r"\| 16² \| 1 \| [\d.]+ s \| [\d.]+ s \| [\d.]+ \|", capsys.readouterr().out)
    assert SETTINGS.keys() == PEERS.keys()


def test_training_with_second_derivatives(capsys):
    assert training(subject(), 5, batch=2)
    assert "losses differ by" in capsys.readouterr().out
