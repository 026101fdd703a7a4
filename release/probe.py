"""Tries an installed higan_fast: where it lies, its data, what doctor says, and a sample of a few images.

    python release/probe.py [FOLDER]       FOLDER: where the package must lie, not in this checkout

Run it from outside the checkout. Prints one line; ends with an AssertionError that says what is wrong.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
DATA = (
    "py.typed",
    "weights/generator.safetensors",
    "report/page.html",
    "explore/page/index.html",
    "ops/convolution_times.csv",
)


def main(folder: str | None = None) -> None:
    spec = importlib.util.find_spec("higan_fast")
    assert spec is not None and spec.origin is not None, "higan_fast is not installed"
    package = Path(spec.origin).resolve().parent
    assert CHECKOUT not in package.parents, f"higan_fast comes from the checkout: {package}"
    assert folder is None or package.parent == Path(folder).resolve(), (
        f"higan_fast comes from {package}, not from {folder}"
    )
    missing = [name for name in DATA if not (package / name).is_file()]
    assert not missing, f"files that the package lacks: {', '.join(missing)}"

    found = json.loads(_higan_fast("doctor", "--json"))
    assert found["extension"] == "loaded", found["extension"]
    elsewhere = {op: ran["cpu"] for op, ran in found["ops"].items() if ran["cpu"] != "native"}
    assert not elsewhere, f"ops without a kernel: {elsewhere}"

    with tempfile.TemporaryDirectory() as work:
        _higan_fast(
            "sample",
            "--network",
            "scenes",
            "--predictor",
            "scenes",
            "--num",
            "8",
            "--device",
            "cpu",
            "--out",
            f"{work}/run",
        )
        from higan_fast import Samples

        scores = Samples.open(f"{work}/run").scores
        assert scores.shape[0] == 8 and (scores == scores).all(), f"scores: {scores}"
    print(f"{package}: {found['instruction_set']}; CUDA {found['cuda']['compiled']}; 8 samples scored")


def _higan_fast(*arguments: str) -> str:
    command = [sys.executable, "-m", "higan_fast", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"higan-fast {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
