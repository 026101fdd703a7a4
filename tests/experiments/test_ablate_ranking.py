"""Accuracy and effect as rankings, in the toy world."""

import numpy as np
import pytest
import scipy.stats
import torch

from higan_fast.experiments import Finding, Subject, ablate_ranking
from higan_fast.experiments.ablate_ranking import _spread
from higan_fast.predictors.base import Predictor, Semantic
from higan_fast.probing import Samples, fit_boundaries, sample
from tests.toy import SEMANTICS, ToyGenerator, ToyPredictor, toy


class Noisy(Predictor):
    """The toy's scores, each also with much, and with very much, of what no direction of codes explains."""

    def __init__(self, generator: ToyGenerator) -> None:
        super().__init__()
        self.of = ToyPredictor(generator)
        self.semantics = tuple(
            Semantic(f"{each.name}{noise}", each.level) for noise in (0, 2, 9) for each in SEMANTICS
        )

    def forward(self, images):
        scores = self.of(images)
        noise = 3 * (50 * images.flatten(1)[:, : scores.shape[1]]).sin()
        return torch.cat([scores + size * noise for size in (0, 2, 9)], dim=1)


@pytest.fixture(scope="module")
def finding() -> Finding:
    generator, _ = toy()
    predictor = Noisy(generator)
    samples: Samples = sample(generator, predictor, 2000, progress=False)
    boundaries = fit_boundaries(samples, method="difference", chosen_num=400, progress=False)
    return ablate_ranking(
        Subject(generator, predictor, progress=False), samples, boundaries, num=256, confidence=0.95
    )


def test_where_noise_hides_the_direction_both_rankings_fall_alike(finding):
    accuracy = {row["semantic"]: row["accuracy"] for row in finding.rows}
    effect = {row["semantic"]: row["effect_in_deviations"] for row in finding.rows}
    for name in ("view", "wood", "hue"):
        assert accuracy[f"{name}0"] > accuracy[f"{name}2"] > accuracy[f"{name}9"]
        assert effect[f"{name}0"] > effect[f"{name}2"] > effect[f"{name}9"]
    found = finding.figures["effect"]
    assert found["tau"] > 0.5 and found["p"] < 0.01 and found["low"] > 0
    assert "what is separated better tends to move more" in finding.sentences[0]
    expected = scipy.stats.kendalltau(*([row[name] for row in finding.rows] for name in
                                        ("accuracy", "effect_in_deviations")))  # fmt: skip
    assert found["tau"] == pytest.approx(expected.statistic, abs=1e-9)
    assert finding.settings["method"] == "svm" and finding.settings["chosen_num"] == 0.2


def test_few_semantics_cannot_be_ranked(probed):
    with pytest.raises(ValueError, match="got 4 semantics with a boundary, expected at least 5"):
        ablate_ranking(probed.subject, probed.samples, probed.boundaries, num=24)


def test_names_of_the_figure_do_not_overlap(finding):
    axes = finding.draw().axes[0]
    texts = [text for text in axes.texts if text.get_text().strip()]
    assert {text.get_text().strip() for text in texts} == {row["semantic"] for row in finding.rows}
    heights = np.sort([text.get_position()[1] for text in texts])
    low, high = axes.get_ylim()
    assert np.diff(heights).min() > (high - low) / 30
    places = _spread([{"effect_in_deviations": 0.5}] * 30, (0.0, 1.0))
    assert np.diff(places).min() > 0.99 / 31 and min(places) >= 0 and max(places) <= 1
