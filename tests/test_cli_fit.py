"""Fitting from the shell: every method, what it records, and the networks that only gradients need."""

import json
import shutil

import pytest

from higan_fast.boundaries.methods import METHODS
from higan_fast.probing import Boundaries
from tests.test_cli import files, probed, run  # noqa: F401


@pytest.fixture(scope="module")
def sampled(probed, tmp_path_factory):  # noqa: F811
    """A run folder with nothing but samples."""
    out = tmp_path_factory.mktemp("fit") / "run"
    shutil.copytree(probed[0], out, ignore=shutil.ignore_patterns("boundaries*", "verif*", "report*"))
    return out


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_chosen(sampled, method):
    options = ("--chosen-num", 0.4, "--space", "w")
    found = run("fit", sampled, "--boundary", method, *options)
    fitted = Boundaries.load(sampled / "boundaries.safetensors")
    weight = next(iter(fitted.values())).origin.C
    assert fitted.settings["method"] == method and len(fitted) > 0
    assert f"  {method}{'' if weight is None else f', C = {weight:g}'}\n" in found.stdout
    assert ("differentiating" in found.stderr) == (method == "gradient")


def test_networks_that_moved_are_found_for_gradients(sampled, files, tmp_path):  # noqa: F811
    moved = shutil.copy(files[0], tmp_path / "moved.safetensors")
    common = ("fit", sampled, "--chosen-num", 0.4, "--quiet", "--network")
    run(*common, moved, "--boundary", "gradient")
    missing = run(*common, tmp_path / "gone", "--boundary", "gradient", code=1).output
    assert "give its place with --network" in missing and len(missing.splitlines()) == 1
    run(*common, tmp_path / "gone", "--recipe", "higan")  # which needs no network


def test_the_weight_is_recorded(sampled):
    run("fit", sampled, "--chosen-num", 0.4, "--boundary", "logistic", "--C", 0.01)
    fitted = Boundaries.load(sampled / "boundaries.safetensors")
    assert {(boundary.origin.method, boundary.origin.C) for boundary in fitted.values()} == {
        ("logistic", 0.01)
    }


def test_steps_can_be_given_in_standard_deviations(sampled):
    run("fit", sampled, "--chosen-num", 0.4)
    options = ("--exhaustive", "--max-samples", 4, "--num-null", 2, "--step", 1.5, "--step-unit", "sd")
    found = json.loads(run("verify", sampled, "--semantic", "sofa", *options, "--json").stdout)
    assert (found["settings"]["step"], found["settings"]["step_unit"]) == (1.5, "sd")
    assert found["semantics"][0]["step_in_sd"] == 1.5
    table = run("show", sampled, "--csv").stdout.splitlines()
    assert table[1].startswith("0,sofa,1.5,sd,1.5,all,")
    drawn = run("manipulate", sampled, "--semantic", "sofa", "--num", 1, "--steps=-1,1", "--step-unit", "sd")
    assert "_unit=sd_" in drawn.stdout


def test_the_weight_can_be_chosen_by_what_moves(sampled):
    options = ("--chosen-num", 0.4, "--boundary", "logistic", "--C")
    shutil.rmtree(sampled / "choice", ignore_errors=True)
    found = run("fit", sampled, *options, "auto")
    assert "choosing C: " in found.stderr and "logistic, C = " in found.stdout
    assert Boundaries.load(sampled / "boundaries.safetensors").settings["C"] == "auto"
    assert "'some' is not a valid float" in run("fit", sampled, *options, "some", code=2).output


def test_the_recipe_of_higan_fits_measures_and_ranks_as_higan_does(sampled):
    run("fit", sampled, "--chosen-num", 0.4, "--recipe", "higan")
    options = ("--recipe", "higan", "--max-samples", 4, "--num-null", 2)
    found = json.loads(run("verify", sampled, *options, "--json").stdout)
    assert (found["settings"]["num"], found["settings"]["step"], found["settings"]["step_unit"]) == (
        4,
        2,
        "norm",
    )
    deltas = [row["higan_delta"] for row in found["semantics"]]
    assert deltas == sorted(deltas, reverse=True)
    for other in (("--step", 1), ("--decide", "effect"), ("--step-unit", "sd")):
        said = run("verify", sampled, *options, *other, code=1).output
        assert said.startswith("Error: recipe (--recipe): 'higan' measures all") and said.count("\n") == 1
    run("fit", sampled, "--chosen-num", 0.4, "--boundary", "ridge")
    said = run("verify", sampled, *options, code=1).output
    assert "was fitted otherwise (ridge, C = 1); fit with this recipe too" in said
