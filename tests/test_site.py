"""The site builds without a warning, and the cells of its tutorials run one after another."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))
SMALLER = {
    "SAMPLES, FRESH = 1500, 64": "SAMPLES, FRESH = 200, 1",
    "max_samples=FRESH": "num=2, num_null=2",
    'method="gradient"': 'method="gradient", num_gradients=16',
    "SIZE = 128": "SIZE = 32",
}


def test_the_site(tmp_path):
    pytest.importorskip("mkdocs_jupyter", reason="pip install 'higan_fast[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    python = (tmp_path / "made" / "python.html").read_text()
    assert "Raises:" in python and 'id="higan_fast.probing.verification.verify"' in python
    assert "--stylespace" in (tmp_path / "made" / "commands.html").read_text()
    assert "rosinality" in (tmp_path / "made" / "networks.html").read_text()
    assert "standard deviation" in (tmp_path / "tutorials" / "probe.html").read_text()


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial(path, tmp_path, monkeypatch):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] or "=" in "".join(cell["source"]) for cell in cells), "it was never executed"
    monkeypatch.chdir(tmp_path)
    names, shortened = {}, 0
    for cell in cells:
        source = "".join(cell["source"])
        for text, smaller in SMALLER.items():
            shortened += source.count(text)
            source = source.replace(text, smaller)
        exec(source, names)
    assert shortened == {"probe": 2, "scorer": 3, "kernels": 1}[path.stem]
