"""The sentences that are computed from the data."""

from types import SimpleNamespace

import pytest

from higan_fast.report.entanglement import EvenPart
from higan_fast.report.findings import NUM_PAIRS, _order, economy, wrecks

MEANS = {"layout": 1.0, "object": 3.0, "attribute": 5.0, "color": 8.0}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {},
            "By mean layer, the levels come in HiGAN’s order: layout (1.0) before object (3.0) before "
            "attribute (5.0) before color (8.0).",
        ),
        (
            {"layout": 4.0},
            "By mean layer, the levels do not come in HiGAN’s order, layout, object, attribute, color; "
            "here it is object (3.0), layout (4.0), attribute (5.0), color (8.0).",
        ),
        (
            {"object": 1.2},
            "By mean layer, the levels come in HiGAN’s order: layout (1.0) before object (1.2) before "
            "attribute (5.0) before color (8.0). Less than half a layer lies between layout and object: "
            "read no order into that.",
        ),
        (
            {"attribute": None},
            "By mean layer, the levels come in HiGAN’s order: layout (1.0) before object (3.0) before "
            "color (8.0). No attribute semantic beats random directions, so it has no place here.",
        ),
        (
            {"layout": None, "object": None, "color": None},
            "Only the level attribute has semantics that beat random directions (mean layer 5.0), "
            "so there is no order of levels to see.",
        ),
        (dict.fromkeys(MEANS), ""),
    ],
)
def test_the_order_of_the_levels_in_words(changes, expected):
    assert _order(MEANS | changes) == expected


def test_what_the_stop_rule_saved_in_words():
    settings = {"decide": "top-layer", "confidence": 0.99, "max_samples": 2000}
    answer = SimpleNamespace(
        settings=settings, images=50_000, images_fixed=2_050_000, num_undecided=lambda: 1
    )
    assert economy(answer) == (
        "To decide which semantics have an effect, and on which layer the most, with 99 % confidence for all "
        "of it together, took 50,000 images: 2,000,000 images fewer than 2,000 samples of everything (41 "
        "times as many). For 1 semantic the answer was still open when samples or looks ran out; "
        "the ranking says why."
    )
    assert economy(None) == ""
    assert economy(SimpleNamespace(settings={"decide": None})) == ""


def test_boundaries_that_wreck_something_are_named():
    assert wrecks([]) == ""
    parts = [EvenPart("warmth", "saturation", 0.73), EvenPart("lamp", "picture", -0.58)]
    assert wrecks(parts) == (
        "Steps in both directions change these scores alike, by 0.5 standard deviations or more, which no "
        "effect shows: warmth → saturation (+0.7) and lamp → picture (−0.6)."
    )
    assert wrecks(parts * 4).endswith(f" and {8 - NUM_PAIRS} more.")
