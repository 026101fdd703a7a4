"""Every figure leads to its pictures, and nothing needs hovering or good eyes."""

import re
from dataclasses import replace
from html import escape

import numpy as np
import pytest
import torch

from higan_fast.pictures import to_uint8
from higan_fast.probing.manipulation import manipulate
from higan_fast.report.charts import DEEP, FLAT
from higan_fast.report.drawing import largest_side, picture
from higan_fast.report.numerals import number
from higan_fast.report.ranking import places_of
from higan_fast.report.strips import STEPS, _band
from higan_fast.sampling.latents import VERIFICATION, make_codes
from tests.report.colour import contrast, mixed
from tests.report.page import Page
from tests.toy import LAYER_OF, RESOLUTION


def part_of(html, opening):
    """The element that begins so, up to its end."""
    tag = re.match(r"<(\w+)", opening)[1]
    return html[html.index(opening) :].split(f"</{tag}>")[0]


def test_each_layer_of_a_semantic_with_an_effect_has_its_picture(write, run):
    pictures = dict(Page(write()).pictures())
    base = make_codes(run.generator, run.verification.settings["seed"], 0, 1, stream=VERIFICATION)
    for name in LAYER_OF:
        for layer in range(run.generator.num_layers):
            (alt,) = [alt for alt in pictures if f"Sample 0 moved along {name} on layer {layer} " in alt]
            expected = manipulate(run.generator, base.codes, run.boundaries[name], layer, STEPS)
            assert pictures[alt].shape == (RESOLUTION, len(STEPS) * RESOLUTION, 3)
            tiles = pictures[alt].reshape(RESOLUTION, len(STEPS), RESOLUTION, 3).transpose(1, 3, 0, 2)
            difference = tiles.astype(int) - to_uint8(expected)[0].numpy().astype(int)
            assert np.abs(difference).max() <= 2  # pictures have six bits to a channel


def test_a_cell_of_the_heat_map_leads_to_its_row_with_interval_and_band(write, run):
    html = write()
    for name in LAYER_OF:
        row = run.verification.row(name)
        column = [semantic.name for semantic in run.verification.semantics].index(name)
        for layer in range(run.generator.num_layers):
            cell = html[html.index(f'title="{name} on layer {layer} ') :].split("</td>")[0]
            (place,) = re.findall(r'<a href="#([\w-]+)">', cell)
            figure = part_of(html, f'<figure class="layer{_classes(run, row, layer)}" id="{place}">')
            assert f"along {name} on layer {layer} " in figure
            places = places_of(run.verification, name)
            assert f"to {number(run.verification.high[row, 1 + layer, column], places)} ≈" in figure
            band = escape(_band(run.verification.null_high[1 + layer, column], places))
            assert f"random {band}<" in figure


def _classes(run, row, layer):
    best = " best" if run.verification.top_layer[row] == layer else ""
    return best + ("" if run.verification.layer_beats_null[row, layer] else " faint")


def test_a_band_that_rounds_to_nothing_is_not_written_as_zero():
    assert [_band(half, 3) for half in (0.268, 0.0006, 0.0004, 0.0)] == [
        "± 0.268",
        "± 0.001",
        "< 0.001",
        "± 0.000",
    ]


def test_each_row_of_the_ranking_leads_to_its_strips(write, run):
    html = write()
    ranking = part_of(html, '<section id="ranking">')
    for name in LAYER_OF:
        places = re.findall(rf'<a href="#([\w-]+)">{name}</a>', ranking)
        assert len(places) == 2 and len(set(places)) == 1  # in the chart and in the table
        assert f"moved along {name} on all layers" in part_of(
            html, f'<article class="strip" id="{places[0]}">'
        )


def test_semantics_without_an_effect_have_no_pictures_of_layers_and_the_page_says_so(write, run):
    beats = np.array([name != "bed" for name in run.verification.boundary_names])
    page = Page(write(verification=replace(run.verification, beats_null=beats)))
    alts = [alt for alt, _ in page.pictures()]
    assert not any("Sample 0 moved along bed" in alt for alt in alts)
    assert any("moved along bed on all layers" in alt for alt in alts)
    assert "1 semantic that does not beat random directions, without pictures of each layer" in page.text


def test_of_many_semantics_without_an_effect_only_the_first_are_pictured(write, run, monkeypatch):
    monkeypatch.setattr("higan_fast.report.strips.NUM_WITHOUT_EFFECT", 1)
    nothing = np.zeros_like(run.verification.beats_null)
    page = Page(write(verification=replace(run.verification, beats_null=nothing)))
    assert len(page.find("article")) == 1
    assert "3 semantics without an effect are not pictured, to keep the page light" in page.text


def test_many_images_are_drawn_smaller_so_that_the_page_stays_light():
    demo, places365 = 10 * (10 + 6) * 5, 102 * (14 + 6) * 5
    sides = [
        largest_side(num, shape)
        for num, shape in (
            (demo, (3, 64, 64)), (demo, (1, 256, 256)),
            (places365, (3, 256, 256)), (places365, (4, 1024, 200)),
        )
    ]  # fmt: skip
    assert sides == [96, 96, 48, 72]
    noise = torch.rand(1, 5, 3, 256, 256) * 2 - 1
    assert picture(noise, "noise", 48).width == 5 * 48
    assert picture(noise, "noise").uri.startswith("data:image/jpeg")


def test_every_wide_table_has_a_hint_that_it_scrolls(write):
    page = Page(write())
    regions = page.find("div", role="region")
    assert len(regions) == len(page.find("p", **{"class": "hint"})) == 4
    assert all(region["tabindex"] == "0" and region["aria-label"] for region in regions)
    for cell in page.find("th"):
        assert cell["scope"] in ("row", "col", "rowgroup", "colgroup")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_stand_out_from_what_they_stand_on(theme, write):
    sheet = write().split("<style>")[1].split("</style>")[0]
    light, dark = re.findall(r":root \{(.*?)\}", sheet, re.S)
    colours = dict(re.findall(r"--([\w-]+): (#\w+);", light))
    if theme == "dark":
        colours |= dict(re.findall(r"--([\w-]+): (#\w+);", dark))
    for text in ("ink", "soft", "layout", "object", "attribute", "color"):
        for ground in ("page", "tint"):
            if ground == "page" or text in ("ink", "soft"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for tone in ("up", "down"):
        for shade in np.linspace(0, 1, 101):
            ground = mixed(colours[tone], colours["tint"], shade)
            text = "soft" if shade < FLAT else "deep-ink" if shade > DEEP else "cell-ink"
            assert contrast(colours[text], ground) >= 4.5, (tone, shade, text)
