"""Sequential verification: the same findings on fewer images, and nothing lost when it is killed."""

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

import higan_fast.engine.engine as engine
import higan_fast.engine.journal as journal
import higan_fast.probing.measurement as measurement
from higan_fast.predictors.base import ModulePredictor
from higan_fast.probing import Boundaries, Boundary, Verification, fit_boundaries, sample, verify
from higan_fast.probing.freed import FREED_SAMPLES
from higan_fast.probing.sequential import LAYER_NULL_SAMPLES
from tests.kills import die_at_write
from tests.processes import exit_code
from tests.toy import CODE_DIM, LAYER_OF, NUM_LAYERS, SEMANTICS, toy

NAMES = [semantic.name for semantic in SEMANTICS]
OPTIONS = {"null": "isotropic", "num_null": 32, "max_samples": 400, "confidence": 0.95, "progress": False}
FIXED = 200  # samples for everything


@pytest.fixture(scope="module")
def mixed(boundaries):
    """Those that were fitted, and one that is no more than a random direction."""
    normal = np.random.default_rng(0).normal(size=CODE_DIM)
    return Boundaries(
        (
            *boundaries.boundaries,
            Boundary("constant", "attribute", "w", normal / np.linalg.norm(normal)),
        )
    )


@pytest.fixture(scope="module")
def counted(mixed):
    """What is found, and in how many rounds."""
    with pytest.MonkeyPatch.context() as patch:
        rounds = count_rounds(patch)
        return verify(*toy(), mixed, **OPTIONS), len(rounds)


@pytest.fixture(scope="module")
def found(counted):
    return counted[0]


@pytest.fixture(scope="module")
def exhaustive(mixed):
    return verify(*toy(), mixed, num=FIXED, null="isotropic", confidence=0.95, progress=False)


def same(one: Verification, other: Verification) -> None:
    for name, value in vars(one).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(other, name), value)
        else:
            assert getattr(other, name) == value, name


def test_the_findings_are_those_of_a_fixed_number_of_samples(found, exhaustive):
    assert found.beats_null.tolist() == exhaustive.beats_null.tolist() == [True] * 4 + [False]
    for name, layer in LAYER_OF.items():
        assert found.best_layer(name) == exhaustive.best_layer(name) == layer
    assert found.best_layer("constant") is None
    assert found.rank()[-1] == "constant"
    assert found.num_undecided() == 0
    layers = [set(np.flatnonzero(row)) for row in found.layer_beats_null]
    # The effect of "bed" is beyond the null's by too little for the correction for 25 layers.
    assert layers == [set() if name == "bed" else {LAYER_OF[name]} for name in found.boundary_names[:4]] + [
        set()
    ]
    means = {"layout": 0.0, "object": None, "attribute": 3.0, "color": 4.0}
    assert found.mean_layer_by_level() == pytest.approx(means)


def test_it_takes_few_images_and_says_how_many(found, exhaustive):
    assert found.images < found.images_fixed / 6
    each = 1 + 2 * (5 + 32) * (1 + NUM_LAYERS)
    freed, freed_too = (2 * FREED_SAMPLES * len(one.freed) for one in (found, exhaustive))
    assert (found.images_fixed, exhaustive.images) == (400 * each + freed, FIXED * each + freed_too)
    measured = 2 * int(found.samples.sum())
    null = found.images - freed - measured - int(found.samples.max())  # all layers, and each alone
    assert null == 2 * 32 * (256 + NUM_LAYERS * LAYER_NULL_SAMPLES)
    assert (found.samples[4, 1:] == 0).all(), "no effect, no layers"
    assert json.dumps(found.to_json(), allow_nan=False)
    rows = {row["name"]: row for row in found.to_json()["semantics"]}
    assert rows["constant"]["profile"][0]["effect"] is None
    assert rows["view"]["samples"] == found.samples[0].max()


def test_what_was_measured_agrees_and_what_was_not_is_missing(found, exhaustive):
    missing = np.isnan(found.effect)
    np.testing.assert_array_equal(missing.any(axis=2), found.samples == 0)
    covered = (found.low <= exhaustive.effect) & (exhaustive.effect <= found.high)
    # confidence sequences of 95 %, and the truth as well as 200 samples tell it
    assert covered[~missing].mean() > 0.95
    assert (found.low[~missing] <= found.effect[~missing]).all()
    everything = verify(*toy(), {"view": along_the_first_axis()}, num=32, num_null=2, progress=False)
    assert not np.isnan(everything.effect).any()


def along_the_first_axis():
    return Boundary("view", "layout", "w", np.eye(CODE_DIM)[0])


@pytest.mark.parametrize("goal", ["effect", "ranking"])
def test_questions_without_layers_measure_none(mixed, goal):
    answer = verify(*toy(), mixed, decide=goal, **OPTIONS)
    assert answer.beats_null.tolist() == [True] * 4 + [False]
    assert (answer.samples[:, 1:] == 0).all() and not answer.layer_beats_null.any()
    assert answer.best_layer("view") is None and answer.mean_layer("view") is None
    assert answer.images_fixed == 400 * (1 + 2 * (5 + 32)) + 2 * FREED_SAMPLES * len(answer.freed)
    rows = [answer.boundary_names.index(name) for name in answer.rank()[:4]]
    own = [answer.in_deviations()[row, 0, NAMES.index(answer.boundary_names[row])] for row in rows]
    assert own == sorted(own, reverse=True)


def test_boundaries_in_z_are_asked_for_an_effect(samples):
    in_z = fit_boundaries(samples, chosen_num=800, space="z", progress=False)
    answer = verify(*toy(), in_z, **OPTIONS)
    assert answer.settings["decide"] == "effect"
    assert answer.effect.shape == (4, 1, 5)
    assert answer.beats_null.any()
    with pytest.raises(ValueError, match="a boundary in z moves all layers"):
        verify(*toy(), in_z, decide="top-layer", **OPTIONS)


def test_a_known_range_of_the_scores_is_used():
    generator, predictor = toy()

    def squashed(images):
        return torch.sigmoid(predictor(images))

    bounded = ModulePredictor(squashed, SEMANTICS, score_range=(0.0, 1.0))
    samples = sample(generator, bounded, 2000, progress=False)
    boundaries = fit_boundaries(samples, chosen_num=500, progress=False)
    answer = verify(generator, bounded, boundaries, **OPTIONS)
    assert answer.beats_null.all()
    assert [answer.best_layer(name) for name in answer.boundary_names] == list(LAYER_OF.values())
    rows = range(len(boundaries))
    columns = [NAMES.index(name) for name in answer.boundary_names]
    width = (answer.high - answer.low)[rows, 0, columns]
    spread = answer.standard_error[rows, 0, columns]
    assert (width > 4 * spread).all()  # it holds at every number of samples
    assert np.array_equal(answer.asymptotic, [False] * 5)
    bounded.score_range = (0.0, 0.1)
    with pytest.raises(ValueError, match="give the true range of the scores"):
        verify(generator, bounded, boundaries, **OPTIONS)


def count_rounds(monkeypatch, stop_after=None):
    """Lists the rounds that are measured; interrupts before one when there are enough."""
    rounds, tally = [], measurement.Measurement.tally

    def counting(self, directions, samples, *arguments, **options):
        if stop_after is not None and len(rounds) >= stop_after:
            raise KeyboardInterrupt
        rounds.append(samples)
        return tally(self, directions, samples, *arguments, **options)

    monkeypatch.setattr(measurement.Measurement, "tally", counting)
    return rounds


def test_an_interrupted_verification_goes_on_and_gives_the_same_answer(mixed, counted, tmp_path, monkeypatch):
    found, total = counted
    assert total > 6
    count_rounds(monkeypatch, stop_after=4)
    with pytest.raises(KeyboardInterrupt):
        verify(*toy(), mixed, out=tmp_path, **OPTIONS)
    monkeypatch.undo()
    kept = sorted((tmp_path / "verification").glob("*/rounds/*.npz"))
    assert len(kept) == 4
    kept[1].write_bytes(b"torn by another program")
    rounds = count_rounds(monkeypatch)
    same(verify(*toy(), mixed, out=tmp_path, **OPTIONS), found)
    assert len(rounds) == total - 3
    rounds.clear()
    same(verify(*toy(), mixed, out=tmp_path, **OPTIONS), found)
    assert rounds == []
    verify(*toy(), mixed, out=tmp_path, **OPTIONS | {"max_samples": 300})
    assert len(rounds) < total, "a round is the same whatever the question"
    monkeypatch.undo()
    rounds = count_rounds(monkeypatch, stop_after=4)
    with pytest.raises(KeyboardInterrupt):
        verify(*toy(), mixed, out=tmp_path, step=1.0, **OPTIONS)
    assert len(rounds) == 4, "other settings, other rounds"


def test_a_round_that_is_interrupted_is_not_lost(mixed, found, tmp_path, monkeypatch):
    """The first round is the longest: every boundary and random direction on all layers and on each."""
    first_round = 2 * 32 * (5 * (1 + NUM_LAYERS) + 32)
    monkeypatch.setattr(journal, "SCORES", 500)
    score, scored = engine.score, []

    def stopping(predictor, images):
        scored.append(len(images))
        if sum(scored) > first_round // 2:
            raise KeyboardInterrupt
        return score(predictor, images)

    monkeypatch.setattr(engine, "score", stopping)
    with pytest.raises(KeyboardInterrupt):
        verify(*toy(), mixed, out=tmp_path, **OPTIONS)
    assert not list((tmp_path / "verification").glob("*/rounds/*.npz"))
    monkeypatch.setattr(engine, "score", lambda *given: scored.append(len(given[1])) or score(*given))
    scored.clear()
    same(verify(*toy(), mixed, out=tmp_path, **OPTIONS), found)
    assert sum(scored) < found.images - first_round // 2 + 1200  # and some base samples
    assert not list(tmp_path.rglob("in-work/*"))


def verify_and_die(folder, mixed, write):
    """Verifies until a given file is about to be renamed, and is killed there."""
    die_at_write(write, lambda: verify(*toy(), mixed, out=folder, **OPTIONS))


def test_sigkill_at_a_write(mixed, found, tmp_path):
    for write in (1, 3):
        assert exit_code(verify_and_die, tmp_path, mixed, write) == -signal.SIGKILL
    same(verify(*toy(), mixed, out=tmp_path, **OPTIONS), found)
    assert not list(tmp_path.rglob("*.partial"))


def test_saving_and_loading_keep_everything(found, tmp_path):
    found.save(tmp_path / "verification.npz")
    same(Verification.load(tmp_path / "verification.npz"), found)


def test_running_out_of_samples_is_said(boundaries):
    few = verify(*toy(), boundaries, **OPTIONS | {"max_samples": 12})
    assert not few.beats_null.any() and few.undecided.all()
    assert all(few.reason(name).startswith(("ran out of ", "still open at ")) for name in few.boundary_names)
    assert few.reason("bed").endswith("a larger max_samples (--max-samples 32) allows another")
    three = ["view", "wood", "hue"]
    near = {
        name: replace(b, deviation=b.deviation * (1.045 if name == "view" else 1))
        for name, b in boundaries.items()
    }  # view and hue differ by half the margin
    some = verify(*toy(), near, semantics=three, decide="ranking", **OPTIONS | {"max_samples": 32})
    assert some.beats_null.all() and {some.status(name) for name in three} == {"shown"}
    assert 0 < some.num_undecided() < 3  # of some the place in the order is known, of others not yet
    for name, undecided in zip(three, some.undecided, strict=True):
        assert ("its place in the ranking is undecided" in some.reason(name)) == undecided
    assert json.dumps(few.to_json(), allow_nan=False)


def test_more_samples_decide_what_ran_out_of_looks(boundaries, tmp_path, monkeypatch):
    few = verify(*toy(), boundaries, decide="effect", out=tmp_path, **OPTIONS | {"max_samples": 50})
    assert few.status("bed") == "undecided" and not few.beats_null[few.row("bed")]
    assert "(--max-samples 64) allows another" in few.reason("bed")
    assert few.p_adjusted[few.row("bed")] > few.p_required[few.row("bed")]
    rounds = count_rounds(monkeypatch)
    more = verify(*toy(), boundaries, decide="effect", out=tmp_path, **OPTIONS)
    assert {more.status(name) for name in more.boundary_names} == {"shown"}
    assert rounds and rounds[0].start == 32  # it goes on where it was
    for found in (few, more):
        compared = (found.p_adjusted <= found.p_required) & (found.sign > 0)
        np.testing.assert_array_equal(compared, found.beats_null)
    np.testing.assert_array_equal(more.p_required[few.beats_null], few.p_required[few.beats_null])
