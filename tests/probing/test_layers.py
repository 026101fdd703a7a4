"""Sets of layers as text."""

import numpy as np
import pytest

from higan_fast.probing import format_layers, parse_layers


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("6-7,9", (6, 7, 9)),
        ("all", tuple(range(10))),
        ("ALL", tuple(range(10))),
        (" 3 , 1-2 ", (1, 2, 3)),
        ("2-4,3-5", (2, 3, 4, 5)),
        ("0", (0,)),
        (9, (9,)),
        (np.int64(4), (4,)),
        ([7, 6], (6, 7)),
        (range(2), (0, 1)),
    ],
)
def test_layers_are_read(layers, expected):
    assert parse_layers(layers, 10) == expected


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("10", "no layer 10: this generator has layers 0 to 9"),
        ("6-12", "no layer 10"),
        (-1, "no layer -1"),
        ("7-6", "runs backwards"),
        ("", "cannot read ''"),
        ("a-b", "cannot read 'a-b'"),
        ("1,,2", "cannot read"),
        ("-1", "cannot read"),
        ([], "names no layer"),
    ],
)
def test_what_cannot_be_read_is_explained(layers, message):
    with pytest.raises(ValueError, match=message):
        parse_layers(layers, 10)


@pytest.mark.parametrize("text", ["6-7,9", "0", "0-9", "1,3,5-7"])
def test_formatting_is_the_inverse_of_parsing(text):
    assert format_layers(parse_layers(text, 10)) == text
