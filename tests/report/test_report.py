"""The page as a whole: it is complete, self-contained, and says what the run says."""

from dataclasses import replace

import numpy as np
import pytest

from higan_fast.boundaries.boundary import Boundaries, fingerprint_of
from higan_fast.boundaries.fitting import fit_boundaries
from higan_fast.inversion import Inversion
from higan_fast.pictures import to_uint8
from higan_fast.predictors.base import Semantic
from higan_fast.probing.manipulation import manipulate
from higan_fast.probing.verification import verify
from higan_fast.report import write_report
from higan_fast.report.numerals import number
from higan_fast.report.ranking import places_of
from higan_fast.report.strips import STEPS
from higan_fast.sampling.latents import VERIFICATION, make_codes
from higan_fast.sampling.samples import Samples, sample
from higan_fast.sampling.store import Held
from tests.report.page import Page
from tests.toy import LAYER_OF, RESOLUTION, SEMANTICS


def nothing_beats(verification):
    return replace(
        verification,
        beats_null=np.zeros_like(verification.beats_null),
        layer_beats_null=np.zeros_like(verification.layer_beats_null),
    )


def upside_down(verification):
    """The same effects on the layers in reverse order."""

    def turn(values):
        return np.concatenate([values[:, :1], values[:, :0:-1]], axis=1)

    names = ("effect", "standard_error", "low", "high", "higan_delta")
    turned = {name: turn(getattr(verification, name)) for name in names}
    return replace(verification, **turned, layer_beats_null=verification.layer_beats_null[:, ::-1])


def test_the_page_is_whole_and_needs_nothing_else(write):
    html = write(settings={"command": "higan-fast probe --out runs/toy"})
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>") and html.rstrip().endswith("</html>")
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object") and not (tag == "script" and attributes)
        assert (attributes.get("src") or "data:").startswith("data:")
        if "href" in attributes:
            assert attributes["href"].startswith(("#", "https://arxiv.org/", "report.csv"))
    assert "url(" not in html and "@import" not in html
    sections = {attributes["id"] for attributes in page.find("section")}
    links = {link["href"][1:] for link in page.find("a") if link["href"][0] == "#"}
    places = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert sections <= links <= set(places) and len(places) == len(set(places))
    assert all(image["alt"] for image in page.find("img"))
    assert "higan-fast probe --out runs/toy" in page.text


def test_every_semantic_stands_there_with_its_figures(write, run):
    page = Page(write())
    assert set(run.boundaries) == set(LAYER_OF)
    for entry in run.verification.to_json()["semantics"]:
        name, layer = entry["name"], entry["best_layer"]
        assert layer == LAYER_OF[name]
        places = places_of(run.verification, name)
        effect, low, high = (f"{entry[key]:.{places}f}" for key in ("effect", "low", "high"))
        relative = f"{entry['effect_in_deviations']:+.2f}"
        assert f"{name} {entry['level']} {relative} +{effect} {low} to {high}" in page.text
        group = run.generator.layers[layer].group
        assert f"{layer} (16², {group}) {100 * run.boundaries[name].accuracy:.1f} %" in page.text
    assert "All 4 semantics beat random directions" in page.text
    assert f"{len(run.samples) + run.verification.images:,}" in page.text
    assert "versions.torch 2.9" in page.text


def test_a_semantic_without_a_boundary_stands_there_with_the_reason(write, run):
    page = Page(write())
    assert f"constant {run.boundaries.skipped['constant']}" in page.text
    assert "The score of constant is the same for all samples" in page.text
    assert "All samples have the score 0.5" in page.text


def test_the_heat_map_has_a_cell_for_each_semantic_and_layer(write, run):
    page = Page(write())
    for name in LAYER_OF:
        row = run.verification.boundary_names.index(name)
        cells = [
            cell for cell in page.find("td") if (cell.get("title") or "").startswith(f"{name} on layer ")
        ]
        assert len(cells) == run.generator.num_layers
        for index, cell in enumerate(cells):
            assert f"layer {index} (paint{index})" in cell["title"]
            assert ("marked" in cell["class"].split()) == run.verification.layer_beats_null[row, index]
        shades = [float(cell["style"].removeprefix("--shade:")) for cell in cells]
        assert int(np.argmax(shades)) == LAYER_OF[name]
        assert (max(shades) == 1) == run.verification.layer_beats_null[row].any()


def test_rows_of_noise_stay_pale(write, run):
    quiet = run.verification.effect.copy()
    column = [semantic.name for semantic in SEMANTICS].index("view")
    row = run.verification.boundary_names.index("view")
    quiet[row, 1:, column] = 0.1 * run.verification.null_high[1:, column]
    unmarked = run.verification.layer_beats_null.copy()
    unmarked[row] = False
    page = Page(write(verification=replace(run.verification, effect=quiet, layer_beats_null=unmarked)))
    cells = [cell for cell in page.find("td") if (cell.get("title") or "").startswith("view on layer ")]
    assert max(float(cell["style"].removeprefix("--shade:")) for cell in cells) <= 0.05


def test_the_sentence_on_the_order_follows_the_data(write, run):
    page = Page(write())
    assert "Mean layers: layout 0.0, object 1.0, attribute 3.0 and color 4.0." in page.text
    assert "The trend over all of them has p = 0.042, and" not in page.text  # every level has one semantic
    assert "object before attribute and attribute before color are not established." in page.text
    why = "needs five semantics of each; attribute has 1 and color has 1"
    assert f"attribute color – – not established: {why}" in page.text
    page = Page(write(verification=upside_down(run.verification)))
    assert "Mean layers: layout 4.0, object 3.0, attribute 1.0 and color 0.0." in page.text
    assert "The trend layout, object, attribute, color has p = 1.0 (all 24 labelings)" in page.text


def test_levels_with_several_semantics_have_intervals_and_p_values(write, run):
    def moved(semantic):
        return Semantic(semantic.name, {"view": "object", "wood": "color"}.get(semantic.name, semantic.level))

    semantics = tuple(map(moved, SEMANTICS))
    settings = run.samples.settings | {"semantics": [[s.name, s.level] for s in semantics]}
    arrays = {part: getattr(run.samples, part) for part in ("z", "w", "codes", "scores")}
    found = replace(run.verification, semantics=semantics)
    page = Page(write(verification=found, samples=Samples(Held(settings, arrays), len(run.samples))))
    pair = found.hierarchy.pairs[0]
    assert pair.p == pair.p_adjusted == pytest.approx(1 / 6)  # 2 + 2 semantics
    assert "Mean layers: object 0.5 and color 3.5. Of HiGAN’s order, object before color is not" in page.text
    assert "object color 0.17 0.17 not established" in page.text
    assert "0.5 0.0 to 4.0" in page.text, "two semantics say little of a level"
    assert len(page.find("line", **{"class": "interval", "y1": "18"})) == 2


def test_strips_are_those_of_the_first_samples_of_the_verification(write, run):
    pictures = dict(Page(write()).pictures())
    base = make_codes(run.generator, run.verification.settings["seed"], 0, 3, stream=VERIFICATION)
    for name, layer in LAYER_OF.items():
        for layers, words in ((layer, f"layer {layer} "), ("all", "all layers ")):
            alt = next(
                alt for alt in pictures if f"samples, one to a row, moved along {name} on {words}" in alt
            )
            expected = manipulate(run.generator, base.codes, run.boundaries[name], layers, STEPS)
            picture = pictures[alt]
            assert picture.shape == (3 * RESOLUTION, len(STEPS) * RESOLUTION, 3)
            tiles = picture.reshape(3, RESOLUTION, len(STEPS), RESOLUTION, 3).transpose(0, 2, 4, 1, 3)
            difference = tiles.astype(int) - to_uint8(expected).numpy().astype(int)
            assert np.abs(difference).max() <= 2  # pictures have six bits to a channel


def test_the_contact_sheet_shows_the_first_samples(write, run):
    sheets = [(alt, picture) for alt, picture in Page(write()).pictures() if alt.startswith("Samples ")]
    assert [alt for alt, _ in sheets] == ["Samples 0 to 31, row by row", "Samples 32 to 63, row by row"]
    assert all(picture.shape == (4 * RESOLUTION, 8 * RESOLUTION, 3) for _, picture in sheets)


def test_few_samples_fill_the_sheet_as_far_as_they_go(write, run):
    arrays = {name: getattr(run.samples, name)[:9] for name in ("z", "w", "codes", "scores")}
    page = Page(write(samples=Samples(Held(run.samples.settings, arrays), 9)))
    sheets = [(alt, picture) for alt, picture in page.pictures() if alt.startswith("Samples ")]
    assert [(alt, picture.shape[0]) for alt, picture in sheets] == [
        ("Samples 0 to 8, row by row", 2 * RESOLUTION)
    ]


def test_large_images_are_made_smaller(write, run, monkeypatch):
    monkeypatch.setattr("higan_fast.report.drawing.SIDES", (8,))
    pictures = [picture for alt, picture in Page(write()).pictures() if "moved along" in alt]
    assert {picture.shape for picture in pictures} == {(rows * 8, len(STEPS) * 8, 3) for rows in (1, 3)}


def test_a_run_in_which_nothing_beats_the_null_says_so(write, run):
    page = Page(write(verification=nothing_beats(run.verification)))
    assert "None of the 4 semantics beats random directions" in page.text
    assert "HiGAN’s order" not in page.text
    assert len(page.find("details")) == 1 and "4 semantics that do not beat random directions" in page.text


def test_a_level_that_is_absent_has_no_place_in_the_order(write, run):
    beats = np.array([name != "bed" for name in run.verification.boundary_names])
    page = Page(write(verification=replace(run.verification, beats_null=beats)))
    assert "3 of 4 semantics beat" in page.text
    assert "Mean layers: layout 0.0, attribute 3.0 and color 4.0." in page.text
    assert "Of HiGAN’s order, layout before attribute and attribute before color are not" in page.text
    assert "No object semantic beats random directions" in page.text


def test_boundaries_in_z_have_strips_but_no_heat_map(write, run):
    samples = sample(run.generator, run.predictor, 1500, truncation_psi=0.8, progress=False)
    boundaries = fit_boundaries(samples, chosen_num=300, space="z", progress=False)
    verification = verify(run.generator, run.predictor, boundaries, num=40, num_null=8, progress=False)
    page = Page(write(samples=samples, boundaries=boundaries, verification=verification))
    assert "These boundaries were fitted in z" in page.text
    assert not any("on layer" in (cell.get("title") or "") for cell in page.find("td"))
    strips = {alt: picture for alt, picture in page.pictures() if "moved along" in alt}
    assert len(strips) == len(boundaries) and all("on all layers" in alt for alt in strips)
    base = make_codes(run.generator, verification.settings["seed"], 0, 3, 0.8, stream=VERIFICATION)
    still = to_uint8(run.generator.synthesize(base.codes)).permute(0, 2, 3, 1).reshape(-1, RESOLUTION, 3)
    for picture in strips.values():
        middle = picture[:, 2 * RESOLUTION : 3 * RESOLUTION].astype(int)
        assert np.abs(middle - still.numpy()).max() <= 2


def test_a_run_without_any_boundary_has_a_report_too(write, run):
    none = Boundaries((), {semantic.name: "40 samples a side" for semantic in SEMANTICS})
    page = Page(write(boundaries=none, verification=None))
    assert "No boundary was fitted, so there is no effect to report" in page.text
    assert "hue 40 samples a side" in page.text
    assert {section["id"] for section in page.find("section")} == {"boundaries", "samples", "method"}


def test_names_from_users_are_escaped(write, run):
    name = "<script>alert('bed')</script> & more"

    def renamed(semantics):
        return tuple(Semantic(name, s.level) if s.name == "bed" else s for s in semantics)

    arrays = {part: getattr(run.samples, part) for part in ("z", "w", "codes", "scores")}
    semantics = renamed(run.samples.semantics)
    settings = run.samples.settings | {"semantics": [[s.name, s.level] for s in semantics]}
    names = tuple(name if old == "bed" else old for old in run.verification.boundary_names)
    boundaries = Boundaries(
        tuple(replace(b, name=name) if b.name == "bed" else b for b in run.boundaries.values()),
        {"<b>bold</b>": "<script>reason</script>"},
    )
    verified = run.verification.settings | {"boundaries": fingerprint_of(boundaries)}
    html = write(
        title="<script>alert('title')</script>",
        settings={"network": '"><script>', "command": "<script>"},
        samples=Samples(Held(settings, arrays), len(run.samples)),
        boundaries=boundaries,
        verification=replace(run.verification, semantics=semantics, boundary_names=names, settings=verified),
    )
    page = Page(html)
    assert html.count("<script") == 1 and page.find("script") == [{}]  # the page's own
    assert page.find("b", id="bold") == []
    assert name in page.text and "<script>reason</script>" in page.text
    assert any(name in alt for alt, _ in page.pictures())


def test_results_of_another_generator_are_refused(write, run):
    other = Samples(Held(run.samples.settings | {"generator": "0" * 32}, {}), len(run.samples))
    with pytest.raises(ValueError, match="samples: another generator made them"):
        write(samples=other)
    strange = replace(run.verification, settings=run.verification.settings | {"generator": "0" * 32})
    with pytest.raises(ValueError, match="verification: it is of another generator"):
        write(verification=strange)
    settings = run.verification.settings
    for name, value, message in (
        ("boundaries", "0" * 32, "verification: it is of other boundaries; verify these"),
        ("predictor", "0" * 32, "verification: has predictor = '000"),
        (
            "truncation_psi",
            0.7,
            "verification: has truncation_psi = 0.7, and the samples 1.0; make it as they",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            write(verification=replace(run.verification, settings=settings | {name: value}))
    elsewhere = Samples(Held(run.samples.settings | {"seed": 9}, {}), len(run.samples))
    with pytest.raises(ValueError, match="boundaries: 'view' was not fitted to these samples"):
        write(samples=elsewhere)
    fewer = replace(run.verification, semantics=run.verification.semantics[:-1])
    with pytest.raises(ValueError, match="make it with the predictor that scored them"):
        write(verification=fewer)


def test_nothing_is_left_behind_where_the_page_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="cannot write"):
        write_report(
            tmp_path / "file" / "report.html",
            title="Toy",
            settings={},
            generator=run.generator,
            samples=run.samples,
            boundaries=run.boundaries,
            verification=run.verification,
            progress=False,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_boundary_that_wrecks_something_is_seen(write, run):
    found = run.verification
    quiet = Page(write())
    assert "Steps in both directions" not in quiet.text and "On all layers a step changes" not in quiet.text
    row, names = found.row("view"), [semantic.name for semantic in SEMANTICS]
    deviation = run.samples.scores.std(axis=0)
    changed = {name: getattr(found, name).copy() for name in ("effect", "even", "even_low", "even_high")}
    sure = found.even_sure.copy()
    for name, size, surely in (("wood", -0.8, True), ("hue", 0.9, False), ("bed", 0.3, True)):
        column = names.index(name)
        changed["effect"][row, 0, column] = 0
        for part, offset in (("even", 0), ("even_low", -0.1), ("even_high", 0.1)):
            changed[part][row, 0, column] = (size + offset) * deviation[column]
        sure[row, column] = surely
    page = Page(write(verification=replace(found, **changed, even_sure=sure)))
    assert "standard deviations or more, which no effect shows: view → wood (−0.8)." in page.text
    assert "On all layers a step changes, whichever way it goes: wood −0.8 " in page.text
    cells = {
        cell["title"]: cell["class"].split()
        for cell in page.find("td")
        if "; even part " in (cell.get("title") or "")
    }
    (of_wood,) = (classes for title, classes in cells.items() if title.startswith("view → wood: 0.00 SD, "))
    assert of_wood.count("even") == 1
    assert sum("even" in classes for classes in cells.values()) == 1
    assert "0.0 −0.8" in page.text


def test_captions_of_strips_give_the_even_part(write, run):
    page, found = Page(write()), run.verification
    for name in LAYER_OF:
        column = [semantic.name for semantic in SEMANTICS].index(name)
        effect, even = (float(part[found.row(name), 0, column]) for part in (found.effect, found.even))
        effect, even = (number(value, places_of(found, name), signed=True) for value in (effect, even))
        assert f"All layers effect {effect} , even part {even}" in page.text


def test_pictures_of_somebody_have_a_section(write):
    numbers = {name: np.array([31.5, 24.5], "f") for name in ("psnr", "distance", "from_mean")}
    curves = np.full((2, 1, 10), 20, np.float32)
    found = Inversion(
        np.zeros((2, 5, 4), "f"), ("a.png", "<b>.png"), percentile=np.array([3.0, 99.5], "f"),
        steps=np.array([9, 9]), settings={"space": "w", "steps": 10}, curves=curves, **numbers,
    )  # fmt: skip
    text = write(inversion=found)
    section = text[text.index('<section id="pictures">') :]
    section = section[: section.index("</section>")]
    assert "28.0&nbsp;dB" in section and "99&nbsp;% of samples: &lt;b&gt;.png." in section
    assert section.count("<svg") == 1 and section.count('<th scope="row">') == 2 and "<b>.png" not in section
    assert 'href="#pictures"' in text and 'href="#pictures"' not in write()
