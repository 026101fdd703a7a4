import shlex

import pytest

from higan_fast.wording import LONGEST, argument, digits_apart, in_words, listing, printable


@pytest.mark.parametrize(
    "text, expected",
    [
        ("synthesis.b4 Größe 画像 🙂", "synthesis.b4 Größe 画像 🙂"),
        ("\x1b[2J\x1b[31mred", r"\x1b[2J\x1b[31mred"),
        ("x\nError: all is well\r\n", r"x\nError: all is well\r\n"),
        ("a\ud800b", r"a\ud800b"),
        ("a\u2028b\u202eb\u200bc\x85d\x7f", r"a\u2028b\u202eb\u200bc\x85d\x7f"),
        ("", ""),
    ],
)
def test_texts_become_one_printable_line(text, expected):
    assert printable(text) == expected
    assert printable(text).isprintable()
    printable(text).encode()


@pytest.mark.parametrize(
    "text", ["x" * 201, "\x1b" * 60, "\ud800" * 10**6], ids=["letters", "escapes", "surrogates"]
)
def test_long_texts_are_cut(text):
    assert len(printable(text)) == LONGEST and printable(text).endswith("…")
    assert len(in_words(text)) <= LONGEST


def test_texts_of_the_longest_length_are_whole():
    assert printable("x" * 200) == "x" * 200


def test_values_in_words():
    endless = []
    endless.append(endless)
    values = {
        "'a\\x1bb'": "a\x1bb",
        "3": 3,
        "True": True,
        "None": None,
        "nan": float("nan"),
        "a number of 40000 bits": 2**39999,
        "[1, 3, '1']": (1, 3, "1"),
        "a list": endless,
        "a dict": {"a": 1},
        "a tuple": tuple(range(9)),
    }
    assert {in_words(value): value for value in values.values()}.keys() == values.keys()


def test_numbers_that_round_alike_get_digits_until_they_differ():
    assert digits_apart(0.0049, 0.00062) == digits_apart(0.5, 0.5) == 2
    assert digits_apart(0.000163, 0.000156) == 3  # both round to 0.00016


def test_a_path_in_a_command_is_one_argument_and_no_option():
    assert argument("runs/first") == "runs/first"
    assert argument("my run") == "'my run'"
    assert argument("-x") == "./-x", "an option it would be"
    assert shlex.split(argument("-it's\na $HOME")) == ["./-it's\na $HOME"]


def test_of_a_long_listing_the_first_are_named():
    names = ["a", "b", "c", "d"]
    assert listing(names) == listing(names, 4) == "a, b, c and d"
    assert listing(names, 2) == "a, b and 2 more"
    assert (listing(names[:1], 2), listing([], 2)) == ("a", "")
