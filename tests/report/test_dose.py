"""The section on the dose-response: charts that hold their lines, and a picture of its own."""

import io
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from higan_fast.experiments.drawing import LEVEL_COLORS
from higan_fast.probing import sweep_steps
from higan_fast.report import dose_figure, dose_png
from higan_fast.report.dose import BOTTOM, LEFT, NUM_OTHERS, RIGHT, TOP, dosed
from tests.report.page import Page
from tests.toy import LAYER_OF


@pytest.fixture(scope="session")
def found(run):
    return sweep_steps(
        run.generator, run.predictor, run.boundaries, (-4, -2, 2, 4), num=40, verification=run.verification,
        confidence=0.95, progress=False,
    )  # fmt: skip


def places(path):
    return [tuple(map(float, point.split())) for point in path.strip("MZ").split("L")]


def test_every_curve_has_a_chart_with_its_figures(write, found, tmp_path):
    page = Page(write(sweep=found))
    assert page.find("section", id="dose") and page.find("a", href="#dose")
    labels = [
        svg["aria-label"]
        for svg in page.find("svg", role="img")
        if (svg.get("class") or "").startswith("dose")
    ]
    assert labels[0] == "view on all layers: rises throughout"
    assert len(labels) == len(found.boundary_names) == 2 * len(LAYER_OF)
    assert (
        f"bed on layer {LAYER_OF['bed']}" in page.text
        and "On all layers, all 4 curves surely rise" in page.text
    )
    value = found.in_deviations()[0, 0, 0]
    assert f"step −4: −{abs(value):.2f} SD, interval" in page.text
    assert (tmp_path / "report.dose.csv").read_text() == found.to_csv()
    assert page.find("a", href="report.dose.csv") and "40 fresh samples" in page.text


def test_lines_stay_within_their_charts(found):
    for chart in (*dosed(found).charts, *dosed(found).acting):
        lines = [chart.path, chart.ribbon, *(line.path for line in chart.others)]
        assert len(chart.others) <= NUM_OTHERS and len(chart.names) == 1 + len(chart.others)
        for x, y in (point for line in lines for point in places(line)):
            assert LEFT <= x <= RIGHT and TOP <= y <= BOTTOM
        assert len(places(chart.path)) == 5 and len(places(chart.ribbon)) == 10
        heights = sorted(name.y for name in chart.names)
        assert all(np.diff(heights) >= 11.9) and [step.text for step in chart.across] == [
            "−4",
            "−2",
            "0",
            "+2",
            "+4",
        ]
        assert chart.path.startswith(f"M{LEFT} ") and chart.zero == places(chart.path)[2][1]


def test_marks_follow_the_claims(found):
    saturates, exceeds = np.full_like(found.saturates, np.nan), np.full_like(found.exceeds, np.nan)
    saturates[0, 1], exceeds[0, 4, 0] = 2.0, -2.0
    changed = replace(found, saturates=saturates, exceeds=exceeds)
    chart = dosed(changed).charts[0]
    assert chart.facts == "rises throughout; saturates from +2; large off target from −2 (hue)"
    assert [mark.text for mark in chart.marks] == ["view: saturates from +2"]
    assert (chart.marks[0].x, chart.marks[0].y) == places(chart.path)[3]
    assert [mark.text for mark in chart.others[0].marks] == ["hue: surely large from −2"]
    step = changed.suggested_step(0)
    assert [place for place, x in enumerate(p[0] for p in places(chart.path)) if x in chart.suggested] == [
        place for place, dose in enumerate(found.steps) if abs(dose) == step
    ]


def test_many_steps_and_what_has_no_interval_or_unit(found):
    low = np.where(found.steps[None, :, None] == 0, 0.0, -np.inf)
    unbounded = dosed(replace(found, low=low + np.zeros_like(found.low))).charts[0]
    assert unbounded.ribbon == "" and unbounded.path
    assert "interval – to" in unbounded.points[0].text
    deviation = found.deviation * (np.arange(5) != 0)
    steady = dosed(replace(found, deviation=deviation)).charts[0]
    assert steady.path == "" and steady.facts == "always the same"


def test_without_it_the_page_says_nothing_of_it(write, found, tmp_path):
    with_it = write(sweep=found)
    page = Page(write())
    assert not page.find("section", id="dose") and not page.find("a", href="#dose")
    assert not (tmp_path / "report.dose.csv").exists()
    heads = [Page(text).find("meta", name="higan-fast-made-from") for text in (with_it, write())]
    assert heads[0] != heads[1]


def test_the_picture_stands_alone(found):
    text = dose_figure(found)
    picture = Page(text)
    assert "Dose-response of 4 boundaries" in picture.text and "95 % intervals" not in picture.text
    assert len(picture.find("svg")) == 1 + len(found.boundary_names)
    assert (
        text.count("--page:") == 2
        and "prefers-color-scheme: dark" in text
        and "http" not in text.replace("http://www.w3.org/2000/svg", "")
    )


@pytest.mark.parametrize(
    ("name", "value"), [("generator", "0" * 32), ("truncation_psi", 0.5), ("boundaries", "0")]
)
def test_a_sweep_of_something_else_is_refused(write, found, name, value):
    strange = replace(found, settings=found.settings | {name: value})
    with pytest.raises(ValueError, match=r"^sweep: "):
        write(sweep=strange)


def test_the_section_has_a_sample_along_every_boundary(write, found):
    page = Page(write(sweep=found))
    (image,) = [img for img in page.find("img") if img["alt"].startswith("The first sample, moved along")]
    assert image["src"].startswith("data:image/jpeg")


def test_the_png_is_the_svg_drawn_anew(found):
    with Image.open(io.BytesIO(dose_png(found))) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    size = ElementTree.fromstring(dose_figure(found)).get("viewBox").split()[2:]
    assert pixels.shape[:2] == pytest.approx([float(side) * 1.6 for side in reversed(size)], abs=1)
    for level in {semantic.level for semantic in found.semantics}:
        color = [int(LEVEL_COLORS[level][place : place + 2], 16) for place in (1, 3, 5)]
        assert (np.abs(pixels - color).sum(axis=-1) < 6).any(), level
