"""``higan-fast methods``: compares once, prints in three ways, and what inspect and the report make of it."""

import csv
import io
import json
import shutil

import pytest

from higan_fast.probing import Comparison
from tests.report.page import Page
from tests.test_cli import files, run

__all__ = ["files"]
SOME = ("--methods", "difference, ridge=0.1", "--codes", 24)


@pytest.fixture(scope="module")
def compared(files, tmp_path_factory):
    """A probe that compares, and what it printed."""
    out = tmp_path_factory.mktemp("runs") / "probe"
    network, predictor = files
    result = run(
        "probe", "--network", network, "--predictor", predictor, "--out", out, "--num", 256, "--trunc", 0.8,
        "--boundary", "svm", "--chosen-num", 0.4, "--exhaustive", "--max-samples", 4, "--num-null", 4,
        "--layer-samples", 0, *SOME,
    )  # fmt: skip
    return out, result


@pytest.fixture
def out(compared, tmp_path):
    shutil.copytree(compared[0], tmp_path / "run")
    return tmp_path / "run"


def inspected(out):
    return json.loads(run("inspect", out, "--json").stdout)


def test_it_prints_shows_and_reports_what_it_found(compared, out):
    assert "comparing methods on cpu" in compared[1].stderr
    again = run("methods", out, *SOME)
    assert "images/s" not in again.stderr, "it is not measured again"
    assert again.stdout in compared[1].stdout and again.stdout in run("show", out).stdout
    lines = again.stdout.splitlines()
    assert lines[0].startswith("3 methods, a step of 2 in length along the boundaries of ")
    assert [line.split()[0] for line in lines[2:5]] == ["svm=1", "difference", "ridge=0.1"]
    as_json = json.loads(run("methods", out, *SOME, "--json").stdout)
    assert as_json["compared_with"] == "svm=1" and as_json["settings"]["truncation_psi"] == 0.8
    text = run("methods", out, *SOME, "--csv", "--quiet").stdout
    names = [row["method"] for row in csv.DictReader(io.StringIO(text)) if not row["semantic"]]
    assert names == ["svm=1", "difference", "ridge=0.1"]
    assert json.loads(run("show", out, "--json").stdout)["comparison"]["codes"] == 24
    page = Page((out / "report.html").read_text())
    assert "24 fresh codes" in page.text and "--methods svm=1,difference,ridge=0.1 --codes 24" in page.text
    assert (out / "report.methods.csv").read_text() == text
    assert "got both, expected one" in run("methods", out, "--json", "--csv", code=2).output
    refused = run("methods", out, "--methods", "lda=x", code=1).stderr
    assert "methods (--methods): got 'lda=x', expected a positive C behind '='" in refused


def test_inspect_says_what_is_there(out):
    found = inspected(out)
    assert found["comparison"]["state"] == "complete" and found["next"] is None
    (out / "comparison.npz").unlink()
    found = inspected(out)
    assert found["comparison"]["state"] == "partial" and found["next"] == f"higan-fast methods {out}"
    shutil.rmtree(out / "comparison")
    found = inspected(out)
    assert found["comparison"]["state"] == "missing" and found["report"]["state"] == "stale"
    assert f"none; higan-fast methods {out} makes one" in run("inspect", out).stdout


def test_what_is_with_other_boundaries_is_left_out_with_its_remedy(out):
    run("fit", out, "--chosen-num", 0.4, "--boundary", "difference", "--quiet")
    run("verify", out, "--exhaustive", "--max-samples", 4, "--num-null", 4, "--quiet")
    for command in ("show", "report"):
        (said,) = (line for line in run(command, out).stderr.splitlines() if line.startswith("left out: "))
        assert "comparison.npz: is of other boundaries" in said
        assert said.endswith(f"run higan-fast methods {out}")
    assert inspected(out)["next"] == f"higan-fast methods {out}"
    run("methods", out, "--methods", "lda", "--codes", 24, "--quiet")
    assert Comparison.load(out / "comparison.npz").methods == ("difference", "lda=1")
    assert inspected(out)["next"] == f"higan-fast report {out}"
