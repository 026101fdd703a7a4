"""The short version of ``python -m benchmarks.coverage``: intervals hold, and what is decided is right."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

import higan_fast as hf
from benchmarks.coverage import effects as measuring
from benchmarks.coverage import figures
from benchmarks.coverage.effects import Effects, flips
from benchmarks.coverage.runs import runs
from higan_fast.sampling.latents import VERIFICATION, make_codes

CONFIDENCE, RUNS = 0.99, 25


def most(allowed, num=RUNS):
    """How many of ``num`` runs may fail where a share of ``allowed`` may; more come once in 10,000 tests."""
    return scipy.stats.binom.ppf(0.9999, num, allowed)


def saturated(num=20_000):
    """Effects like the demo's: probabilities near 0 or 1, which few samples change, and two open scores."""
    random = np.random.default_rng(0)
    moves = np.array(
        [[6.0, 4.0, 1.0, 0.2], [3.0, 0.3, 2.0, -0.5], [4.0, 2.0, 1.5, 0.0], [3.0, 0.1, 2.5, 0.4]]
    )
    logits = 6 * random.normal(size=(num, 4, 1))
    moved = moves * (1 + 0.2 * random.normal(size=(num, 4, 4)))
    odd = (scipy.special.expit(logits + moved) - scipy.special.expit(logits - moved)) / 2
    odd[:, 2:] = 0.1 * moved[:, 2:] * random.gamma(4, 0.25, (num, 2, 1))  # skewed, and never 0
    null = 1e-3 * random.normal(size=(1, 32, 4)) + 0.02 * random.normal(size=(num, 32, 4))
    none = np.zeros((num, 4, 4, 0))
    return Effects(odd, null, np.array([0.5, 0.5, np.inf, np.inf]), none, none, ("a", "b", "c", "d"))


@pytest.mark.parametrize("world", [saturated, flips])
def test_intervals_hold_and_decisions_are_right(world):
    effects = world()
    found = runs(*effects[:3], CONFIDENCE, RUNS)
    missed, measured = figures.misses(effects, found)
    assert measured.any(axis=0).sum() >= (16 if world is saturated else 3)
    assert missed.sum(axis=0).max() <= most(figures.ACCEPTED)
    assert missed.sum() <= most(figures.ACCEPTED, int(measured.sum()))
    assert figures.wrong(effects, found).sum() <= most(1 - CONFIDENCE)
    assert found["has_effect"].all()
    # All top layers are found but where flips are too rare to be told from the steady layer by 1,000 samples.
    assert (found["top_layer"] >= 0).mean() > (0.99 if world is saturated else 0.0)


def test_without_the_range_of_what_flips_nothing_is_said():
    effects = flips()
    found = runs(effects.own, effects.null, np.inf, CONFIDENCE, 4)
    assert np.isinf(found["low"][:, :, 1]).all() and (found["top_layer"] < 0).all()


def test_runs_go_on_where_they_were(tmp_path, monkeypatch):
    effects, file = flips(2_000), tmp_path / "runs.npz"
    done, again = [], []
    runs(*effects[:3], CONFIDENCE, 2, file, done.append)
    found = runs(*effects[:3], CONFIDENCE, 3, file, again.append)
    whole = runs(*effects[:3], CONFIDENCE, 3)
    assert (len(done), len(again)) == (2, 1)
    for name in whole.keys() - {"seconds"}:
        np.testing.assert_array_equal(found[name], whole[name])


def test_what_misses_is_counted():
    effects = saturated(2_000)
    found = runs(*effects[:3], CONFIDENCE, 10)
    column = figures.summary(effects, found, CONFIDENCE)
    assert column["runs with a wrong decision"] == "0 of 10"
    truth = effects.own.mean(axis=0)
    found["low"][0, 1, 2] = truth[1, 2] + 1  # two of ten runs of one entry
    found["high"][5, 1, 2] = truth[1, 2] - 1
    found["top_layer"][3, 0] = 2  # the worst there is
    column = figures.summary(effects, found, CONFIDENCE)
    assert column["worst entry"] == "20.00% (b, layer 1)"
    assert column["entries that miss more often than allowed"] == "1 of 16"
    assert column["runs with a wrong decision"] == "1 of 10"
    missed, _ = figures.misses(effects, found)
    assert missed.sum() == 2


def test_the_scores_of_the_demo_are_measured_once(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "SAMPLES", 300)
    monkeypatch.setattr(measuring, "CHOSEN", 50)
    monkeypatch.setattr(measuring, "NUM_NULL", 2)
    monkeypatch.setattr(measuring, "AT_ONCE", 1)
    scores = measuring.measured(1, tmp_path)
    effects = measuring.effects_of(scores)
    assert effects.own.shape == (1, 14, 11) and effects.null.shape == (1, 2, 14)
    assert np.isfinite(effects.odd).all() and np.isfinite(effects.even).all()
    np.testing.assert_array_equal(effects.own[0, 3], effects.odd[0, 3, :, 3])
    # As a plain pass scores the same sample, moved along the last boundary on all layers.
    generator, predictor = hf.load_generator("scenes"), hf.load_predictor("scenes")
    samples = hf.sample(generator, predictor, 300, out=tmp_path / "samples", progress=False)
    boundary = hf.fit_boundaries(samples, ["bed"], method="svm", chosen_num=50, progress=False)["bed"]
    codes = make_codes(generator, measuring.SEED, 0, 1, stream=VERIFICATION).codes
    move = torch.tensor(measuring.STEP * boundary.normal, dtype=torch.float32)
    with torch.no_grad():
        plus, minus = (predictor(generator.synthesize(codes + sign * move))[0] for sign in (1, -1))
    row = effects.names.index("bed")
    np.testing.assert_allclose(effects.odd[0, row, 0], (plus - minus) / 2, rtol=0, atol=1e-4)
    monkeypatch.setattr(measuring, "_measure", None)
    np.testing.assert_array_equal(measuring.measured(1, tmp_path).moved, scores.moved)
