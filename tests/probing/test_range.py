"""Predictors are promised images in [-1, 1], whatever a generator draws, at every stage."""

import pytest
import torch

from higan_fast.engine.engine import Engine
from higan_fast.engine.scoring import score
from higan_fast.predictors.base import Predictor
from higan_fast.probing import fit_boundaries, jitter, manipulate, sample, verify
from tests.toy import ToyGenerator, ToyPredictor


class Loud(ToyGenerator):
    """Draws far beyond white and black."""

    def image(self, activation):
        return 4 * super().image(activation)


class Strict(Predictor):
    """Scores as another predictor does, and refuses what it was never promised."""

    not_fingerprinted = ("seen",)

    def __init__(self, predictor):
        super().__init__()
        self.predictor, self.semantics, self.seen = predictor, predictor.semantics, 0.0

    def forward(self, images):
        assert images.detach().abs().max() <= 1
        self.seen = max(self.seen, float(images.detach().abs().max()))
        return self.predictor(images)


@pytest.fixture(scope="module")
def loud():
    generator = Loud()
    return generator, Strict(ToyPredictor(generator))


@pytest.fixture(scope="module")
def codes(loud):
    with torch.no_grad():
        codes = loud[0].map(torch.randn(4, 12, generator=torch.Generator().manual_seed(0)))
        assert loud[0].synthesize(codes).abs().max() > 1.3
    return codes


def test_every_stage_scores_images_in_range(loud):
    generator, predictor = loud
    samples = sample(generator, predictor, 200, progress=False)
    boundaries = fit_boundaries(samples, ["view"], chosen_num=50, progress=False)
    for number in ({"num": 4}, {"max_samples": 64}):
        found = verify(
            generator,
            predictor,
            boundaries,
            **number,
            num_null=4,
            screening=2,
            precision="fast",
            progress=False,
        )
        assert found.images > 0
    assert predictor.seen == 1, "this generator goes beyond"


def test_manipulated_images_are_those_that_would_be_scored(loud, codes, boundaries):
    generator, predictor = loud
    images = manipulate(generator, codes, boundaries["view"], steps=(-2.0, 0.0))
    assert images.abs().max() == 1
    assert jitter(generator, codes, boundaries["view"], num=2).abs().max() == 1
    with torch.inference_mode():
        torch.testing.assert_close(predictor(images[:, 1]), Engine(generator, predictor).scores(codes))


def test_a_pixel_beyond_the_range_has_no_gradient(loud):
    predictor = loud[1]
    images = torch.full((1, 3, 16, 16), 0.5)
    images[..., 0] = 1.4
    images.requires_grad_()
    score(predictor, images).sum().backward()
    assert (images.grad[..., 0] == 0).all() and (images.grad[..., 1] != 0).all()
