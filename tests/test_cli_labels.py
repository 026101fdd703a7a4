"""Labels from the shell: export, label, fit, verify, report."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from higan_fast.probing import Boundaries, Samples
from tests.report.page import Page
from tests.test_cli import files, probed, run  # noqa: F401

pytestmark = pytest.mark.usefixtures("quick_choice")


@pytest.fixture
def sampled(probed, tmp_path):  # noqa: F811
    out = tmp_path / "run"
    shutil.copytree(probed[0], out, ignore=shutil.ignore_patterns("boundaries*", "verif*", "report*"))
    return out


def table(file, samples, names):
    """Labels of all samples: whether the first score is high."""
    middle = np.median(samples.scores[:, 0])
    with file.open("w", newline="") as written:
        writer = csv.writer(written)
        writer.writerow(["sample", "semantic", "value"])
        for name in names:
            for row in range(len(samples)):
                writer.writerow([row, name, int(samples.scores[row, 0] > middle)])
    return file


def test_pictures_and_scores_are_exported_labelled_and_fitted(sampled, probed, tmp_path):  # noqa: F811
    images, scores = tmp_path / "pictures", tmp_path / "scores.csv"
    run("export", sampled, "--images", images, "--csv", scores, "--samples", "0-2,9", "--quiet")
    rows = list(csv.DictReader(scores.read_text().splitlines()))
    samples = Samples.open(sampled)
    assert len(rows) == 4 * len(samples.semantics)
    assert float(rows[1]["value"]) == pytest.approx(samples.scores[0, 1], rel=1e-5)
    assert rows[-1]["sample"] == "9" and rows[-1]["image"] == str(images / "sample-000009.png")
    with Image.open(rows[-1]["image"]) as picture:
        assert picture.size == (16, 16)
    run("export", sampled, "--images", images, "--csv", scores, "--num", 3, "--semantic", "cosy", "--quiet")
    assert [row["value"] for row in csv.DictReader(scores.read_text().splitlines())] == ["", "", ""]
    empty = run("fit", sampled, "--labels", scores, code=1).stderr
    assert f"{scores}: holds no label" in empty

    shutil.copy(probed[0] / "boundaries.safetensors", sampled)
    before = (sampled / "boundaries.safetensors").read_bytes()
    (tmp_path / "few.csv").write_text("sample,semantic,value\n1,cosy,1\n")
    run("fit", sampled, "--labels", tmp_path / "few.csv", code=1)
    assert (sampled / "boundaries.safetensors").read_bytes() == before, "what fitted nothing replaces nothing"

    known = samples.semantics[0].name
    labels = table(tmp_path / "labels.csv", samples, (known, "cosy"))
    fitted = run("fit", sampled, "--labels", labels, "--quiet")
    said = fitted.stdout
    assert "replaces the boundaries of " in fitted.stderr and known not in fitted.stderr.partition(";")[0]
    assert "on 38 high and 38 low; 128 of each were used, of 256 labels" in said
    assert "both sides are equally large, so that chance is 0.5" in said
    assert list(Boundaries.load(sampled / "boundaries.safetensors")) == [known, "cosy"]
    common = ("--exhaustive", "--max-samples", 4, "--num-null", 2)
    verified = run("verify", sampled, *common)
    assert "left out: the predictor scores none of cosy" in verified.stderr
    assert verified.stdout.splitlines()[1].startswith(known)
    run("report", sampled, "--quiet")
    page = Page((sampled / "report.html").read_text()).text
    assert f"--labels {labels}" in page and "higan-fast verify" in page
    assert "1 not verified" in run("inspect", sampled).stdout
    assert "fitted to labels" in run("methods", sampled, "--codes", 24, "--methods", "svm", code=1).stderr


def test_a_semantic_that_nothing_scores_is_a_direction(sampled, tmp_path):
    labels = table(tmp_path / "labels.csv", Samples.open(sampled), ["cosy"])
    run("fit", sampled, "--labels", labels, "--quiet")
    refused = run("verify", sampled, code=1).stderr.strip().splitlines()[-1]
    assert "the predictor scores none of cosy" in refused
    run("manipulate", sampled, "--semantic", "cosy", "--num", 1, "--quiet")
    run("report", sampled, "--quiet")
    assert "none: there is no boundary to verify" in run("inspect", sampled).stdout


def test_codes_and_scores_of_ones_own_need_no_run(tmp_path):
    random = np.random.default_rng(0)
    codes = random.standard_normal((300, 8)).astype(np.float32)
    np.save(tmp_path / "codes.npy", codes)
    np.save(tmp_path / "scores.npy", codes[:, 2] > 0.5)
    out = tmp_path / "mine.safetensors"
    given = ("--codes", tmp_path / "codes.npy", "--scores", tmp_path / "scores.npy")
    said = run("fit", *given, "--names", "tall", "--out", out, "--quiet").stdout
    assert said.startswith("tall ") and said.endswith(f"{out}\n")
    assert Boundaries.load(out)["tall"].normal[2] > 0.9
    assert "give RUN, or --codes, --scores and --out" in run("fit", *given, code=2).stderr
    assert "give one of both" in run("fit", tmp_path, *given, code=2).stderr


def test_directions_are_verified_from_the_shell(sampled, tmp_path):
    missing = run("directions", sampled, code=1).stderr
    assert (
        "directions.npz: is not there yet; give directions with --sefa, --pca, --stylespace or --file"
        in missing
    )
    labels = table(tmp_path / "labels.csv", Samples.open(sampled), ["cosy"])
    run("fit", sampled, "--labels", labels, "--quiet")
    file = ("--file", sampled / "boundaries.safetensors")
    common = ("--exhaustive", "--max-samples", 4, "--num-null", 2, "--quiet")
    table_ = run("directions", sampled, "--sefa", 1, "--pca", 1, *file, *common).stdout
    assert table_.startswith("3 directions, 4 semantics, a step of 2 in norm, 4 samples")
    assert run("directions", sampled).stdout == table_
    found = json.loads(run("directions", sampled, "--json").stdout)
    assert [each["name"] for each in found["directions"]] == ["sefa 1", "pca 1", "cosy"]
    assert "directions    3, of which 0 surely move a semantic; 4 samples" in run("inspect", sampled).stdout
    run("directions", sampled, "--pca", 2, "--pca-layer", 1, *common, "--step-unit", "sd")
    assert len(run("directions", sampled, "--csv").stdout.splitlines()) == 1 + 2 * 7 * 4
    refused = run("directions", sampled, "--file", tmp_path / "gone.npy", code=1).stderr
    assert "gone.npy" in refused and len(refused.splitlines()) == 1


def test_single_channels_are_verified_from_the_shell(sampled):
    common = ("--exhaustive", "--max-samples", 4, "--num-null", 2, "--quiet")
    said = run("directions", sampled, "--stylespace", 3, *common).stdout
    assert said.startswith("3 directions, 4 semantics, a step of 2 in sd, 4 samples")
    assert run("directions", sampled).stdout == said
    run("directions", sampled, "--stylespace", "0:1, 4:2", "--step", 3, *common)
    found = json.loads(run("directions", sampled, "--json").stdout)
    assert [each["name"].split()[0] for each in found["directions"]] == ["0:1", "4:2"]
    assert (found["settings"]["step"], found["settings"]["step_unit"]) == (3, "sd")
    assert run("directions", sampled, "--sefa", 1, *common).stdout.startswith("1 direction, 4 ")
    shown = run("inspect", sampled).stdout
    assert "directions    3, of which 0 surely move a semantic; 4 samples" in shown, "codes and styles"
    finding = json.loads((sampled / "experiments" / "directions.json").read_text())
    assert {row["in"] for row in finding["rows"]} == {"codes", "styles"}
    (sampled / "channels.npz").write_bytes(b"of another version")
    said = run("directions", sampled, "--sefa", 1, *common)
    assert "left out: " in said.stderr and "channels.npz: not a file of directions" in said.stderr
    assert said.stdout.startswith("1 direction, ")
    (sampled / "channels.npz").unlink()
    for given, code, message in (
        (("--stylespace", "1-2"), 1, "stylespace (--stylespace): got '1-2', expected a number of channels"),
        (("--stylespace", "99:1"), 1, "got layer 99 of 99:1, expected one of 0 "),
        (("--stylespace", 2, "--sefa", 1), 2, "--stylespace: is of styles, and --sefa"),
    ):
        refused = run("directions", sampled, *given, *common, code=code).stderr.splitlines()
        assert message in refused[-1]
