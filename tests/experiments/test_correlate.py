"""Entanglement of the toy world: one boundary is turned to another, and freed of it."""

from dataclasses import replace

import numpy as np
import pytest

from higan_fast.boundaries.boundary import Boundaries
from higan_fast.experiments import correlate
from higan_fast.probing import verify
from higan_fast.statistics.correlation import correlations


@pytest.fixture(scope="module")
def mixed(probed):
    """The boundary of "view" is turned to that of "hue"."""
    view, hue = probed.boundaries["view"], probed.boundaries["hue"]
    normal = view.normal + hue.normal
    turned = replace(view, normal=normal / np.linalg.norm(normal))
    of = [turned, *(each for name, each in probed.boundaries.items() if name != "view")]
    boundaries = Boundaries(tuple(of))
    verification = verify(
        probed.generator, probed.predictor, boundaries, num=64, null="isotropic", num_null=48,
        confidence=0.95, progress=False,
    )  # fmt: skip
    return boundaries, verification


@pytest.fixture(scope="module")
def finding(probed, mixed):
    return correlate(probed.subject, probed.samples, *mixed, pairs=[("view", "hue")], num=64)


def cell(finding, boundary, semantic):
    return next(row for row in finding.rows if (row["boundary"], row["semantic"]) == (boundary, semantic))


def test_the_mixed_boundary_moves_both_and_only_its_normal_is_to_blame(finding):
    row = cell(finding, "view", "hue")
    assert row["surely_moves"] and row["effect_in_deviations"] > 0.3
    assert row["goes_with"] in ("normals", "scores and normals")
    assert row["cosine_of_normals"] == pytest.approx(np.sqrt(0.5), abs=0.2)
    assert cell(finding, "view", "view")["surely_moves"] is None
    order = finding.figures["order"]
    assert abs(order.index("view") - order.index("hue")) == 1, "clustering puts them side by side"


def test_freed_it_leaves_the_other_alone_and_says_the_cost(finding, probed):
    (freed,) = finding.figures["freed"]
    assert freed["other_before"] > 0.3 and abs(freed["other_after"]) < 0.5 * freed["other_before"]
    assert freed["other_falls"] == "surely" and freed["other_high"] < 0
    assert freed["others_after"] < freed["others_before"]
    assert freed["own_low"] <= freed["own_difference"] <= freed["own_high"]
    assert freed["own_difference"] == pytest.approx(freed["own_after"] - freed["own_before"])
    assert cell(finding, "view", "hue")["freed_other_after"] == freed["other_after"]
    assert cell(finding, "hue", "view")["freed_other_after"] is None
    assert (
        "view freed of hue moves hue by" in finding.sentences[-1] and "surely less" in finding.sentences[-1]
    )
    assert finding.images == 64 * 5
    text = " ".join(finding.sentences)
    assert "boundaries point more alike than random directions do" in text and "In 0 of" not in text
    assert "0.25 SD or more" in text and "for 0 more" not in text
    assert repr(probed.subject).startswith("Subject(") and len(repr(probed.subject)) < 200


def test_the_largest_side_effects_are_freed_where_none_is_chosen(probed, mixed):
    found = correlate(probed.subject, probed.samples, *mixed, num=24)
    pairs = [(each["boundary"], each["semantic"]) for each in found.figures["freed"]]
    assert ("view", "hue") in pairs and len(pairs) <= 6
    assert len(found.draw().axes) == 6


def test_what_cannot_be_freed_is_refused(probed, mixed):
    for pair, said in ((("view", "tree"), "got 'tree', expected one of"), (("hue", "hue"), "two different")):
        with pytest.raises(ValueError, match=said):
            correlate(probed.subject, probed.samples, *mixed, pairs=[pair])


def test_intervals_of_correlations_cover_the_truth_of_skewed_columns():
    """Where Fisher's, which takes normal columns, would be too narrow."""
    random = np.random.default_rng(0)
    common, own = random.exponential(size=(200, 400)) ** 2, random.normal(size=(200, 400, 2))
    truth = (common.var() / (common.var() + 1)).item()
    covered, fisher = [], []
    for each, noise in zip(common, own, strict=True):
        columns = each[:, None] + noise
        found = correlations(columns, 0.025)
        assert found.value[0, 1] == pytest.approx(np.corrcoef(columns.T)[0, 1])
        covered.append(found.low[0, 1] <= truth <= found.high[0, 1])
        fisher.append(abs(np.arctanh(found.value[0, 1]) - np.arctanh(truth)) < 1.96 / np.sqrt(397))
    assert np.mean(covered) > np.mean(fisher) + 0.2
    assert found.low[0, 0] == found.high[0, 0] == 1
    assert np.isnan(correlations(np.column_stack([columns, np.ones(400)]), 0.025).value[0, 2])
