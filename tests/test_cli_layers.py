"""``higan-fast layers`` and ``dose``: measure once, and what show, inspect and the report make of it."""

import csv
import io
import json
import shutil

import pytest
from PIL import Image

from higan_fast.probing import Attribution, Sweep
from higan_fast.scenes.factors import SEMANTICS
from tests.report.page import Page
from tests.test_cli import files, probed, run

__all__ = ["files", "probed"]
NAMES = [semantic.name for semantic in SEMANTICS[::4]]

pytestmark = pytest.mark.usefixtures("quick_choice")


@pytest.fixture
def out(probed, tmp_path):
    shutil.copytree(probed[0], tmp_path / "run")
    return tmp_path / "run"


def inspected(out):
    return json.loads(run("inspect", out, "--json").stdout)


def test_a_table_json_and_csv_say_the_same(out):
    text = run("layers", out, "--num", 10, "--quiet").stdout
    assert "at 0.99 (10 samples, 70 images)" in text.splitlines()[0]
    assert [line.split()[0] for line in text.splitlines()[2:]] == NAMES
    found = json.loads(run("layers", out, "--num", 10, "--json").stdout)
    assert [entry["name"] for entry in found["semantics"]] == NAMES
    assert [entry["layer"] for entry in found["semantics"][0]["profile"]] == list(range(6))
    assert (found["settings"]["truncation_psi"], found["settings"]["seed"]) == (0.8, 3)
    rows = list(csv.DictReader(io.StringIO(run("layers", out, "--num", 10, "--csv").stdout)))
    assert [float(row["index"]) for row in rows[:6]] == [
        entry["index"] for entry in found["semantics"][0]["profile"]
    ]
    assert (out / "report.layers.csv").read_text() == run("layers", out, "--num", 10, "--csv").stdout
    assert "got both, expected one" in run("layers", out, "--json", "--csv", code=2).output


def test_what_is_there_is_not_measured_again(out):
    said = run("layers", out, "--num", 10).stderr
    assert "attributing to layers on cpu" in said and "images/s" not in said
    said = run("layers", out, "--num", 80, "--precision", "exact").stderr
    assert "attributing to layers: 560 of 560 images" in said
    assert Attribution.load(out / "attribution.npz").samples == 80


def test_inspect_says_what_is_there_and_a_report_that_is_older_is_stale(out):
    found = inspected(out)
    assert found["attribution"]["state"] == "complete" and found["attribution"]["images"] == 70
    assert found["next"] is None
    run("layers", out, "--num", 12, "--quiet")
    found = inspected(out)
    assert found["report"]["state"] == "stale" and found["next"] == f"higan-fast report {out}"
    run("report", out, "--quiet")
    page = Page((out / "report.html").read_text())
    assert "12 fresh samples" in page.text and "--layer-samples 12" in page.text
    assert inspected(out)["next"] is None
    (out / "attribution.npz").unlink()
    found = inspected(out)
    assert found["attribution"]["state"] == "partial" and found["next"] == f"higan-fast layers {out}"
    shutil.rmtree(out / "attribution")
    found = inspected(out)
    assert found["attribution"]["state"] == "missing" and found["next"] == f"higan-fast report {out}"
    run("report", out, "--quiet")
    assert inspected(out)["next"] is None and not (out / "report.layers.csv").exists()
    assert f"none; higan-fast layers {out} makes one" in run("inspect", out).stdout


@pytest.mark.parametrize("name", ["seed", "generator"])
def test_what_is_of_other_samples_is_refused_with_its_remedy(out, name):
    found = Attribution.load(out / "attribution.npz")
    found.settings[name] = 4
    found.save(out / "attribution.npz")
    message = f"attribution.npz: is of {name} = 4, not "
    for command in ("show", "report"):
        refused = run(command, out, code=1).stderr.strip().splitlines()[-1]
        assert message in refused and refused.endswith(f"run higan-fast layers {out}")
    assert inspected(out)["next"] == f"higan-fast layers {out}"
    run("layers", out, "--num", 10, "--quiet")
    assert inspected(out)["next"] is None


DOSE = ("--steps=-1..1", "--num", 4)


def test_a_dose_is_written_as_a_table_twice_and_as_a_picture(out):
    text = run("dose", out, *DOSE, "--quiet").stdout
    assert text.startswith("Dose-response of ") and "(4 samples, " in text
    found = json.loads(run("dose", out, *DOSE, "--json").stdout)
    assert json.loads((out / "dose.json").read_text()) == found and found["steps"] == [-1, 0, 1]
    assert (found["settings"]["truncation_psi"], found["settings"]["seed"]) == (0.8, 3)
    rows = list(csv.DictReader(io.StringIO((out / "dose.csv").read_text())))
    assert len(rows) == len(found["curves"]) * 3 * len(NAMES)
    assert float(rows[0]["change"]) == found["curves"][0]["scores"][NAMES[0]][0]["change"]
    picture = Page((out / "dose.svg").read_text())
    charts = [each for each in picture.find("svg", role="img") if "viewBox" in each or "viewbox" in each]
    assert len(charts) == 1 + len(found["curves"])
    assert json.loads(run("show", out, "--json").stdout)["sweep"] == found
    assert (
        "expected numbers with commas, such as -3,0,3, or -6..6"
        in run("dose", out, "--steps", "few", code=2).output
    )
    assert "expected at most 1000 steps" in run("dose", out, "--steps", "0..9999", code=2).output


def test_manipulate_steps_as_far_as_a_dose_suggests(out):
    run("dose", out, *DOSE, "--quiet")
    with Image.open(out / "dose.png") as curves, Image.open(out / "dose.pictures.png") as pictures:
        assert curves.size[0] > pictures.size[0] > 200
    sweep = Sweep.load(out / "sweep.npz")
    sweep.change[:] = 0
    curve = sweep.curves()[0]
    name, column = sweep.boundary_names[curve], sweep.columns[curve]
    sweep.change[curve, :, column] = sweep.steps
    sweep.save(out / "sweep.npz")
    options = ("manipulate", out, "--num", 1, "--semantic")
    drawn = run(*options, name)
    assert "steps of 1, as the dose-response suggests; --steps takes others" in drawn.stderr
    assert f"manipulate-{name}_layers=all_steps=-1,0,1_samples=0.png" in drawn.stdout
    other = sweep.boundary_names[sweep.curves()[1]]  # for which it suggests none
    for more in ((other,), (name, "--semantic", other), (name, "--layers", "0"), (name, "--step-unit", "sd")):
        assert "steps=-3,0,3" in run(*options, *more).stdout
    assert "steps=2_" in run(*options, name, "--steps=2").stdout


def test_a_dose_of_another_verification_is_stale(out):
    assert inspected(out)["sweep"]["what"] == f"none; higan-fast dose {out} makes one"
    run("dose", out, *DOSE, "--quiet")
    found = inspected(out)
    assert found["sweep"]["state"] == "complete" and found["next"] == f"higan-fast report {out}"
    run("report", out, "--quiet")
    page = Page((out / "report.html").read_text())
    assert page.find("section", id="dose") and "--dose-samples 4 --dose-steps=-1,0,1" in page.text
    assert inspected(out)["next"] is None
    sweep = Sweep.load(out / "sweep.npz")
    sweep.settings["acting"] = {sweep.boundary_names[0]: "0-1"}
    sweep.save(out / "sweep.npz")
    for command in ("report", "show"):  # which go on without it
        said = [line for line in run(command, out).stderr.splitlines() if line.startswith("left out: ")]
        assert len(said) == 1 and "sweep.npz: is of layers that act by another verification; run" in said[0]
    assert not Page((out / "report.html").read_text()).find("section", id="dose")
    assert inspected(out)["next"] == f"higan-fast dose {out}"
    (out / "sweep.npz").unlink()
    assert inspected(out)["sweep"]["state"] == "partial"
    shutil.rmtree(out / "sweep")
    assert inspected(out)["next"] is None  # the report was drawn without it
