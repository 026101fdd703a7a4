"""The section that compares methods: its figures, and marks where something is sure."""

from dataclasses import replace

import numpy as np
import pytest

from higan_fast.probing import compare_methods
from higan_fast.report.comparison import methods
from tests.report.page import Page


@pytest.fixture(scope="session")
def found(run):
    return compare_methods(
        run.generator, run.predictor, run.samples, run.boundaries, ("ridge=0.01", "difference", "gradient"),
        codes=60, num_gradients=8, progress=False,
    )  # fmt: skip


def test_every_method_has_a_lane_and_two_rows(write, found, tmp_path):
    page = Page(write(comparison=found))
    assert page.find("section", id="methods") and page.find("a", href="#methods")
    lanes = [svg for svg in page.find("svg", role="img") if " SD, interval " in (svg["aria-label"] or "")]
    assert (
        len(
            [
                svg
                for svg in page.find("svg", role="img")
                if svg["aria-label"] == "what the others are compared with"
            ]
        )
        == 1
    )
    shown = methods(found)
    assert {lane["aria-label"] for lane in lanes} >= {
        f"{row.difference} SD, interval {row.ends} SD" for row in shown.rows[1:]
    }
    for row in shown.rows[1:]:
        assert 0 <= row.low <= row.at <= row.high <= 100
    assert "the same 60 fresh codes" in page.text and "svm, C = 1" in page.text
    assert (tmp_path / "report.methods.csv").read_text() == found.to_csv()
    assert page.find("a", href="report.methods.csv")
    without = Page(write())
    assert not without.find("section", id="methods") and not (tmp_path / "report.methods.csv").exists()


def test_what_is_sure_is_marked_and_what_is_not_is_not(found):
    def changed(lows, highs, off):
        low, high = (np.array([np.nan, *ends]) for ends in (lows, highs))
        off_low = np.array([np.nan, *off])
        return replace(
            found, mean_low=low, mean_high=high, off_target_low=off_low, off_target_high=np.abs(off_low) + 1
        )

    some = methods(changed([0.1, -0.3, -0.2], [0.2, -0.1, 0.2], [0.1, -1, -1]))
    assert [row.moves for row in some.rows] == ["", "more", "less", "not told apart"]
    assert [row.moves_else for row in some.rows[1:]] == ["more", "not told apart", "not told apart"]
    first, off = (sentence.replace("\u00a0", " ") for sentence in some.sentences)
    assert first == (
        "Beside svm at C = 1, on average over the semantics, ridge at C = 0.01 surely moves more; difference "
        "surely moves less (3 other methods compared)."
    )
    assert off == "With ridge at C = 0.01, surely more changes off target as well."
    none = methods(changed([-0.1] * 3, [0.1] * 3, [-1] * 3))
    assert none.sentences[0].startswith("Of 3 other methods, none surely moves semantics more than svm")
    clean = methods(changed([0.1] * 3, [0.2] * 3, [-1] * 3))
    assert clean.sentences[1].startswith("With gradient, ridge at C")
    assert clean.sentences[1].endswith(" and difference, more change off target was not shown.")
    marked = [["marked" in cell.classes for cell in row.cells] for row in methods(found).rows]
    for place in range(4):
        signs = [found.moves(place, row) != 0 for row in range(len(found.boundary_names))]
        assert sorted(marked[place]) == sorted(signs)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("generator", "0" * 32, "^comparison: it is of another generator"),
        ("truncation_psi", 0.5, "^comparison: has truncation_psi = 0.5"),
        ("boundaries", "x", "^comparison: is with other boundaries"),
    ],
)
def test_a_comparison_of_something_else_is_refused(write, found, name, value, message):
    strange = replace(found, settings=found.settings | {name: value})
    with pytest.raises(ValueError, match=message):
        write(comparison=strange)
