"""The page of other kinds of generators: with classes, with one layer, with codes of their own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from higan_fast.boundaries.fitting import fit_boundaries
from higan_fast.pictures import to_uint8
from higan_fast.probing.claims import reasons_of
from higan_fast.probing.verification import verify
from higan_fast.report import write_report
from higan_fast.sampling.latents import VERIFICATION, make_codes
from higan_fast.sampling.samples import sample
from higan_fast.wording import listing
from tests.report.page import Page
from tests.toy import LAYER_OF, RESOLUTION
from tests.toy_families import chunked_toy, conditional_toy, one_layer_toy


@pytest.fixture
def report(tmp_path):
    """A small probe of some networks, and its page."""

    def probe(networks, space=None, label=None, **changes):
        generator, predictor = networks()
        samples = sample(generator, predictor, 1000, label=label, truncation_psi=0.9, progress=False)
        boundaries = fit_boundaries(samples, chosen_num=300, space=space, progress=False)
        options = {"num": 32, "confidence": 0.95, "truncation_psi": 0.9, "label": label}
        verification = verify(generator, predictor, boundaries, **options, progress=False)
        path = write_report(
            tmp_path / "report.html", title="Toy", settings={}, generator=generator, samples=samples,
            boundaries=boundaries, verification=replace(verification, **changes), progress=False,
        )  # fmt: skip
        return Page(path.read_text(encoding="utf-8")), verification

    return probe


def cells_of(page, name):
    return [cell for cell in page.find("td") if (cell.get("title") or "").startswith(f"{name} on layer ")]


def test_one_layer_has_a_profile_of_one_and_no_order(report):
    page, verification = report(one_layer_toy)
    assert verification.beats_null.all()
    assert "This generator has one layer, so that there is no order of layers to see." in page.text
    assert "which reads the whole code" in page.text and "one-layer-toy, 16², 1 layer " in page.text
    assert "Where each level lives" not in page.text and "On the left its best layer" not in page.text
    for name in LAYER_OF:
        (cell,) = cells_of(page, name)
        assert "layer 0 (paint)" in cell["title"] and "marked" in cell["class"].split()
        assert "0 (16², all)" in page.text
    strips = [alt for alt, _ in page.pictures() if "moved along" in alt]
    assert len(strips) == len(LAYER_OF) and all("on all layers" in alt for alt in strips)


def test_layers_with_codes_of_their_own(report):
    page, verification = report(chunked_toy)
    assert "chunked-toy, 16², 5 layers, 3 classes" in page.text
    for name in LAYER_OF:
        assert len(cells_of(page, name)) == 5
    headings = [heading["colspan"] for heading in page.find("th", scope="colgroup")]
    assert headings == ["1", "2", "1", "1"]  # bottom, lower, upper, top
    pictured = {
        alt.split(" moved along ")[1].split(" by ")[0] for alt, _ in page.pictures() if "moved" in alt
    }
    best = verification.best_layer("view")
    assert {f"view on layer {best} (16², bottom)", "view on all layers"} <= pictured


@pytest.mark.parametrize(("label", "words"), [(None, "3 classes"), (2, "class 2")])
def test_strips_in_z_show_every_sample_in_its_class(report, label, words):
    page, verification = report(conditional_toy, space="z", label=label)
    assert f"conditional-toy, 16², 5 layers, {words}" in page.text
    generator, _ = conditional_toy()
    seed = verification.settings["seed"]
    with torch.inference_mode():
        base = make_codes(generator, seed, 0, 3, 0.9, stream=VERIFICATION, label=label)
        still = to_uint8(generator.synthesize(base.codes)).permute(0, 2, 3, 1).reshape(-1, RESOLUTION, 3)
    strips = [picture for alt, picture in page.pictures() if "moved along" in alt]
    assert len(strips) == len(LAYER_OF)
    for picture in strips:
        middle = picture[:, 2 * RESOLUTION : 3 * RESOLUTION].astype(int)
        assert np.abs(middle - still.numpy()).max() <= 2  # pictures have six bits to a channel


def test_the_status_of_an_effect_stands_there_with_its_reason(report):
    def found(**changes):
        page, verification = report(one_layer_toy, **changes)
        verification = replace(verification, **changes)
        pairs = [(verification.status(name), verification.reason(name)) for name in verification.rank()]
        for names, status, reason in reasons_of(verification):
            is_or_are = "is" if len(names) == 1 else "are"
            assert page.text.count(f"{listing(names)} {is_or_are} {status}: {reason}.") == 1
        cells = [cell["title"] for cell in page.find("td") if "after Holm" in (cell.get("title") or "")]
        assert cells == [reason for _, reason in pairs]
        return pairs

    assert {status for status, _ in found()} == {"shown"}
    none = {"beats_null": np.zeros(4, bool), "p_adjusted": np.full(4, 0.02)}
    assert {status for status, _ in found(**none)} == {"not shown"}
    assert {status for status, _ in found(**none, undecided=np.ones(4, bool))} == {"undecided"}
