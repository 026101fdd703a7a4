"""The comparison of methods: effects are measured once, and claims of shuffled scores counted."""

import numpy as np
import pytest

import benchmarks.boundaries.shuffled as shuffled
from benchmarks.boundaries.effects import Effects
from higan_fast.engine.engine import Engine
from tests.toy import toy


@pytest.fixture
def effects(tmp_path):
    return Effects(Engine(*toy()), tmp_path, 16)


def test_effects_are_paired_and_measured_once(effects):
    generator, predictor = toy()
    moves = 0.5 * generator.directions.double().numpy()
    found = effects.of("toy", moves)
    assert found.shape == (16, 5, 5)
    codes = effects.drawn.codes
    shift = 0.5 * generator.directions[0]
    forth, back = (predictor(generator.synthesize(codes + sign * shift).clamp(-1, 1)) for sign in (1, -1))
    np.testing.assert_allclose(found[:, 0], ((forth - back) / 2).detach().numpy(), atol=1e-5)
    effects.engine = None  # nothing is measured again
    np.testing.assert_array_equal(effects.of("toy", moves), found)


@pytest.mark.parametrize(("method", "weight"), [("difference", None), ("logistic", "auto")])
def test_boundaries_of_shuffled_scores_are_counted(effects, samples, monkeypatch, method, weight):
    monkeypatch.setattr(shuffled, "RUNS", 50)
    monkeypatch.setattr(shuffled, "CHOSEN", 200)
    said = shuffled.claims_of_shuffled(effects, samples, method, weight, 3, 0.5)
    assert said.startswith("claims in ") and "isotropic" in said and "covariance" in said


def test_directions_that_move_are_claimed_and_those_of_the_null_are_not(monkeypatch):
    monkeypatch.setattr(shuffled, "RUNS", 200)
    random = np.random.default_rng(0)
    null, unit = random.normal(size=(64, 4)), np.ones(4)
    strong = 20 + random.normal(size=(1, 32, 10, 4))
    assert shuffled._claimed(strong, null, unit, random) == 1
    like_null = random.normal(size=(4, 1, 10, 4)) + 1e-3 * random.normal(size=(4, 32, 10, 4))
    assert shuffled._claimed(like_null, null, unit, random) < 0.2  # from ten directions alone
