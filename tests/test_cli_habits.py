"""What all commands have in common: -h, --quiet, --device and --precision."""

import importlib
import json

import click
import pytest
import torch
from click.testing import CliRunner

from higan_fast.cli import main, stages
from tests.test_cli import files, run

__all__ = ["files"]
SHORT = ("--exhaustive", "--max-samples", 4, "--null", 4)
QUIET = ("sample", "fit", "verify", "report", "probe", "demo")


def probe(files, out, *more):
    networks = ("--network", files[0], "--predictor", files[1], "--out", out)
    return run("probe", *networks, "--num", 128, "--chosen-num", 0.4, *SHORT, *more)


@pytest.mark.parametrize("command", ["", *sorted(main.commands)])
def test_h_is_help(command):
    words = [command] if command else []
    assert run(*words, "-h").output == run(*words, "--help").output


def test_progress_can_be_silenced_wherever_it_is_shown():
    for name in QUIET:
        assert "--quiet" in [option for each in main.commands[name].params for option in each.opts], name


def test_quiet_leaves_the_results_and_nothing_else(files, tmp_path):
    loud = probe(files, tmp_path / "loud")
    quiet = probe(files, tmp_path / "quiet", "--quiet")
    assert "sampling: 128 of 128 images" in loud.stderr and "verifying:" in loud.stderr
    assert quiet.stderr == ""
    assert quiet.stdout == loud.stdout.replace("loud", "quiet")
    for stage in ("fit", "verify", "report"):
        more = (*SHORT, "--confidence", 0.98) if stage == "verify" else ()
        assert run(stage, tmp_path / "quiet", "--quiet", *more).stderr == ""


def test_what_auto_has_taken_is_said_and_kept(files, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    told = probe(files, tmp_path).stderr
    assert "sampling on cpu (" in told and "verifying on cpu (" in told
    assert "threads), precision exact" in told or "thread), precision exact" in told
    assert "auto" not in (tmp_path / "run.json").read_text()
    found = json.loads(run("verify", tmp_path, *SHORT, "--json").stdout)
    assert found["settings"]["precision"] == "exact"
    defaults = {option.name: option.default for option in main.commands["verify"].params}
    assert defaults["precision"] == "auto"


def test_demo_takes_a_device_and_a_precision(monkeypatch, tmp_path):
    called = {}
    monkeypatch.setattr(stages, "probe", lambda *positional, **named: called.update(options=positional[5]))
    run("demo", "--out", tmp_path)
    assert called["options"]["device"] == called["options"]["precision"] == "auto"
    run("demo", "--out", tmp_path, "--device", "cuda:1", "--precision", "fast")
    assert (called["options"]["device"], called["options"]["precision"]) == ("cuda:1", "fast")


@pytest.mark.parametrize("module", ["export", "quality", "train_generator", "train_predictor"])
def test_h_is_help_of_the_trainers_too(module):
    names = vars(importlib.import_module(f"higan_fast.scenes.{module}"))
    (command,) = (value for value in names.values() if isinstance(value, click.Command))
    assert "Usage:" in CliRunner().invoke(command, ["-h"]).output
