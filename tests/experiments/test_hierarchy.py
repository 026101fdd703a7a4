"""The hierarchy of the toy world, in which each layer paints what one semantic reads."""

from dataclasses import replace

import numpy as np
import pytest

from higan_fast.experiments import hierarchy
from higan_fast.experiments.drawing import write_figures
from higan_fast.experiments.hierarchy import groups_of
from tests.toy import LAYER_OF


@pytest.fixture(scope="module")
def finding(probed):
    return hierarchy(probed.subject, probed.boundaries, probed.verification, num=128)


def test_each_semantic_lives_in_the_group_of_its_layer(finding, probed):
    group_of = {layer.index: layer.group for layer in probed.generator.layers}
    for name in {row["semantic"] for row in finding.rows if row["semantic"]}:
        effects = {
            row["group"]: row["effect_in_deviations"] for row in finding.rows if row["semantic"] == name
        }
        assert max(effects, key=effects.get) == group_of[LAYER_OF[name]]
        own = effects.pop(group_of[LAYER_OF[name]])
        assert own > 5 * max(map(abs, effects.values()))


def test_a_level_is_the_mean_of_its_semantics_and_has_the_effect_of_verify(finding, probed):
    for row in (row for row in finding.rows if not row["semantic"]):
        same = [
            other["effect_in_deviations"] for other in finding.rows
            if other["semantic"] and other["level"] == row["level"] and other["group"] == row["group"]
        ]  # fmt: skip
        assert row["effect_in_deviations"] == pytest.approx(np.mean(same), abs=1e-12)
        assert row["low"] <= row["effect_in_deviations"] <= row["high"]
    # A group that is one layer moves as much as that layer did in the verification, on other samples.
    verification, found = probed.verification, probed.verification.in_deviations()
    alone = {
        group: layers[0] for group, layers in groups_of(probed.generator.layers).items() if len(layers) == 1
    }
    for row in (row for row in finding.rows if row["semantic"] and row["group"] in alone):
        name = row["semantic"]
        column = [semantic.name for semantic in verification.semantics].index(name)
        expected = found[verification.row(name), 1 + alone[row["group"]], column]
        assert row["effect_in_deviations"] == pytest.approx(expected, abs=0.15)


def test_it_says_what_is_sure_and_how_the_order_was_tested(finding):
    assert any("surely move it most" in sentence for sentence in finding.sentences)
    assert any("labelings of mean layers" in sentence for sentence in finding.sentences)
    assert finding.images == 128 * (1 + 2 * len([row for row in finding.rows if row["semantic"]]))


def test_a_level_whose_semantics_disagree_is_no_level_of_one_group(probed):
    """View and wood are painted by the first group and by the third."""
    found = probed.verification
    mixed = [replace(each, level="layout") if each.name == "wood" else each for each in found.semantics]
    finding = hierarchy(probed.subject, probed.boundaries, replace(found, semantics=tuple(mixed)), num=128)
    (layout,) = [sentence for sentence in finding.sentences if sentence.startswith("layout: ")]
    assert "its semantics disagree: view is surely moved most by the bottom layers (0)" in layout
    assert "wood is surely moved most by the upper layers (3). So their mean" in layout
    assert "disagree" not in " ".join(set(finding.sentences) - {layout})
    with pytest.raises(ValueError, match=r"num \(--num\): got 23, expected a whole number of at least 24"):
        hierarchy(probed.subject, probed.boundaries, found, num=23)


def test_names_are_no_mathematics(finding, tmp_path):
    rows = [dict(row, level="object") | {"group": "$\\frac$"} for row in finding.rows]
    groups = {"$\\frac$": "0"}
    named = replace(finding, rows=rows[:1], figures={**finding.figures, "groups": groups})
    write_figures(named, tmp_path)
    assert "$\\frac$" in (tmp_path / "hierarchy.svg").read_text()


def test_without_a_shown_effect_there_is_nothing_to_show(probed):
    nothing = replace(probed.verification, beats_null=np.zeros_like(probed.verification.beats_null))
    with pytest.raises(ValueError, match="no effect is shown"):
        hierarchy(probed.subject, probed.boundaries, nothing)


def test_the_figure_has_every_level_and_group(finding):
    left, right = finding.draw().axes
    groups = [label.get_text().split("\n")[0] for label in left.get_xticklabels()]
    assert groups == list(dict.fromkeys(row["group"] for row in finding.rows))
    levels = list(dict.fromkeys(row["level"] for row in finding.rows))
    assert [label.get_text() for label in right.get_yticklabels()] == levels
