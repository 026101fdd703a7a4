"""The section on layers without a direction: bars in proportion, and sentences that follow the data."""

from dataclasses import replace

import numpy as np
import pytest

from higan_fast.probing import attribute_layers
from higan_fast.report.attribution import attributed
from tests.report.page import Page
from tests.toy import LAYER_OF, NUM_LAYERS


@pytest.fixture(scope="session")
def found(run):
    return attribute_layers(run.generator, run.predictor, num=150, confidence=0.95, progress=False)


def test_every_semantic_has_a_row_of_bars(write, found, tmp_path):
    page = Page(write(attribution=found))
    assert page.find("section", id="attribution") and page.find("a", href="#attribution")
    lanes = [
        lane for lane in page.find("svg", role="img") if (lane["aria-label"] or "").startswith("top layer")
    ]
    assert [lane["aria-label"].split(",")[0] for lane in lanes] == [
        f"top layer {LAYER_OF.get(name, '–')}" for name in ("view", "bed", "wood", "constant", "hue")
    ]
    bars = [page.find("rect", **{"class": kind}) for kind in ("top", "rest")]
    assert [len(kind) for kind in bars] == [4, 4 * (NUM_LAYERS - 1)]
    for bar in bars[0] + bars[1]:
        assert 0 <= float(bar["x"][:-1]) <= 100 and float(bar["y"]) >= 0 and float(bar["height"]) <= 30
        assert float(bar["y"]) + float(bar["height"]) == pytest.approx(34, abs=0.11)  # rounded to tenths
    assert all(float(end["y1"]) >= 4 - 0.1 for end in page.find("line", **{"class": "ends"}))
    assert (tmp_path / "report.layers.csv").read_text() == found.to_csv()
    assert page.find("a", href="report.layers.csv") and "always the same" in page.text
    assert f"{1500 + found.images:,}" not in Page(write()).text, "images of both are counted where both are"


def test_without_it_the_page_says_nothing_of_it(write, found, tmp_path):
    write(attribution=found)
    page = Page(write())
    assert not page.find("section", id="attribution") and not page.find("a", href="#attribution")
    assert not (tmp_path / "report.layers.csv").exists()


def test_without_a_boundary_it_is_there_too(write, run, found):
    none = replace(run.boundaries, boundaries=(), skipped={"view": "it is a test"})
    page = Page(write(boundaries=none, verification=None, attribution=found))
    assert (
        page.find("section", id="attribution") and "The top layer of 4 of 4 semantics is known" in page.text
    )


def test_sentences_follow_the_data(run, found):
    known = attributed(found, run.verification).sentences[0]
    assert known == "The top layer of 4 of 4 semantics is known, with 95 % confidence for all together."
    shown = run.verification.beats_null.copy()
    shown[:] = True
    shown[run.verification.row("bed")] = False
    best = run.verification.top_layer.copy()
    best[run.verification.row("hue")] = 2
    changed = replace(run.verification, beats_null=shown, top_layer=best)
    tops = found.possible_top.copy()
    tops[found.row("wood"), 1] = True
    known, unmoved, agreement = attributed(replace(found, possible_top=tops), changed).sentences
    assert known.startswith("The top layer of 3 of 4 semantics is known")
    assert known.endswith("Of wood, the coloured layers cannot be told apart on 150 samples.")
    assert unmoved == "Where no boundary was shown to move a semantic: layer 1 decides bed."
    assert agreement.startswith("For 1 of 2 semantics that a boundary moves")
    assert agreement.endswith("; not for hue (layer 4, and 2 along its boundary).")


def test_ties_are_written_as_ranges(found):
    tops = np.zeros_like(found.possible_top)
    tops[found.row("view"), [0, 1, 3]] = True
    rows = {row.name: row for row in attributed(replace(found, possible_top=tops), None).rows}
    assert rows["view"].top == "0–1, 3" and not rows["view"].known
    assert [bar.may_be_top for bar in rows["view"].bars] == [True, True, False, True, False]


@pytest.mark.parametrize(("name", "value"), [("generator", "0" * 32), ("truncation_psi", 0.5), ("label", 3)])
def test_an_attribution_of_something_else_is_refused(write, found, name, value):
    strange = replace(found, settings=found.settings | {name: value})
    with pytest.raises(ValueError, match=r"^attribution: "):
        write(attribution=strange)
