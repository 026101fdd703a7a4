"""The examples run as they stand, with stand-ins for public code."""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.compat.stand_ins import ada, shaken

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def network(tmp_path, monkeypatch):
    """A file, and the module ``legacy`` that opens it, as NVlabs' code has one."""
    legacy = types.ModuleType("legacy")
    legacy.load_network_pkl = lambda file: {"G_ema": torch.load(file, weights_only=False)}
    monkeypatch.setitem(sys.modules, "legacy", legacy)
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "network.pkl"
    torch.save(shaken(ada.Generator()), path)
    return ["--code", str(tmp_path), "--network", str(path)]


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_patch_generator(network, capsys):
    example("patch_generator").main([*network, "--num", "2"])
    printed = capsys.readouterr().out
    assert "SynthesisBlock  kernel" in printed
    assert float(printed.split("largest difference ")[1].split()[0]) < 1e-5


def test_own_module(capsys):
    first, last = example("own_module").main(["--steps", "30"])
    assert last < 0.7 * first
    assert "after 30 steps" in capsys.readouterr().out


def test_projector(network, tmp_path, capsys):
    target = tmp_path / "target.png"
    Image.fromarray(np.full((16, 16, 3), 200, dtype=np.uint8)).save(target)
    out = tmp_path / "found.png"
    first, last = example("projector").main(
        [*network, "--target", str(target), "--steps", "20", "--out", str(out)]
    )
    assert last < first
    with Image.open(out) as found:
        assert found.size == (16, 16)
    printed = capsys.readouterr().out
    assert "a gradient is needed" in printed
    assert " s a step plain, " in printed


def test_every_example_is_tested():
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= tested
