"""The README's example runs as it stands, with fewer samples."""

import csv
import re
from pathlib import Path

import torch

from higan_fast.probing import verify
from tests.compat.stand_ins import ada, shaken
from tests.toy import toy

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
SMALLER = {
    "num=20_000": "num=256",
    "predictor, boundaries, out": "predictor, boundaries, num=2, num_null=2, out",
    "boundaries, verification=verification": "boundaries, (-1, 1), num=2, verification=verification",
    "attribute_layers(generator, predictor, out": "attribute_layers(generator, predictor, num=8, out",
}


def test_the_example(tmp_path, monkeypatch):
    example, *_ = EXAMPLES
    for text, smaller in SMALLER.items():
        assert example.count(text) == 1, f"README: expected {text!r} once"
        example = example.replace(text, smaller)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(example, names)
    assert names["images"].shape == (4, 3, 3, 64, 64)
    assert len(names["verification"].rank()) >= 8
    assert names["attribution"].samples == 8 and (tmp_path / "runs/scenes/attribution.npz").is_file()
    assert names["sweep"].samples == 2 and (tmp_path / "runs/scenes/sweep.npz").is_file()
    assert (tmp_path / "runs/scenes/samples.zarr").is_dir()
    assert list((tmp_path / "runs/scenes/verification").rglob("*.npz")), "the verification can go on, too"


def test_the_two_lines_that_patch():
    _, example, *_ = EXAMPLES
    names: dict = {"G": shaken(ada.Generator()), "z": torch.randn(2, 10), "torch": torch}
    exec(example, names)
    assert names["handle"].report().fallbacks == 0
    assert names["images"].shape == (2, 3, 16, 16)


def test_the_example_of_an_op():
    _, _, example, _ = EXAMPLES
    torch.manual_seed(0)
    names: dict = {
        "x": torch.randn(2, 8, 4, 4),
        "weight": torch.randn(5, 8, 3, 3),
        "styles": torch.randn(2, 8),
        "noise": torch.randn(8, 8),
        "bias": torch.randn(5),
    }
    exec(example, names)
    assert names["y"].shape == (2, 5, 8, 8)


def test_the_example_of_an_experiment(boundaries, capsys):
    *_, example = EXAMPLES
    generator, predictor = toy()
    verification = verify(generator, predictor, boundaries, num=64, null="isotropic", progress=False)
    names: dict = {"generator": generator, "predictor": predictor, "boundaries": boundaries}
    exec(example, names | {"verification": verification})
    assert capsys.readouterr().out.startswith("Which layers decide which level")


def test_every_speed_is_that_of_a_committed_row():
    rows = []
    for path in (README.parent / "benchmarks" / "results").glob("*.csv"):
        rows += csv.DictReader(path.read_text().splitlines())
    section = README.read_text().split("## How fast")[1].split("\n## ")[0]
    quoted = re.findall(r"^\|.*\| ([\d.]+) \| ([0-9a-f]{7}) \|$", section, re.MULTILINE)
    assert len(quoted) == 8
    for ratio, commit in quoted:
        found = [row for row in rows if row["commit"].startswith(commit) and row["ratio"] == ratio]
        assert found, f"README: no row of {commit} has the ratio {ratio}"
