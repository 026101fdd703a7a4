"""The sentences that are computed from the data."""

from types import SimpleNamespace

import pytest

from higan_fast.probing.side_effects import EvenPart, SideEffect
from higan_fast.report.findings import NUM_PAIRS, _order, beside, economy, wrecks
from higan_fast.statistics.hierarchy import Member, hierarchy

LAYERS = {"layout": (1.0, 1.1), "object": (3.0, 3.1), "attribute": (5.0, 5.1), "color": (8.0, 8.1)}
MEANS = "layout 1.1, object 3.0, attribute 5.0 and color 8.1"


def judged(**changes):
    members = {
        level: {f"{level} {i}": Member(mean) for i, mean in enumerate(layers)}
        for level, layers in (LAYERS | changes).items()
    }
    return hierarchy(members, 9, 0.99)


def cluster(middle):
    return tuple(middle + 0.02 * i for i in range(8))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {},
            f"Mean layers: {MEANS}. Of HiGAN’s order, layout before object, object before attribute and "
            "attribute before color are not established. The trend over all of them has p = 0.00040.",
        ),
        (
            {level: cluster(layers[0]) for level, layers in LAYERS.items()},
            "Mean layers: layout 1.1, object 3.1, attribute 5.1 and color 8.1. Of HiGAN’s order, layout "
            "before object, object before attribute and attribute before color are established. "
            "The trend over all of them has p = 0.00010.",
        ),
        (
            {"layout": cluster(1.0), "object": cluster(3.0), "attribute": (5.0, 2.0), "color": (8.0,)},
            "Mean layers: layout 1.1, object 3.1, attribute 3.5 and color 8.0. Of HiGAN’s order, layout "
            "before object is established; object before attribute and attribute before color are not "
            "established. The trend over all of them has p = 0.00010, and 0.00020 without color, which has "
            "one semantic.",
        ),
        (
            {"attribute": (), "color": (8.0,), "object": (3.0,)},
            "Mean layers: layout 1.1, object 3.0 and color 8.0. Of HiGAN’s order, layout before object and "
            "object before color are not established. The trend over all of them has p = 0.083. "
            "No attribute semantic beats random directions, so it has no place here.",
        ),
        (
            {"layout": (), "object": (), "color": ()},
            "Only one level has semantics that beat random directions (mean layer: attribute 5.0), so there "
            "is no order of levels to test.",
        ),
        (dict.fromkeys(LAYERS, ()), ""),
    ],
)
def test_the_order_of_the_levels_in_words(changes, expected):
    assert _order(judged(**changes)) == expected


def test_what_the_stop_rule_saved_in_words():
    settings = {"decide": "top-layer", "confidence": 0.99, "max_samples": 2000}
    answer = SimpleNamespace(
        settings=settings, images=50_000, images_fixed=2_050_000, num_undecided=lambda: 1
    )
    assert economy(answer) == (
        "To decide which semantics have an effect, and on which layer the most, with 99 % confidence for all "
        "of it together, took 50,000 images. Measuring everything on 2,000 samples takes 2,050,000, 41 "
        "times as many. For 1 semantic the answer was still open on the most samples that were allowed; "
        "the ranking says why."
    )
    assert economy(None) == ""
    assert economy(SimpleNamespace(settings={"decide": None})) == ""


def test_what_is_moved_beside_is_named():
    assert beside([]) == ""
    assert beside([SideEffect("bed", "table", -0.74), SideEffect("view", "lamp", 0.3)]) == (
        "Beside their own, the boundaries whose effect is shown surely move other semantics by 0.25 standard "
        "deviations or more: bed → table (−0.7) and view → lamp (+0.3)."
    )


def test_boundaries_that_wreck_something_are_named():
    assert wrecks([]) == ""
    parts = [EvenPart("warmth", "saturation", 0.73), EvenPart("lamp", "picture", -0.58)]
    assert wrecks(parts) == (
        "Steps in both directions change these scores alike, by 0.5 standard deviations or more, which no "
        "effect shows: warmth → saturation (+0.7) and lamp → picture (−0.6)."
    )
    assert wrecks(parts * 4).endswith(f" and {8 - NUM_PAIRS} more.")
