"""Effects on logits stand beside those on scores, and change nothing about these."""

import numpy as np
import pytest
import torch

from higan_fast.predictors import ModulePredictor, load_predictor
from higan_fast.predictors.base import LogitsOf
from higan_fast.probing import verify
from higan_fast.sampling.latents import VERIFICATION, make_codes
from tests.toy import LAYER_OF, NUM_LAYERS, SEMANTICS, ToyPredictor, toy

NAMES = [semantic.name for semantic in SEMANTICS]
BED = NAMES.index("bed")
OPTIONS = {"num_null": 8, "confidence": 0.9, "progress": False}
FIGURES = ("logit_effect", "logit_error", "logit_low", "logit_high")


class WithLogits(ToyPredictor):
    """Says of which logit the score of "bed" is the sigmoid."""

    has_logits = tuple(name == "bed" for name in NAMES)

    def logits(self, images):
        scores = self(images)
        strength = images.flatten(1) @ self.patterns[LAYER_OF["bed"]].flatten()
        return scores.index_copy(1, torch.tensor([BED]), 2 * strength[:, None])


def with_logits():
    generator, _ = toy()
    return generator, WithLogits(generator)


@pytest.mark.parametrize("until", [{"num": 32}, {"max_samples": 64}], ids=["fixed", "sequential"])
def test_scores_are_as_without_logits(boundaries, until):
    found, without = (
        verify(*networks, boundaries, **until, **OPTIONS) for networks in (with_logits(), toy())
    )
    np.testing.assert_allclose(found.effect, without.effect, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.even_error, without.even_error, rtol=0, atol=1e-6)
    assert found.rank() == without.rank() and found.images == without.images
    others = [column for column in range(len(NAMES)) if column != BED]
    for name in FIGURES:
        measured = np.isfinite(found.effect[..., BED])
        assert not np.isnan(getattr(found, name)[..., BED][measured]).any()
        assert np.isnan(getattr(found, name)[..., others]).all()
        assert np.isnan(getattr(without, name)).all()


def test_effects_on_logits_are_those_of_a_plain_loop(boundaries):
    generator, predictor = with_logits()
    found = verify(generator, predictor, boundaries, num=32, **OPTIONS)
    row, layer = found.row("bed"), LAYER_OF["bed"]
    with torch.no_grad():
        codes = make_codes(generator, 1, 0, 32, stream=VERIFICATION).codes
        move = torch.zeros(NUM_LAYERS, codes.shape[2])
        move[layer] = torch.tensor(2.0 * boundaries["bed"].normal)
        plus, minus = (
            predictor.logits(generator.synthesize(codes + sign * move).clamp(-1, 1))[:, BED]
            for sign in (1, -1)
        )
    effects = ((plus - minus) / 2).double().numpy()
    at = row, 1 + layer, BED
    assert found.logit_effect[at] == pytest.approx(effects.mean(), abs=1e-5)
    assert found.logit_error[at] == pytest.approx(effects.std(ddof=1) / np.sqrt(32), abs=1e-5)
    assert found.logit_low[at] < effects.mean() < found.logit_high[at]
    assert found.logit_effect[at] > 2 * found.effect[at]  # a probability cannot move as far
    entry = next(entry for entry in found.to_json()["semantics"] if entry["name"] == "bed")
    assert entry["profile"][layer]["logit_effect"] == found.logit_effect[at]


def test_a_predictor_without_logits_has_none():
    _, predictor = toy()
    assert not any(predictor.has_logits)
    with pytest.raises(NotImplementedError):
        LogitsOf(predictor)(torch.zeros(1, 3, 16, 16))


def test_some_scores_have_a_range():
    predictor = ModulePredictor(torch.nn.Flatten(), ["red", "green"], score_range={"green": (0.0, 1.0)})
    assert predictor.score_ranges == (None, (0.0, 1.0))
    with pytest.raises(
        ValueError, match="score_range: got one for 'blue', expected names of the semantics: red"
    ):
        ModulePredictor(torch.nn.Flatten(), ["red", "green"], score_range={"blue": (0.0, 1.0)})


def test_a_range_is_given_where_a_module_is_loaded():
    network = torch.nn.Flatten()
    assert load_predictor(network, ["red"], score_range=(0.0, 2.0)).score_ranges == ((0.0, 2.0),)
    with pytest.raises(ValueError, match="score_range: 'color' says itself between what its scores lie"):
        load_predictor("color", score_range=(0.0, 1.0))
    with pytest.raises(ValueError, match="score_range: a ToyPredictor says itself"):
        load_predictor(toy()[1], score_range=(0.0, 1.0))


@pytest.mark.parametrize("ends", [(1.0, 0.0), (0.0, 0.0), (np.nan, 1.0)])
def test_a_range_that_is_none_is_refused(boundaries, ends):
    generator, predictor = toy()
    with pytest.raises(ValueError, match=r"score_range: got \[.*\], expected \(low, high\)"):
        ModulePredictor(predictor, SEMANTICS, score_range=ends)
    ranged = ModulePredictor(predictor, SEMANTICS)
    ranged.score_range = ends  # as a predictor of one's own may state
    with pytest.raises(ValueError, match=r"score_ranges: the predictor says .* for 'view', expected"):
        verify(generator, ranged, boundaries, **OPTIONS)


def test_the_embedded_predictor_gives_logits_of_its_probabilities():
    import higan_fast as hf

    predictor = hf.load_predictor("scenes")
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    scores, logits = predictor(images), predictor.logits(images)
    has = torch.tensor(predictor.has_logits)
    assert has.sum() == 8
    torch.testing.assert_close(logits[:, has].sigmoid(), scores[:, has])
    torch.testing.assert_close(logits[:, ~has], scores[:, ~has])
