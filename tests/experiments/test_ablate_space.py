"""z, w and W+ in the toy world, whose patterns are directions of w and of no other space."""

from importlib import import_module

import numpy as np
import pytest

from higan_fast.experiments import ablate_space
from tests.toy import LAYER_OF


@pytest.fixture(scope="module")
def finding(probed):
    return ablate_space(probed.subject, probed.samples, probed.boundaries, num=64, confidence=0.95)


def test_a_direction_of_w_moves_more_than_one_of_z(finding, probed):
    """The mapping is not linear, so that no direction of z is that of a pattern."""
    rows = {(row["semantic"], row["space"]): row for row in finding.rows}
    assert {space for _, space in rows} == {"w", "z"}
    for name in LAYER_OF:
        in_w, in_z = rows[name, "w"], rows[name, "z"]
        assert in_w["accuracy"] >= in_z["accuracy"]
        assert in_w["target_difference"] is None and in_z["target_difference"] < 0
    assert rows[None, "z"]["target_high"] < 0 and "surely less" in finding.sentences[0]
    # The view is nearly linear in w: how far two standard deviations of the codes go along its direction.
    view, truth = probed.boundaries["view"], probed.generator.directions[LAYER_OF["view"]].double().numpy()
    along = view.per_step("sd") @ truth / view.deviation
    assert rows["view", "w"]["target_effect"] == pytest.approx(2 * along, rel=0.1)
    assert finding.images == 2 * 64 * (1 + 2 * len(LAYER_OF))
    assert "W+ is w here" in finding.sentences[-1]


def test_the_boundaries_of_every_layer_move_as_those_in_w(probed, monkeypatch, finding):
    monkeypatch.setattr(import_module("higan_fast.experiments.ablate_space"), "SAME", 2.0)
    found = ablate_space(probed.subject, probed.samples, probed.boundaries, num=24)
    rows = {(row["semantic"], row["space"]): row for row in found.rows}
    assert len({space for _, space in rows}) == 3 and "W+ is w" not in found.sentences[-1]
    for name in (None, *LAYER_OF):
        one, other = rows[name, "w"], rows[name, "layers"]
        for figure in ("target_effect", "off_target", "accuracy"):
            assert one[figure] == pytest.approx(other[figure], abs=1e-4)
    assert len(found.draw().axes) == 6


def test_the_figure_names_every_semantic(finding):
    first, *_ = axes = finding.draw().axes
    assert len(axes) == 3 and first.get_ylabel() == "w → z"
    assert [label.get_text() for label in first.get_yticklabels()] == list(LAYER_OF)
    assert np.isfinite(first.get_xlim()).all()
