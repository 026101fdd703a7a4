"""What all commands have in common: -h, --quiet, --device and --precision."""

import importlib
import json
import re

import click
import pytest
import torch
from click.testing import CliRunner

from higan_fast.checkpoints import load_generator, save_generator
from higan_fast.cli import main, stages
from tests.test_cli import files, run

__all__ = ["files"]
SHORT = ("--exhaustive", "--max-samples", 4, "--num-null", 4)
QUIET = ("sample", "fit", "verify", "layers", "report", "probe", "demo")

pytestmark = pytest.mark.usefixtures("quick_choice")


@pytest.mark.parametrize("command", ["", *sorted(main.commands)])
def test_h_is_help(command):
    words = [command] if command else []
    assert run(*words, "-h").output == run(*words, "--help").output


def test_every_command_is_listed_once_with_a_whole_sentence():
    text = CliRunner().invoke(main, ["--help"]).stdout.partition("Probing:")[2]
    listed = re.findall(r"^  ([a-z]+) ", text, re.MULTILINE)
    assert sorted(listed) == sorted(main.commands) and "..." not in text


def test_progress_can_be_silenced_wherever_it_is_shown():
    for name in QUIET:
        assert "--quiet" in [option for each in main.commands[name].params for option in each.opts], name


def test_quiet_leaves_the_results_and_nothing_else(files, tmp_path):
    networks = ("--network", files[0], "--predictor", "color", "--out", tmp_path)
    found = run("probe", *networks, "--num", 128, "--chosen-num", 0.4, *SHORT, "--quiet")
    assert found.stderr == ""
    assert "held-out accuracy" in found.stdout and "mean layer, color" in found.stdout
    assert found.stdout.endswith("report.html\n")
    loud = run("verify", tmp_path, *SHORT, "--confidence", 0.98, "--semantic", "warmth")
    assert "verifying" in loud.stderr


def test_what_auto_has_taken_is_said_and_kept(files, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    networks = ("--network", files[0], "--predictor", "color", "--out", tmp_path)
    assert "sampling on cpu (3 threads), precision exact\n" in run("sample", *networks, "--num", 128).stderr
    assert "auto" not in (tmp_path / "run.json").read_text()
    run("fit", tmp_path, "--chosen-num", 0.4)
    found = run("verify", tmp_path, *SHORT, "--semantic", "warmth", "--json")
    assert "verifying on cpu (3 threads), precision exact\n" in found.stderr
    assert json.loads(found.stdout)["settings"]["precision"] == "exact"
    for command, option in (("verify", "precision"), ("probe", "precision"), ("probe", "device")):
        assert {each.name: each.default for each in main.commands[command].params}[option] == "auto"


def test_demo_takes_a_device_and_a_precision(monkeypatch, tmp_path):
    called = {}
    monkeypatch.setattr(stages, "probe", lambda *positional, **named: called.update(options=positional[4]))
    run("demo", "--out", tmp_path)
    assert called["options"]["device"] == called["options"]["precision"] == "auto"
    run("demo", "--out", tmp_path, "--device", "cuda:1", "--precision", "fast")
    assert (called["options"]["device"], called["options"]["precision"]) == ("cuda:1", "fast")


@pytest.mark.parametrize("module", ["export", "quality", "train_generator", "train_predictor"])
def test_h_is_help_of_the_trainers_too(module):
    names = vars(importlib.import_module(f"higan_fast.scenes.{module}"))
    (command,) = (value for value in names.values() if isinstance(value, click.Command))
    assert "Usage:" in CliRunner().invoke(command, ["-h"]).output


def test_names_from_a_file_cannot_write_a_line_of_their_own(files, tmp_path):
    forged = "a\nError: all is well\x1b[2J\ud800"
    path = tmp_path / "a.safetensors"
    save_generator(load_generator(files[0]), path, {"source": forged, "note\x1b": 3})
    found = run("inspect", path)
    assert r"source       a\nError: all is well\x1b[2J\ud800" in found.output.splitlines()
    assert r"note\x1b     3" in found.output.splitlines() and found.exit_code == 0
    assert json.loads(run("inspect", path, "--json").output)["source"]["source"] == forged


def test_every_error_is_one_line(tmp_path, monkeypatch):
    def fail(error):
        def failing(*_):
            raise error

        monkeypatch.setattr("higan_fast.checkpoints.describe", failing)
        found = run("inspect", tmp_path / "a", code=1)
        return found.stderr

    assert fail(ValueError("a\nError: b\x1b[31m")) == "Error: a\\nError: b\\x1b[31m\n"
    full = "Error: cannot write x: No space left on device; free some space and run it again\n"
    assert fail(OSError(28, "No space left on device", "x")) == full
    assert fail(OSError(28, "cannot write x")) == "Error: cannot write x\n"
    assert fail(MemoryError()).startswith("Error: there is not enough memory; take a smaller --batch")
    assert fail(ValueError()) == "Error: ValueError\n"
    assert len(fail(KeyError("x" * 10**6))) < 2_100
