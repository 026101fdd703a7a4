"""Layers without a direction: what depends on which layer is found, whatever happens on the way."""

import csv
import io
import json

import numpy as np
import pytest
import torch

import higan_fast as hf
from higan_fast.files import DamagedError, read_arrays, write_arrays
from higan_fast.predictors.base import Predictor, Semantic
from higan_fast.probing import Attribution, attribute_layers
from higan_fast.sampling.latents import ATTRIBUTION, REPLACEMENT, SAMPLING, VERIFICATION, make_codes
from tests.probing.same import same
from tests.probing.test_kept_parts import counted
from tests.toy import LAYER_OF, NUM_LAYERS, toy, toy_by_name
from tests.toy_families import NUM_CLASSES, chunked_toy, conditional_toy, one_layer_toy

QUIET = {"progress": False}


class Arithmetic(Predictor):
    """Reads two entries of the first layer's code and one of the second's: a, b and c."""

    semantics = tuple(Semantic(name, "object") for name in ("sum", "product", "twice", "against", "first"))

    def forward(self, images):
        a, b, again = (10 * images[:, :, 0, 0]).unbind(1)
        return torch.stack([a + 2 * b, a * b, a + again, a - again, a], dim=1)


def drawn(codes):
    """Layer 0 paints a, layer 1 paints b and another a, layer 2 nothing; within [-1, 1] to ten deviations."""
    paint = 0.1 * torch.stack([codes[:, 0, 0], codes[:, 1, 1], codes[:, 1, 0]], dim=1)
    return paint[:, :, None, None].expand(-1, -1, 4, 4)


@pytest.fixture(scope="module")
def known():
    generator = hf.generators.wrap(drawn, num_layers=3, code_dim=4, resolution=4, identity="known")
    return attribute_layers(generator, Arithmetic(), num=2000, **QUIET)


@pytest.mark.parametrize(
    ("name", "truth", "tops"),
    [
        ("sum", (0.2, 0.8, 0), (1,)),  # additive: shares of the variance
        ("product", (1, 1, 0), (0, 1)),  # all is interaction, so that both decide all
        ("twice", (0.25, 0.25, 0), (0, 1)),  # both read the same code: each alone changes little
        ("against", (np.nan,) * 3, ()),  # and here they always cancel
        ("first", (1, 0, 0), (0,)),
    ],
)
def test_known_dependence_is_recovered(known, name, truth, tops):
    row = known.row(name)
    np.testing.assert_allclose(known.layer_profile(name), truth, atol=0.09)  # 3 of the product's errors
    if tops:
        assert ((known.low[row] <= truth) & (truth <= known.high[row])).all()
    assert known.top_layers(name) == tops
    assert known.best_layer(name) == (tops[0] if len(tops) == 1 else None)


def test_the_mean_layer_is_weighted_by_the_indices(known):
    assert known.mean_layer("sum") == pytest.approx(0.8, abs=0.02)
    assert known.mean_layer("against") is None
    means = known.mean_layer_by_level()
    assert means["layout"] is None and means["object"] == pytest.approx((0.8 + 0.5 + 0.5 + 0) / 4, abs=0.02)


@pytest.fixture(scope="module")
def found():
    return attribute_layers(*toy(), num=200, **QUIET)


def test_the_toys_layers_are_found(found):
    for name, layer in LAYER_OF.items():
        assert found.best_layer(name) == layer
        assert found.layer_profile(name)[layer] == pytest.approx(1, abs=0.35)
    assert found.top_layers("constant") == () and found.best_layer("constant") is None
    assert (found.samples, found.images) == (200, 200 * (1 + NUM_LAYERS))
    with pytest.raises(KeyError, match="'sofa' was not scored; there are view, bed"):
        found.layer_profile("sofa")


def test_it_is_shown_as_text_html_json_and_csv(known, tmp_path):
    text = repr(known)
    assert "the top layer of 2 of 5 semantics at 0.99 (2,000 samples, 8,000 images)" in text
    lines = {line.split()[0]: line for line in text.splitlines()[2:]}
    assert "1 (layer1)" in lines["sum"] and "one of 0-1" in lines["product"]
    assert "against: the score is the same for every sample" in text
    assert known._repr_html_().count("<tr>") == 6
    as_json = json.loads(json.dumps(known.to_json(), allow_nan=False))
    assert as_json["semantics"][1]["top_layers"] == [0, 1] and as_json["semantics"][1]["best_layer"] is None
    rows = list(csv.DictReader(io.StringIO(known.to_csv())))
    assert len(rows) == 5 * 3
    for row, entry in zip(rows, (e for s in as_json["semantics"] for e in s["profile"]), strict=True):
        assert row["index"] == ("" if entry["index"] is None else str(entry["index"]))
        assert row["may_be_top"] == str(entry["may_be_top"]).lower()
    known.save(tmp_path / "found.npz")
    same(Attribution.load(tmp_path / "found.npz"), known)
    (tmp_path / "found.npz").write_bytes(b"no array")
    with pytest.raises(DamagedError, match=r"found.npz: not a file of an attribution.*run higan-fast layers"):
        Attribution.load(tmp_path / "found.npz")


@pytest.mark.parametrize("networks", [toy, conditional_toy, chunked_toy], ids=lambda made: made.__name__)
@pytest.mark.parametrize("label", [None, 2])
def test_the_other_code_is_of_a_fresh_sample_of_the_same_class(networks, label):
    generator, predictor = (network.double() for network in networks())
    if generator.label_dim == 0 and label is not None:
        return
    options = {"seed": 5, "truncation_psi": 0.7, "truncation_layers": 3, "label": label}
    found = attribute_layers(generator, predictor, num=70, batch_size=9, **options, **QUIET)
    with torch.no_grad():
        codes = [make_codes(generator, 5, 0, 70, 0.7, 3, stream, label) for stream in range(6)]
        base, other = codes[ATTRIBUTION], codes[REPLACEMENT]
        for stream in (SAMPLING, VERIFICATION, REPLACEMENT):
            assert (codes[stream].z != base.z).all()
        if generator.label_dim:
            assert set(base.label.tolist()) == (set(range(NUM_CLASSES)) if label is None else {label})
        others = generator.map(other.z, base.label, 0.7, 3)
        scores = predictor(generator.synthesize(base.codes).clamp(-1, 1))
        for layer in range(NUM_LAYERS):
            mixed = base.codes.clone()
            mixed[:, layer] = others[:, layer]
            changed = predictor(generator.synthesize(mixed).clamp(-1, 1)) - scores
            half = changed.square().mean(dim=0) / 2
            for column in (0, 1, 2, 4):
                expected = float(half[column] / scores[:, column].var())
                assert found.index[column, layer] == pytest.approx(expected, abs=1e-9)


def test_it_goes_on_where_it_was_and_a_larger_number_adds(tmp_path):
    whole = attribute_layers(*toy_by_name(), num=200, **QUIET)
    each = 1 + NUM_LAYERS
    *networks, seen = counted(0.8 * 200 * each)
    with pytest.raises(KeyboardInterrupt):
        attribute_layers(*networks, num=200, out=tmp_path, **QUIET)
    *networks, seen = counted()
    same(attribute_layers(*networks, num=200, out=tmp_path, **QUIET), whole)
    assert sum(seen) == (200 - 128) * each  # the first part is kept
    *networks, seen = counted()
    same(attribute_layers(*networks, num=200, out=tmp_path, **QUIET), whole)
    assert sum(seen) == 0
    more = attribute_layers(*networks, num=256, confidence=0.9, out=tmp_path, **QUIET)
    assert sum(seen) == 128 * each and more.samples == 256  # the last part had 72 samples
    same(Attribution.load(tmp_path / "attribution.npz"), more)
    attribute_layers(*networks, num=256, seed=1, out=tmp_path, **QUIET)
    assert sum(seen) == (128 + 256) * each


def test_what_is_damaged_is_measured_again(tmp_path, capsys):
    first = attribute_layers(*toy_by_name(), num=100, out=tmp_path, **QUIET)
    part = sorted((tmp_path / "attribution").iterdir())[0]
    for path in (part, tmp_path / "attribution.npz"):
        path.write_bytes(path.read_bytes()[:-40])
    same(attribute_layers(*toy_by_name(), num=100, out=tmp_path, **QUIET), first)
    assert capsys.readouterr().err.count("measured again") == 2


def test_a_result_of_another_version_is_computed_anew(tmp_path):
    first = attribute_layers(*toy_by_name(), num=100, out=tmp_path, **QUIET)
    arrays = read_arrays(tmp_path / "attribution.npz")
    write_arrays(tmp_path / "attribution.npz", arrays | {"older": np.zeros(3)})
    with pytest.raises(DamagedError, match="not a file of an attribution of this version"):
        Attribution.load(tmp_path / "attribution.npz")
    *networks, seen = counted()
    same(attribute_layers(*networks, num=100, out=tmp_path, **QUIET), first)
    assert sum(seen) == 0
    same(Attribution.load(tmp_path / "attribution.npz"), first)


def test_batches_and_precision(found):
    again = attribute_layers(*toy(), num=200, batch_size=7, **QUIET)
    np.testing.assert_allclose(again.index, found.index, rtol=1e-5, atol=1e-9)  # scores are float32
    fast = attribute_layers(*toy(), num=200, precision="fast", **QUIET)
    assert fast.settings["precision"] == "fast"
    assert [fast.best_layer(name) for name in LAYER_OF] == list(LAYER_OF.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num": 1}, "num (--num): got 1, expected a whole number of at least 2"),
        ({"confidence": 99}, "did you mean 0.99?"),
        ({"precision": "half"}, "precision (--precision): got 'half'"),
        ({"batch_size": 0}, "batch_size (--batch): got 0"),
        ({"seed": -1}, "seed (--seed): got -1"),
        ({"truncation_layers": 9}, "truncation_layers (--trunc-layers): got 9, expected 0 to 5"),
        ({"label": 3}, "this generator is unconditional"),
        ({"out": ""}, "out (--out): got an empty path"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError) as raised:
        attribute_layers(*toy(), **options, **QUIET)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_a_generator_of_one_layer_has_nothing_to_tell_apart():
    with pytest.raises(ValueError, match=r"^generator: it has one layer, which decides"):
        attribute_layers(*one_layer_toy(), **QUIET)


def test_a_score_that_is_not_finite_is_named():
    generator, predictor = toy()
    forward, seen = predictor.forward, []

    def broken(images):
        scores = forward(images)
        if sum(seen) == 64 + 32:  # the samples as they are, and the first batch with another code on layer 0
            scores[5, 1] = torch.nan
        seen.append(len(images))
        return scores

    predictor.forward = broken
    with pytest.raises(ValueError, match="'bed' at sample 5 with another code on layer 1; what was"):
        attribute_layers(generator, predictor, num=64, **QUIET)
