"""How many samples a boundary needs, in the toy world."""

from dataclasses import replace

import numpy as np
import pytest

from higan_fast.experiments import ablate_samples
from tests.toy import LAYER_OF


@pytest.fixture(scope="module")
def finding(probed):
    return ablate_samples(probed.subject, probed.samples, probed.boundaries, num=48, confidence=0.95)


def means(finding):
    return [row for row in finding.rows if not row["semantic"]]


def test_sizes_are_a_geometric_series_of_disjoint_parts(finding):
    # The sides are 800 of 4,000 samples, so that 250 leave 50.
    assert [row["samples"] for row in means(finding)] == [4000, 1587, 630, 250]
    assert [row["refits"] for row in means(finding)] == [1, 2, 3, 3]
    assert finding.images == 48 * (1 + 2 * 9 * len(LAYER_OF))


def test_fewer_samples_give_directions_that_differ_more_and_move_less(finding, probed):
    full, *parts = means(finding)
    assert full["cosine_to_all"] is None and full["difference"] is None
    to_full, between = ([row[name] for row in parts] for name in ("cosine_to_all", "cosine_between_refits"))
    assert sorted(to_full, reverse=True) == to_full and sorted(between, reverse=True) == between
    assert to_full[0] > between[0], "it shares samples with all"
    # The direction of each layer is known, and how far a step along a boundary goes along it.
    for row in (row for row in finding.rows if row["semantic"] in ("view", "wood", "hue")):
        name = row["semantic"]
        truth = probed.generator.directions[LAYER_OF[name]].double().numpy()
        if row["samples"] == 4000:
            along = 2 * float(probed.boundaries[name].normal @ truth)
            assert row["effect_in_deviations"] == pytest.approx(
                along / probed.boundaries[name].deviation, rel=0.1
            )
    assert parts[-1]["difference"] < 0
    for row in parts:
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    assert "samples" in finding.sentences[0] and "of what all 4,000" in finding.sentences[1]


def test_what_cannot_be_ablated_is_one_line(probed):
    with pytest.raises(ValueError, match="gradient"):
        ablate_samples(probed.subject, probed.samples, probed.boundaries, method="gradient")
    with pytest.raises(ValueError, match="got 400 samples, expected at least 500"):
        ablate_samples(probed.subject, probed.samples.part(0, 400), settings(probed.boundaries, 0.2))


def settings(boundaries, chosen_num):
    return replace(boundaries, settings={**boundaries.settings, "chosen_num": chosen_num})


def test_the_figure_has_the_mean_and_every_semantic(finding):
    axes = finding.draw().axes
    assert len(axes) == 3 and len(axes[0].lines) == len(LAYER_OF) + 1
    mean = axes[2].lines[len(LAYER_OF)]
    np.testing.assert_array_equal(mean.get_xdata(), [4000, 1587, 630, 250])
