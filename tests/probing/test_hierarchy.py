"""Which semantics count for the order of levels, and how sure their mean layers are."""

from dataclasses import replace

import numpy as np
import pytest

from higan_fast.cli.printing import print_ranking
from higan_fast.predictors.base import Semantic
from higan_fast.probing.hierarchy import axes_by_level, mean_layer_error
from tests.toy import SEMANTICS

NAMES = [semantic.name for semantic in SEMANTICS]


def on_levels(verification, **levels):
    """The same verification, its semantics on other levels."""
    semantics = tuple(Semantic(s.name, levels.get(s.name, s.level)) for s in SEMANTICS)
    return replace(verification, semantics=semantics)


def test_the_error_of_a_mean_layer_is_that_of_repeated_measurements():
    effects, errors = np.array([0.1, -0.4, 0.3, 0.0]), np.array([0.01, 0.02, 0.03, 0.0])
    again = np.abs(effects + errors * np.random.default_rng(0).standard_normal((20_000, 4)))
    again[:, 3] = 0
    means = (again * np.arange(4)).sum(axis=1) / again.sum(axis=1)
    assert mean_layer_error(effects, errors) == pytest.approx(means.std(), rel=0.05)


def test_only_shown_semantics_with_a_layer_of_their_own_count(verification):
    assert list(axes_by_level(verification).values()) == [[("view",)], [("bed",)], [("wood",)], [("hue",)]]
    row = verification.row("bed")
    beats, layers = verification.beats_null.copy(), verification.layer_beats_null.copy()
    beats[row], layers[verification.row("hue")] = False, False
    found = replace(verification, beats_null=beats, layer_beats_null=layers)
    assert [level.name for level in found.hierarchy.levels] == ["layout", "attribute"]
    assert found.mean_layer_error("bed") is None and found.mean_layer_error("hue") is None
    assert found.mean_layer_by_level() == {
        "layout": pytest.approx(0), "object": None, "attribute": pytest.approx(3), "color": None,
    }  # fmt: skip


def test_boundaries_of_one_axis_count_once(verification):
    one_level = on_levels(verification, view="object", wood="object")
    assert axes_by_level(one_level)["object"] == [("view",), ("bed",), ("wood",)]
    effect = one_level.effect.copy()
    view, bed = ((one_level.row(name), 0, NAMES.index(name)) for name in ("view", "bed"))
    effect[view[0], 0, bed[2]] = -0.9 * effect[bed]
    apart = replace(one_level, effect=effect)  # one moves the other, and not the other way round
    assert axes_by_level(apart)["object"] == [("view",), ("bed",), ("wood",)]
    effect[bed[0], 0, view[2]] = 0.6 * effect[view]
    found = replace(one_level, effect=effect)
    assert axes_by_level(found)["object"] == [("view", "bed"), ("wood",)]
    (level,) = (level for level in found.hierarchy.levels if level.name == "object")
    assert level.members == ("view and bed", "wood")
    assert level.mean == pytest.approx((0.5 + 3) / 2, abs=0.05)  # view and bed lie on layers 0 and 1
    assert axes_by_level(on_levels(found))["object"] == [("bed",)], "two levels are no one axis"


def test_what_is_printed_is_what_was_judged(verification, capsys):
    print_ranking(verification)
    lines = capsys.readouterr().out.splitlines()
    assert "mean layer, layout    0.00               of 1: view" in lines
    # 4! labelings, and one of them is as good
    assert (
        "trend, layout before object before attribute before color: p = 0.042, of all 24 labelings" in lines
    )
    assert (
        "object before attribute: not established (needs five semantics of each; object has 1 and attribute "
        "has 1)"
    ) in lines
    sure = replace(verification, settings=verification.settings | {"confidence": 0.99})
    print_ranking(on_levels(sure, view="object", wood="color"))
    lines = capsys.readouterr().out.splitlines()
    # no line for a level of which nothing was verified
    assert not any(line.startswith(("mean layer, layout", "mean layer, attribute")) for line in lines)
    assert any(line.startswith("mean layer, object    0.50 [0.00, 4.00]  of 2: view, bed") for line in lines)
    assert any(
        line.startswith("object before color: not established (p = 0.17 after Holm; needs five")
        for line in lines
    )
    everything = on_levels(verification, **dict.fromkeys(NAMES, "attribute"))
    print_ranking(everything)
    text = capsys.readouterr().out
    assert "of 4: view, bed, wood, hue" in text and "trend" not in text and " before " not in text
