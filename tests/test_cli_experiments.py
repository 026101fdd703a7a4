"""Experiments as commands: what they write and print, and what show, inspect and the report make of it."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from higan_fast.cli.experiments import EXPERIMENTS
from higan_fast.experiments import ORDER, Finding
from higan_fast.probing import Verification
from higan_fast.run_folder import RunFolder
from higan_fast.scenes.factors import SEMANTICS
from tests.report.page import Page
from tests.test_cli import files, run

__all__ = ["files"]

pytestmark = pytest.mark.usefixtures("quick_choice")


@pytest.fixture(scope="module")
def made(files, tmp_path_factory):
    """A probe of random networks, as if its effects were shown, and what the experiment printed."""
    out = tmp_path_factory.mktemp("runs") / "probe"
    network, predictor = files
    run(
        "probe", "--network", network, "--predictor", predictor, "--out", out, "--num", 256,
        "--boundary", "svm", "--chosen-num", 0.4, "--exhaustive", "--max-samples", 4, "--num-null", 4,
        "--layer-samples", 0,
    )  # fmt: skip
    found = Verification.load(out / "verification.npz")
    replace(found, beats_null=np.ones_like(found.beats_null)).save(out / "verification.npz")
    return out, run("hierarchy", out, "--num", 48)


@pytest.fixture
def out(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "run")
    return tmp_path / "run"


def test_it_writes_prints_and_keeps(made, out):
    folder, printed = out / "experiments", made[1].stdout
    assert sorted(path.suffix for path in folder.glob("hierarchy.*")) == [".csv", ".json", ".png", ".svg"]
    assert printed.startswith("Which layers decide which level") and "written: " in made[1].stderr
    again = run("hierarchy", out, "--num", 48)
    assert again.stdout == printed and "images/s" not in again.stderr, "what was measured is kept"
    assert (
        run("hierarchy", out, "--num", 48, "--csv", "--quiet").stdout
        == (folder / "hierarchy.csv").read_text()
    )
    as_json = json.loads(run("hierarchy", out, "--num", 48, "--json", "--quiet").stdout)
    assert as_json["images"] > 48 and as_json["made_from"]["boundaries"]
    assert "got both" in run("hierarchy", out, "--json", "--csv", code=2).output


def test_a_smaller_finding_says_what_it_replaces(out):
    assert "replaces" not in run("hierarchy", out, "--num", 48).stderr
    assert "it replaces one of " in run("hierarchy", out, "--num", 24).stderr
    assert "replaces" not in run("hierarchy", out, "--num", 48).stderr


def test_show_inspect_and_the_report_know_it(made, out):
    assert made[1].stdout in run("show", out).stdout
    assert json.loads(run("show", out, "--json").stdout)["experiments"]["hierarchy"]["title"]
    before = json.loads(run("inspect", out, "--json").stdout)
    assert before["experiments"]["names"] == ["hierarchy"] and before["report"]["state"] == "stale"
    run("report", out)
    page = Page((out / "report.html").read_text())
    assert (
        "Which layers decide which level" in page.text
        and "var(--layout)" in (out / "report.html").read_text()
    )
    assert json.loads(run("inspect", out, "--json").stdout)["report"]["state"] == "complete"


def test_a_figure_that_is_not_of_the_finding_is_left_out(out):
    drawing = out / "experiments" / "hierarchy.svg"
    drawing.write_text(drawing.read_text().replace("</svg>", "<script>alert(1)</script></svg>"))
    run("report", out)
    page = (out / "report.html").read_text()
    assert "Which layers decide which level" in page and "alert(1)" not in page
    assert "Mean effect of moving one group" not in page, "what the figure says"


def test_a_finding_of_another_verification_is_not_served(out):
    run("verify", out, "--exhaustive", "--max-samples", 5, "--num-null", 4)
    shown = run("show", out)
    assert (
        "left out: " in shown.stderr
        and "is of another verification; run higan-fast hierarchy" in shown.stderr
    )
    assert "Which layers" not in shown.stdout
    assert json.loads(run("inspect", out, "--json").stdout)["experiments"]["state"] == "stale"
    run("report", out)
    assert "Which layers decide" not in (out / "report.html").read_text()


def test_four_semantics_are_too_few_to_rank(out):
    failed = run("ablate", "ranking", out, "--num", 24, code=1)
    assert "got 4 semantics with a boundary, expected at least 5 to rank" in failed.output
    assert "got 0.0, expected a positive number" in run("ablate", "ranking", out, "--step", 0, code=1).output


def test_fewer_samples(out):
    # 0.4 of 256 samples a side: half of them leave 50.
    printed = run(
        "ablate", "samples", out, "--sizes", 2, "--refits", 1, "--num", 24, "--boundary", "difference"
    )
    assert printed.stdout.startswith("How many samples does a boundary need?")
    assert "ablate-samples" in json.loads(run("show", out, "--json").stdout)["experiments"]


def test_z_against_w(out):
    printed = run("ablate", "space", out, "--num", 24)
    assert printed.stdout.startswith("z, w or W+") and "W+ is w here" in printed.stdout
    assert "got 23" in run("ablate", "space", out, "--num", 23, code=1).output


def test_own_layers_against_all(out):
    found = Verification.load(out / "verification.npz")
    acting = np.zeros_like(found.layer_beats_null)
    acting[:2, 1] = True
    replace(found, layer_beats_null=acting).save(out / "verification.npz")
    printed = run("ablate", "layers", out, "--num", 24)
    assert printed.stdout.startswith("Own layers against all layers")
    assert "ablate-layers" in json.loads(run("inspect", out, "--json").stdout)["experiments"]["names"]
    assert "images/s" not in run("ablate", "layers", out, "--num", 24).stderr
    assert "got 23" in run("ablate", "layers", out, "--num", 23, code=1).output


def test_each_pair_of_a_transition_is_a_finding_of_its_own(out):
    one, other = SEMANTICS[8].name, SEMANTICS[4].name
    options = ("--num", 16, "--steps", "2", "--by", "largest", "--quiet")
    pair = run("transition", out, "--from", one, "--to", other, *options).stdout
    pairs = run("transition", out, "--semantic", one, "--semantic", other, *options).stdout
    folder, of = out / "experiments", f"transition.{one}-to-{other}"
    assert (folder / f"{of}.png").is_file() and (folder / "transition.png").is_file()
    assert (folder / f"transition/{one}-to-{other}.png").is_file()
    shown = json.loads(run("show", out, "--json").stdout)["experiments"]
    assert pair.startswith(shown[of]["title"]) and pairs.startswith(shown["transition"]["title"])
    run("report", out)
    page = Page((out / "report.html").read_text())
    assert page.find("section", id=f"experiment-{of}") and f"From {one} to {other}" in page.text
    assert page.find("a", href=f"experiments/{of}.csv")
    (folder / f"{of}.json").write_text("{")
    assert "run higan-fast transition again" in run("show", out, code=1).output


def test_entanglement(out):
    found = Verification.load(out / "verification.npz").boundary_names
    pair = f"{found[0]}:{found[1]}"
    printed = run("correlate", out, "--pair", pair, "--num", 24).stdout
    assert printed.startswith("What is entangled") and f"{found[0]} without {found[1]}" in printed
    assert "images/s" not in run("correlate", out, "--pair", pair, "--num", 24).stderr
    assert "expected two different names of" in run("correlate", out, "--pair", "bed", code=1).output


def test_falsify(out):
    found = Verification.load(out / "verification.npz")
    replace(found, beats_null=np.arange(len(found.beats_null)) < 2).save(out / "verification.npz")
    few = ("--num", 2, "--max-samples", 4, "--num-null", 2)
    printed = run("falsify", out, *few)
    assert "claims that must go" in printed.stdout
    assert "falsify" in json.loads(run("inspect", out, "--json").stdout)["experiments"]["names"]
    assert "images/s" not in run("falsify", out, *few).stderr
    assert "got 1, expected a whole number of at least 2" in run("falsify", out, "--num", 1, code=1).output


def test_runs_side_by_side(made, out, tmp_path):
    shutil.copytree(out, tmp_path / "other")
    printed = run("compare", out, tmp_path / "other", "--num", 24)
    assert printed.stdout.startswith("What differs between run and other")
    assert "images/s" not in run("compare", out, tmp_path / "other", "--num", 24).stderr
    assert "compare" in json.loads(run("inspect", out, "--json").stdout)["experiments"]["names"]
    assert "expected at least two different ones" in run("compare", out, out, code=2).output
    run("verify", tmp_path / "other", "--exhaustive", "--max-samples", 5, "--num-null", 4)
    shown = run("show", out)
    assert "other, which has changed since; run higan-fast compare RUN" in shown.stderr
    assert "What differs" not in shown.stdout
    shutil.rmtree(tmp_path / "other")
    assert "What differs between run and other" in run("show", out).stdout, "nothing says that it changed"


def test_findings_stand_in_the_order_of_the_help(out):
    commands = dict.fromkeys(name.partition("-")[0] for name in ORDER)
    assert tuple(commands) == tuple(command.name for command in EXPERIMENTS)
    for name in ("compare.json", "mix.json", "transition.b.json", "ablate-space.json", "others.json"):
        (out / "experiments" / name).touch()
    found = [file.name for file in RunFolder.open(out).finding_files]
    assert found == ["hierarchy.json", "transition.b.json", "mix.json", "ablate-space.json", "compare.json",
                     "others.json"]  # fmt: skip


def test_mix(out):
    options = ("--num", 24, "--layers", "1", "--samples", "9,5,3", "--sources", 1)
    printed = run("mix", out, *options, "--out", out / "grid.webp")
    assert printed.stdout.startswith("What mixing layer codes changes")
    assert (out / "experiments/mix/grid.png").is_file() and (out / "grid.webp").is_file()
    (shows,) = Finding.load(out / "experiments" / "mix.json").pictures.values()
    assert "codes of sources on layer 1; " in shows
    run("mix", out, *options[:-3], "3,5,9", "--sources", 1, "--out", out / "other.webp")
    assert (out / "grid.webp").read_bytes() != (out / "other.webp").read_bytes(), "the first is the source"
    assert run("mix", out, *options).stdout == printed.stdout
    assert "--layers, --group: got both" in run("mix", out, *options, "--group", "top", code=1).output
