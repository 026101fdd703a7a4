"""``higan-fast show``: reads every verification of a run folder, and does nothing else."""

import csv
import io
import json
import shutil

import pytest

import higan_fast.cli.stages as stages
from higan_fast.probing import Verification
from higan_fast.scenes.factors import SEMANTICS
from tests.test_cli import files, probed, run

__all__ = ["files", "probed"]
SHORT = ("--exhaustive", "--max-samples", 4, "--num-null", 4)
ONE = SEMANTICS[4].name

pytestmark = pytest.mark.usefixtures("quick_choice")


@pytest.fixture
def out(probed, tmp_path):
    shutil.copytree(probed[0], tmp_path / "run")
    return tmp_path / "run"


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_show_prints_what_verify_prints(out, monkeypatch):
    printed = run("verify", out, *SHORT).stdout + run("layers", out, "--num", 10).stdout
    as_json = json.loads(run("verify", out, *SHORT, "--json").stdout)
    attribution = json.loads(run("layers", out, "--num", 10, "--json").stdout)
    before = contents(out)
    for network in ("generator", "predictor"):
        monkeypatch.setattr(stages.RunFolder, network, property(lambda self: pytest.fail("loads a network")))
    assert run("show", out).stdout == printed
    assert json.loads(run("show", out, "--json").stdout) == as_json | {
        "kept_beside": [],
        "attribution": attribution,
        "comparison": None,
        "experiments": {},
        "sweep": None,
    }
    assert contents(out) == before


def test_what_was_verified_apart_is_shown_apart(out):
    everything = json.loads(run("verify", out, *SHORT, "--json").stdout)
    of_one = json.loads(run("verify", out, *SHORT, "--semantic", ONE, "--json").stdout)
    assert [row["name"] for row in of_one["semantics"]] == [ONE]
    found = json.loads(run("show", out, "--json").stdout)
    assert found.pop("kept_beside") == [of_one]
    assert found.pop("attribution")["samples"] == 10
    assert found.pop("comparison") is None and found.pop("sweep") is None
    assert found.pop("experiments") == {}
    assert found == everything
    run("verify", out, *SHORT, "--step", 1, "--semantic", ONE)
    output = run("show", out).output
    assert output.count(f"\n{ONE} ") + output.startswith(ONE) == 3
    assert "verified apart, and corrected apart:" in output and "(step 2.0)" in output


def test_csv_has_a_row_for_each_boundary_set_of_layers_and_semantic(out):
    current = json.loads(run("show", out, "--json").stdout)
    run("verify", out, *SHORT, "--semantic", ONE)
    text = run("show", out, "--csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    num, layers = len(current["semantics"]), len(current["semantics"][0]["profile"])
    columns = len(current["settings"]["semantics"])
    assert len(rows) == (num + 1) * (1 + layers) * columns
    assert {row["verification"] for row in rows} == {"0", "1"}
    own = {
        (row["boundary"], row["layers"]): row
        for row in rows
        if row["boundary"] == row["semantic"] and row["verification"] == "0"
    }
    for entry in current["semantics"]:
        row = own[entry["name"], "all"]
        for name in ("effect", "standard_error", "low", "high", "higan_delta", "even"):
            assert (float(row[name]) if row[name] else None) == entry[name], name
        assert row["asymptotic"] == str(entry["asymptotic"]).lower()
        assert row["beats_null"] == str(entry["beats_null"]).lower() and row["samples"] == "4"
        for layer in entry["profile"]:
            assert float(own[entry["name"], str(layer["layer"])]["effect"]) == layer["effect"]
    assert all(row["beats_null"] == "" for row in rows if row["boundary"] != row["semantic"])


def test_bad_requests_end_in_one_line(out, tmp_path):
    assert "got both, expected one" in run("show", out, "--json", "--csv", code=2).output
    assert "no probe was begun here" in run("show", tmp_path / "nowhere", code=1).output
    (tmp_path / "samples.zarr").mkdir()
    assert "is read by hf.Samples.open from Python" in run("show", tmp_path, code=1).output
    with pytest.raises(FileNotFoundError, match=r"none.npz: there is no such file"):
        Verification.load(tmp_path / "none.npz")
    (out / "verification.npz").unlink()
    output = run("show", out, code=1).output
    assert "make it with higan-fast verify" in output and len(output.splitlines()) == 1
