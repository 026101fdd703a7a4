"""Numbers as a reader sees them, and the scales of the charts."""

import math

import pytest

from higan_fast.report.charts import Scale, cell
from higan_fast.report.numerals import count, decimals, interval, number, p_value, percent
from higan_fast.wording import listing


@pytest.mark.parametrize(
    ("value", "places", "signed", "text"),
    [
        (0.1234, 3, False, "0.123"),
        (0.1234, 2, True, "+0.12"),
        (-0.1234, 2, True, "−0.12"),
        (-0.0001, 2, True, "0.00"),
        (1234.5, 1, False, "1,234.5"),
        (math.nan, 2, False, "–"),
        (None, 2, False, "–"),
    ],
)
def test_numbers_have_real_minus_signs_and_no_signed_zero(value, places, signed, text):
    assert number(value, places, signed=signed) == text


def test_columns_get_the_decimals_that_their_largest_number_needs():
    assert [decimals([largest, 0], 3) for largest in (0.0123, 0.44, 1.3, 12.0, 1234.0, 0)] == [
        4,
        3,
        2,
        1,
        0,
        2,
    ]


def test_small_helpers():
    assert interval(-0.5, 0.25, 2) == "−0.50 to 0.25"
    assert [p_value(p) for p in (0.00123, 0.042, 1.0)] == ["0.0012", "0.042", "1.0"]
    assert [p_value(p) for p in (1e-12, 7.812e-5, 0.00063)] == ["< 10⁻⁹", "7.8 × 10⁻⁵", "0.00063"]
    assert (percent(0.973), percent(None)) == ("97.3 %", "–")
    assert (count(1, "image"), count(1200, "image")) == ("1 image", "1,200 images")
    assert (listing(["a"]), listing(["a", "b", "c"])) == ("a", "a, b and c")


def test_a_scale_holds_its_values_and_zero():
    scale = Scale.over([0.1, 0.4])
    assert 0 < scale(0) < scale(0.4) < 100
    assert [tick.label for tick in scale.ticks()] == [f"{i / 100:.2f}" for i in range(0, 41, 5)]
    assert [tick.label for tick in scale.ticks() if not tick.minor] == [
        "0.00",
        "0.10",
        "0.20",
        "0.30",
        "0.40",
    ]
    nothing = Scale.over([math.nan, 0.0])
    assert nothing(0) == 50 and "0.0" in [tick.label for tick in nothing.ticks()]


def test_the_shade_of_a_cell_says_sign_and_size():
    assert cell("", "", 0.5, 1.0).shade == 0.5
    assert cell("", "", -2.0, 1.0).classes == "down deep"
    assert cell("", "", 0.01, 1.0, "own").classes == "up flat own"
    assert cell("–", "", math.nan, 1.0).shade == 0
    assert cell("", "", 1.0, 0.0).shade == 0
