"""What boundaries move beside, with samples of its own, and what it costs to leave that alone."""

import json

import numpy as np
import pytest
import torch

from higan_fast.predictors.base import ModulePredictor
from higan_fast.probing import Boundaries, Boundary, verify
from higan_fast.probing.freed import FREED_SAMPLES, MOST_PAIRS, as_long
from higan_fast.probing.side_effects import SIDE_SAMPLES, SMALL, prices, side_effects
from tests.probing.same import same
from tests.toy import CODE_DIM, NUM_LAYERS
from tests.toy_families import LinearToy

OPTIONS = {"decide": "effect", "null": "isotropic", "num_null": 32, "confidence": 0.95, "progress": False}


@pytest.fixture(scope="module")
def world():
    """A score of pattern 0, one of 0 and 1 together, and one of pattern 2 alone; all have a range."""
    generator = LinearToy().double()
    patterns = generator.patterns[:3].flatten(1)

    def scores(images):
        strengths = images.flatten(1) @ patterns.T.to(images)
        return torch.stack(
            [strengths[:, 0], strengths[:, 0] + strengths[:, 1], strengths[:, 2]], dim=1
        ).clamp(-8, 8)

    predictor = ModulePredictor(scores, ["alone", "both", "other"], score_range=(-8, 8))
    first, second, third = generator.directions[:3].numpy()
    mixed = (first + second) / np.linalg.norm(first + second)
    normals = {"alone": first, "both": mixed, "other": third}
    boundaries = (Boundary(name, "attribute", "w", normal) for name, normal in normals.items())
    return generator, predictor, Boundaries(tuple(boundaries))


@pytest.fixture(scope="module")
def found(world):
    return verify(*world, max_samples=400, **OPTIONS)


def test_what_moves_another_semantic_is_said_and_nothing_else(found):
    assert found.beats_null.all()
    assert {(e.boundary, e.semantic) for e in side_effects(found)} == {("alone", "both"), ("both", "alone")}
    assert not found.moves[:, 2][:2].any() and not np.diag(found.moves).any()
    sizes = [abs(effect.size) for effect in side_effects(found)]
    assert sizes == sorted(sizes, reverse=True) and min(sizes) >= SMALL
    assert side_effects(found, at_least=100) == []


def test_what_is_open_gets_samples_of_its_own(found):
    # "other" moves neither, by intervals that need more samples than its own effect does.
    row = found.row("other")
    assert found.tested_on[row] < found.samples[row, 0] <= SIDE_SAMPLES
    half = (found.high - found.low)[row, 0, :2] / 2 / found.deviation[:2]
    assert found.samples[row, 0] == SIDE_SAMPLES or (half < SMALL).all()


def test_freed_boundaries_leave_the_other_alone_and_cost_what_they_shared(world, found):
    one, other = prices(found)
    assert {(p.boundary, p.without) for p in (one, other)} == {("alone", "both"), ("both", "alone")}
    assert found.freed.tolist() == [[found.row(p.boundary), found.row(p.without)] for p in (one, other)]
    for price in (one, other):
        boundary, without = (world[2][name].normal for name in (price.boundary, price.without))
        rest = boundary - boundary @ without * without
        kept = np.linalg.norm(rest)  # of a linear score, the part of the direction that it still has
        assert price.own.after == pytest.approx(kept * price.own.before, abs=0.15)
        assert price.own.low <= price.own.after <= price.own.high
        assert abs(price.other.after) < 0.15 < abs(price.other.before)
    listed = json.loads(json.dumps(found.to_json(), allow_nan=False))["freed"]
    assert [(entry["boundary"], entry["without"]) for entry in listed] == [(p[0], p[1]) for p in (one, other)]
    assert listed[0]["own"]["after"] == one.own.after


def test_freed_boundaries_are_kept_and_counted(world, tmp_path):
    options = OPTIONS | {"num": 80, "decide": None}
    whole = verify(*world, **options)
    assert len(whole.freed) == 2 <= MOST_PAIRS
    assert whole.images == 80 * (1 + 2 * (3 + 32) * (1 + NUM_LAYERS)) + 2 * 2 * FREED_SAMPLES
    same(verify(*world, out=tmp_path, **options), whole)
    assert len(list((tmp_path / "verification").glob("*/freed/*.npz"))) == 1
    same(verify(*world, out=tmp_path, **options), whole)


def test_a_direction_that_is_the_other_one_cannot_be_freed_of_it(world):
    generator, predictor, boundaries = world
    twins = Boundaries((boundaries["alone"], Boundary("both", "attribute", "w", boundaries["alone"].normal)))
    found = verify(generator, predictor, twins, num=80, **OPTIONS | {"decide": None})
    assert len(side_effects(found)) == 2 and found.freed.shape == (0, 2) and prices(found) == []
    assert len(boundaries["alone"].normal) == CODE_DIM


def test_a_freed_boundary_takes_steps_as_long_on_each_layer():
    random = np.random.default_rng(0)
    normal, step = random.normal(size=(2, 3, 4))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(as_long(normal, step), axis=1), np.linalg.norm(step, axis=1))
    whole = normal * np.array([[0.9], [0.4], [0.0]])  # a W+ direction keeps its profile
    whole /= np.linalg.norm(whole)
    found = as_long(whole, 2.5 * whole)
    np.testing.assert_allclose(found, 2.5 * whole)
    np.testing.assert_allclose(np.linalg.norm(as_long(normal[0], step[0])), np.linalg.norm(step[0]))
