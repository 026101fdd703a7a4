"""Simulated generators: what is said to be true of them is what their rooms do."""

import numpy as np
import pytest
import torch

from higan_fast.predictors.base import LEVELS
from higan_fast.sampling.latents import make_codes
from higan_fast.scenes.factors import SEMANTICS
from higan_fast.scenes.simulated import (
    DEVIATIONS,
    DRIVER_OF,
    NAMES,
    NUM_LAYERS,
    LabelReader,
    SimulatedGenerator,
    picture_reader,
)

NUM = 8192


@pytest.fixture(scope="module", params=[0, 1])
def generator(request):
    return SimulatedGenerator(request.param, drawn=False)


@pytest.fixture(scope="module")
def codes(generator):
    return make_codes(generator, 3, 0, NUM).codes


def scores(generator, codes):
    return LabelReader()(generator.synthesize(codes)).double().numpy()


@torch.inference_mode()
def test_effects_are_those_of_many_samples(generator, codes):
    truth = generator.truth
    column = NAMES.index("lighting" if "lighting" not in truth.blind else "depth")
    weights = truth.weights[:, DRIVER_OF[column]].sum(0)
    move = 2 * weights / np.linalg.norm(weights) if weights.any() else np.ones(len(weights)) / 4
    base, step = scores(generator, codes), torch.from_numpy(move).float()
    for row in range(1 + NUM_LAYERS):
        moved = []
        for sign in (1, -1):
            there = codes.clone()
            there[:, slice(None) if row == 0 else row - 1] += sign * step
            moved.append(scores(generator, there))
        odd, even = (moved[0] - moved[1]) / 2, (moved[0] + moved[1]) / 2 - base
        for found, true in ((odd, truth.effects(move)[row]), (even, truth.even_parts(move)[row])):
            error = found.std(0) / NUM**0.5
            assert (np.abs(found.mean(0) - true) <= 4.5 * error + 1e-6).all()
    assert np.abs(truth.effects(move)[0, column]) > 0.5 * DEVIATIONS[column]


@torch.inference_mode()
def test_factors_have_the_distribution_of_the_world(generator, codes):
    found = scores(generator, codes)
    expected = [1 / 3 if name in ("bed", "sofa", "table") else 0.5 for name in NAMES]
    np.testing.assert_allclose(found.mean(0), expected, atol=0.03)
    np.testing.assert_allclose(found.std(0), DEVIATIONS, atol=0.015)


def test_some_factors_are_moved_by_no_direction(generator):
    truth = generator.truth
    rows = [NAMES.index(name) for name in truth.blind]
    assert len(rows) == 2 and not truth.effects(np.ones(generator.code_dim))[:, rows].any()
    levels = [LEVELS.index(semantic.level) for semantic in SEMANTICS]
    assert truth.ordered == (truth.layer_of[list(DRIVER_OF)] == levels).all()


@torch.inference_mode()
def test_the_room_of_a_code_does_not_depend_on_its_batch(generator, codes):
    together = generator.synthesize(codes[:63])
    parts = torch.cat([generator.synthesize(codes[i : i + 7]) for i in range(0, 63, 7)])
    torch.testing.assert_close(parts, together, rtol=0, atol=1e-5)  # float32 sums, in another order


@torch.inference_mode()
def test_rooms_are_rendered_and_can_be_read():
    drawn = SimulatedGenerator(2)
    codes = make_codes(drawn, 3, 0, 256).codes
    images = drawn.synthesize(codes)
    assert images.shape == (256, 3, 12, 12)
    read = picture_reader()(images).double().numpy()
    written = scores(SimulatedGenerator(2, drawn=False), codes)
    assert read.min() >= 0 and read.max() <= 1
    for column, name in enumerate(NAMES):
        correlation = np.corrcoef(read[:, column], written[:, column])[0, 1]
        assert correlation == pytest.approx(picture_reader().correlations[name], abs=0.15)
    assert min(picture_reader().correlations.values()) > 0.5
