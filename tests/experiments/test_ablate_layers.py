"""Own layers against all layers of the toy world, in which each layer paints what one semantic reads."""

from dataclasses import replace

import numpy as np
import pytest

from higan_fast.experiments import ablate_layers
from tests.toy import LAYER_OF


@pytest.fixture(scope="module")
def finding(probed):
    return ablate_layers(probed.subject, probed.boundaries, probed.verification, num=96)


def pairs(finding):
    rows = [row for row in finding.rows if row["semantic"]]
    return list(zip(rows[::2], rows[1::2], strict=True))


def test_own_layers_keep_the_target_effect_and_change_less_else(finding):
    assert len(pairs(finding)) >= 3
    for everywhere, own in pairs(finding):
        assert own["layers"] == str(LAYER_OF[own["semantic"]]) and everywhere["layers"] == "all layers"
        # No other layer paints what the semantic reads: they only change its gain, a little.
        assert own["target_effect"] == pytest.approx(everywhere["target_effect"], rel=0.1)
        assert own["off_target"] < 0.5 * everywhere["off_target"]
        assert own["off_target_high"] < 0, "surely less"
        for name in ("target", "off_target", "per_target"):
            assert own[f"{name}_low"] <= own[f"{name}_difference"] <= own[f"{name}_high"]
    assert "change of other scores" in finding.sentences[0] and "; surely less)" in finding.sentences[0]
    assert finding.images == 96 * (1 + 4 * len(pairs(finding)))


def test_the_figures_are_those_of_the_samples(finding, probed):
    """The target effect on all layers is that of the verification, on other samples."""
    found = probed.verification.in_deviations()
    for everywhere, _ in pairs(finding):
        row = probed.verification.row(everywhere["semantic"])
        column = [each.name for each in probed.verification.semantics].index(everywhere["semantic"])
        assert everywhere["target_effect"] == pytest.approx(found[row, 0, column], abs=0.15)
        odd, even = everywhere["off_target_odd"], everywhere["off_target_even"]
        assert everywhere["off_target"] == pytest.approx(np.hypot(odd, even), abs=0.01)


def test_without_own_layers_there_is_nothing_to_compare(probed):
    none = replace(probed.verification, layer_beats_null=np.zeros_like(probed.verification.layer_beats_null))
    with pytest.raises(ValueError, match="no boundary was found to act on a part of the layers"):
        ablate_layers(probed.subject, probed.boundaries, none)


def test_the_figure_names_every_boundary_and_its_layers(finding):
    first, *_ = finding.draw().axes
    expected = [f"{own['semantic']} ({own['layers']})" for _, own in pairs(finding)]
    assert [label.get_text() for label in first.get_yticklabels()] == expected
