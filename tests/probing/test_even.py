"""The even part: what a step changes whichever way it goes, beside the effect, which is odd."""

import numpy as np
import pytest
import torch

from higan_fast.predictors.base import ModulePredictor
from higan_fast.probing import Boundaries, Boundary, verify
from tests.toy import NUM_LAYERS
from tests.toy_families import LinearToy

STEP = 1.5
ROUNDING = 1e-6  # the toy's directions have unit length to float32
OPTIONS = {"step": STEP, "num_null": 8, "confidence": 0.95, "progress": False}


class Linear(LinearToy):
    """No w reaches direction 0."""

    def mapping(self, z, label=None):
        w, first = super().mapping(z), self.directions[0]
        return w - ((w - self.w_avg) @ first)[:, None] * first


@pytest.fixture(scope="module")
def world():
    """Scores: "square", 0.05 x² with x the strength of pattern 0, and "line", the strength of pattern 1."""
    generator = Linear().double()
    patterns = generator.patterns[:2].flatten(1)

    def scores(images):
        strengths = images.flatten(1) @ patterns.T.to(images)
        return torch.stack([0.05 * strengths[:, 0] ** 2, strengths[:, 1]], dim=1)

    predictor = ModulePredictor(scores, ["square", "line"])
    boundaries = Boundaries(
        tuple(
            Boundary(name, "attribute", "w", generator.directions[layer].numpy())
            for layer, name in enumerate(("square", "line"))
        )
    )
    return generator, predictor, boundaries


def check(found):
    """A step of λ either way adds 0.05 λ² to the square, and nothing else is even."""
    assert found.even.shape == found.effect.shape
    np.testing.assert_allclose(found.even[:, 0], [[0.05 * STEP**2, 0], [0, 0]], rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(found.effect[:, 0], [[0, 0], [0, STEP]], rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(found.even_error[:, 0], 0, rtol=0, atol=ROUNDING)
    assert (found.even_low <= found.even)[found.samples > 0].all()
    assert (found.even_high >= found.even)[found.samples > 0].all()


def test_a_quadratic_score_has_the_even_part_that_its_curvature_says(world):
    found = verify(*world, num=16, **OPTIONS)
    check(found)
    by_layer = np.zeros((NUM_LAYERS, 2))
    by_layer[0, 0] = 0.05 * STEP**2
    np.testing.assert_allclose(found.even[0, 1:], by_layer, rtol=0, atol=ROUNDING)
    check(verify(*world, max_samples=64, **OPTIONS))
