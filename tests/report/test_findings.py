"""The sentences that are computed from the data."""

import pytest

from higan_fast.report.findings import _order

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
