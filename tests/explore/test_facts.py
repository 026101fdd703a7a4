"""What is said of a run in which something is missing, stale or other."""

import copy
import shutil

import numpy as np
import pytest

from higan_fast.explore import serving
from higan_fast.explore.drawing import Drawing
from higan_fast.explore.facts import Facts
from higan_fast.explore.sources import Given, OfRun
from higan_fast.explore.states import State
from higan_fast.inversion import read_codes
from higan_fast.run_folder import RunFolder
from tests.test_cli import run


def test_what_is_stale_is_not_shown(explored, tmp_path):
    other = shutil.copytree(explored, tmp_path / "other")
    run("fit", other, "--boundary", "difference", "--chosen-num", 0.4, "--quiet")
    folder = RunFolder.open(other)
    facts = Facts.of(folder)
    assert facts.verification is None and facts.sweep is None and facts.attribution is not None
    stale = [note for note in facts.notes if "is of other boundaries" in note]
    assert ["verify" in stale[0], "dose" in stale[1]] == [True, True] and len(stale) == 2
    described = facts.described(folder.samples)
    assert {each["status"] for each in described["semantics"]} <= {"not verified", "no boundary"}
    assert [heat["from"] for heat in described["heats"]] == ["layers"]


def test_what_is_missing_is_said(explored, tmp_path):
    other = shutil.copytree(explored, tmp_path / "other")
    for name in ("verification.npz", "sweep.npz", "attribution.npz"):
        (other / name).unlink()
    notes = Facts.of(RunFolder.open(other)).notes
    assert ["verify" in notes[0], "layers" in notes[1], "dose" in notes[2]] == [True] * 3 and len(notes) == 3


def test_a_tick_marks_what_was_suggested_or_verified(explored, tmp_path):
    def steps(folder):
        run = RunFolder.open(folder)
        described = Facts.of(run).described(run.samples)["semantics"]
        return {each["name"]: (each["step"], each["step_from"], each["range"]) for each in described}

    assert steps(explored)["brightness"] == (6, "verify", [-6, 6])  # which was not swept
    bare = shutil.copytree(explored, tmp_path / "bare")
    (bare / "sweep.npz").unlink()
    assert steps(bare)["warmth"] == (6, "verify", [-6, 6])
    (bare / "verification.npz").unlink()
    assert steps(bare)["warmth"] == (3, None, [-3, 3])


def test_samples_are_read_one_by_one(explored):
    samples = RunFolder.open(explored).samples
    source = OfRun(samples)
    assert len(source) == 128 and np.array_equal(source.codes(100), samples.codes[100])


def test_codes_of_another_network_are_refused(explored):
    folder = RunFolder.open(explored)
    given = Given(folder.samples.codes[:2], ["a", "b"], folder.generator)
    assert len(given) == 2 and np.array_equal(given.codes(1), folder.samples.codes[1])
    with pytest.raises(ValueError, match=r"codes: got shape \(2, 5, 32\), expected \[N, 6, 32\]"):
        Given(folder.samples.codes[:2, :5], None, folder.generator)
    with pytest.raises(ValueError, match="got 1 for 2 codes"):
        Given(folder.samples.codes[:2], ["a"], folder.generator)


def test_codes_are_drawn_by_the_network_that_was_tuned_around_them(explored):
    folder = RunFolder.open(explored)
    tuned = copy.deepcopy(folder.generator)
    tuned.synthesis.rgbs[-1].bias.data += 0.2
    names, codes = ["a.png", "b.png"], folder.samples.codes[:2]
    plain, ours = (
        Drawing(folder, Given(codes, names, folder.generator, drawer), ["warmth"], "norm").picture(
            State(sample=1)
        )
        for drawer in (None, tuned)
    )
    inside = (plain > 0) & (plain < 220)
    assert np.allclose((ours.astype(int) - plain)[inside], 0.2 * 127.5, atol=1)


def test_saved_codes_are_moved_again(served, explored, tmp_path):
    state = {"sample": 5, "moves": [{"semantic": "warmth", "step": 1.5, "layers": [3]}]}
    (tmp_path / "saved.npz").write_bytes(served.ask("api/codes", state)[1])
    folder = RunFolder.open(explored)
    saved = Given(*read_codes(tmp_path / "saved.npz", folder.generator)[:2], folder.generator)
    drawing, own = (Drawing(folder, each, ["warmth"], "norm") for each in (saved, OfRun(folder.samples)))
    assert np.array_equal(drawing.picture(State(sample=0)), own.picture(State.model_validate(state)))


def test_the_command_takes_codes(explored, tmp_path, monkeypatch):
    codes = RunFolder.open(explored).samples.codes[:1]
    np.savez(tmp_path / "projected_w.npz", w=codes)
    served = []
    monkeypatch.setattr(serving, "serve", lambda *given: served.append(given[-1]))
    run("explore", explored, "--port", 0, "--codes", tmp_path / "projected_w.npz", "--quiet")
    assert np.array_equal(served[0].codes(0), codes[0]) and served[0].names == ("0",)
    np.savez(tmp_path / "far.npz", w=np.concatenate([codes, 9 * codes]))
    run("explore", explored, "--port", 0, "--codes", tmp_path / "far.npz", "--quiet")
    (note,) = served[1].notes
    assert note.startswith("Farther from the mean than 99 % of samples: 1. ") and not served[0].notes
    refused = run("explore", explored, "--port", 0, "--codes", tmp_path / "none.npz", code=1).output
    assert "none.npz: there is no such file" in refused
