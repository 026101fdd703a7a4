"""The comparison of methods: effects are measured once, and claims of shuffled scores counted."""

import re

import numpy as np
import pytest

import benchmarks.boundaries.claims as claims
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
    monkeypatch.setattr(claims, "RUNS", 50)
    monkeypatch.setattr(claims, "CHOSEN", 200)
    said = claims.claims_of_shuffled(effects, samples, method, weight, 3, 0.5)
    assert said.startswith("claims in ") and all(null in said for null in ("isotropic", "covariance", "both"))


def test_random_directions_are_claimed_no_more_often_than_stated(effects, samples, monkeypatch):
    monkeypatch.setattr(claims, "RUNS", 100)
    monkeypatch.setattr(claims, "NULL", 16)
    for kind in ("isotropic", "covariance"):
        said = claims.claims_of_random(effects, samples, kind, 20, 0.5)
        assert float(re.search(r"([\d.]+) % against both", said).group(1)) <= 2


def test_directions_that_move_are_claimed_and_those_of_the_null_are_not(monkeypatch):
    monkeypatch.setattr(claims, "RUNS", 200)
    random, unit = np.random.default_rng(0), np.ones(4)
    gradients = random.normal(size=(40, 4))  # of four scores
    null = [claims.Moved(moves := random.normal(size=(64, 40)), np.tile(moves @ gradients, (32, 1, 1)))]
    moves = np.tile(gradients.sum(axis=1), (10, 1))
    strong = claims.Moved(moves, moves @ gradients + 1e-3 * random.normal(size=(32, 10, 4)))
    assert claims.claimed([strong], null, unit, random) == 1
    like_null = []
    for _ in range(4):
        moves = random.normal(size=(10, 40))
        like_null.append(claims.Moved(moves, moves @ gradients + 1e-3 * random.normal(size=(32, 10, 4))))
    assert claims.claimed(like_null, null, unit, random) < 0.2  # from ten directions alone
