"""Methods compared: the same codes for all, figures that follow from them, and nothing measured twice."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from higan_fast import load_predictor
from higan_fast.files import DamagedError
from higan_fast.probing import Comparison, compare_methods, fit_boundaries, sample
from higan_fast.sampling.latents import COMPARISON, make_codes
from tests.probing.same import same
from tests.probing.test_kept_parts import counted
from tests.toy import LAYER_OF, of_anyone, toy, toy_by_name
from tests.toy_families import conditional_toy

METHODS = ("svm=1", "ridge=1", "difference", "gradient")
QUIET = {"progress": False}
FEW = {"codes": 24, "num_gradients": 8, **QUIET}


@pytest.fixture(scope="module")
def fitted(samples):
    return fit_boundaries(samples, method="svm", chosen_num=400, **QUIET)


@pytest.fixture(scope="module")
def by_name():
    return sample(*toy_by_name(), 700, **QUIET)


@pytest.fixture(scope="module")
def found(samples, fitted):
    return compare_methods(*toy(), samples, fitted, METHODS, codes=100, num_gradients=8, **QUIET)


def test_effects_are_those_of_the_boundaries_on_the_same_fresh_codes(samples, fitted, found):
    generator, predictor = toy()
    own = [
        fitted,
        *(fit_boundaries(samples, method=m, chosen_num=400, **QUIET) for m in ("ridge", "difference")),
    ]
    assert found.methods == METHODS and found.boundary_names == tuple(LAYER_OF)
    with torch.no_grad():
        codes = make_codes(generator, samples.settings["seed"], 0, 100, stream=COMPARISON).codes
        for place, boundaries in enumerate(own):
            for row, name in enumerate(LAYER_OF):
                move = 2 * torch.as_tensor(boundaries[name].normal).float()
                forth, back = (
                    predictor(generator.synthesize(codes + s * move).clamp(-1, 1)) for s in (1, -1)
                )
                effects = ((forth - back) / 2).double().numpy()
                columns = [predictor.names.index(other) for other in LAYER_OF]
                relative = effects[:, columns] / samples.deviation[columns]
                assert found.effect[place, row] == pytest.approx(relative[:, row].mean(), abs=1e-4)
                error = relative[:, row].std(ddof=1) / 10
                assert found.effect_error[place, row] == pytest.approx(error, abs=1e-4)
                others = np.delete(relative, row, axis=1)
                square = (others.mean(axis=0) ** 2 - others.var(axis=0, ddof=1) / 100).mean()
                assert found.off_target[place, row] ** 2 == pytest.approx(max(square, 0), abs=1e-4)
                assert found.accuracy[place, row] == boundaries[name].accuracy
                step = 2 / boundaries[name].code_deviations[0]
                assert found.step_in_sd[place, row] == pytest.approx(step)


def test_differences_are_paired_and_those_that_are_sure_are_right(found):
    np.testing.assert_allclose(found.difference[1:], found.effect[1:] - found.effect[:1], atol=1e-12)
    assert np.isnan(found.difference[0]).all() and found.moves(0) == 0
    inside = (found.low[1:] <= found.difference[1:]) & (found.difference[1:] <= found.high[1:])
    assert inside.all()
    apart = 3 * np.hypot(found.effect_error[1:], found.effect_error[:1])
    assert np.median((found.high - found.low)[1:] / 2 / apart) < 1  # what codes share does not count
    np.testing.assert_allclose(found.mean_effect, found.effect.mean(axis=1))
    np.testing.assert_allclose(found.mean_off_target**2, (found.off_target**2).mean(axis=1), atol=2e-3)


def test_refits_are_of_two_halves_of_the_samples(samples, found):
    halves = samples.part(0, 2000), samples.part(2000, 4000)
    one, other = (fit_boundaries(half, method="difference", chosen_num=200, **QUIET) for half in halves)
    for row, name in enumerate(LAYER_OF):
        assert found.cosine[2, row] == pytest.approx(one[name].normal @ other[name].normal)
    assert (found.cosine[:3] < 0.99999).all() and np.isnan(found.cosine[3]).all()  # gradient sees no samples


def test_shown_as_text_html_json_and_csv(found, tmp_path):
    lines = repr(found).splitlines()
    assert (
        "4 methods, a step of 2 in length along the boundaries of 4 semantics, 100 fresh codes (3,200"
        in lines[0]
    )
    assert [line.split()[0] for line in lines[2:6]] == list(METHODS)
    assert found._repr_html_().count("<tr>") == 5
    as_json = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert as_json["compared_with"] == "svm=1" and as_json["methods"][0]["moves"] is None
    assert {entry["moves"] for entry in as_json["methods"][1:]} <= {"more", "less", "not told apart"}
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert len(rows) == 4 * (1 + 4)
    for row, method in zip(rows[::5], as_json["methods"], strict=True):
        assert (row["method"], row["semantic"]) == (method["method"], "")
        assert float(row["effect"]) == method["effect"]
        assert row["difference"] == ("" if method["difference"] is None else str(method["difference"]))
    assert rows[6]["semantic"] == "view" and float(rows[6]["effect"]) == found.effect[1, 0]
    found.save(tmp_path / "found.npz")
    same(Comparison.load(tmp_path / "found.npz"), found)
    (tmp_path / "found.npz").write_bytes(b"no array")
    with pytest.raises(
        DamagedError, match=r"found.npz: not a file of a comparison.*run higan-fast methods again"
    ):
        Comparison.load(tmp_path / "found.npz")


def test_it_goes_on_where_it_was_and_more_adds(by_name, tmp_path):
    samples, fitted = by_name, fit_boundaries(by_name, method="svm", chosen_num=300, **QUIET)
    options = {"codes": 100, "out": tmp_path, **QUIET}
    each = 2 * len(fitted)
    *networks, seen = counted(2.5 * 64 * each)
    with pytest.raises(KeyboardInterrupt):
        compare_methods(*networks, samples, fitted, ("ridge=1", "difference"), **options)
    *networks, seen = counted()
    whole = compare_methods(*networks, samples, fitted, ("ridge=1", "difference"), **options)
    assert sum(seen) == (300 - 2 * 64) * each and whole.methods == ("svm=1", "ridge=1", "difference")
    same(compare_methods(*networks, samples, fitted, ("ridge=1", "difference"), **options), whole)
    assert sum(seen) == (300 - 2 * 64) * each
    more = compare_methods(*networks, samples, fitted, ("ridge=1", "lda=1"), **options)
    assert sum(seen) == (400 - 2 * 64) * each
    np.testing.assert_array_equal(more.effect[:2], whole.effect[:2])
    part = sorted((tmp_path / "comparison").iterdir())[0]
    for path in (part, tmp_path / "comparison.npz"):
        path.write_bytes(path.read_bytes()[:-40])
    same(compare_methods(*networks, samples, fitted, ("ridge=1", "lda=1"), **options), more)


@pytest.mark.parametrize("space", ["layers", "z"])
@pytest.mark.parametrize("unit", ["norm", "sd"])
def test_in_every_space_and_unit(samples, space, unit):
    fitted = fit_boundaries(samples, method="svm", chosen_num=300, space=space, **QUIET)
    found = compare_methods(*toy(), samples, fitted, ("difference",), step_unit=unit, step=1.5, **FEW)
    assert np.isfinite(found.effect).all() and (found.mean_effect > 0.3).all()
    assert np.isfinite(found.cosine).all() and (found.cosine <= 1 + 1e-9).all()
    assert (found.step_in_sd == 1.5).all() == (unit == "sd")


def test_a_conditional_generator_and_fast_precision():
    networks = conditional_toy()
    samples = sample(*networks, 600, label=2, truncation_psi=0.7, **QUIET)
    fitted = fit_boundaries(samples, method="svm", chosen_num=200, **QUIET)
    found = compare_methods(*networks, samples, fitted, ("difference",), precision="fast", **FEW)
    assert found.settings["label"] == 2 and found.settings["precision"] == "fast"
    assert np.isfinite(found.effect).all()


def test_a_score_that_cannot_be_differentiated_leaves_gradient_out(samples):
    generator, predictor = toy()
    detached = load_predictor(
        lambda images: predictor(images).detach(), predictor.semantics, identity="detached"
    )
    samples = sample(generator, detached, 600, **QUIET)
    fitted = fit_boundaries(samples, method="svm", chosen_num=200, **QUIET)
    found = compare_methods(generator, detached, samples, fitted, ("difference", "gradient"), **FEW)
    assert found.methods == ("svm=1", "difference") and "carry no gradient" in found.skipped["gradient"]
    with pytest.raises(ValueError, match="nothing is left to compare svm=1 with"):
        compare_methods(generator, detached, samples, fitted, ("gradient",), **FEW)


@pytest.mark.parametrize(
    ("methods", "options", "message"),
    [
        ((), {}, "methods (--methods): got ()"),
        ("svm", {}, "methods (--methods): got 'svm', expected names such as svm=0.01"),
        (("svn",), {}, "got 'svn', expected one of svm, logistic"),
        (("svm=0",), {}, "got 'svm=0', expected a positive C behind '='"),
        (("difference=1",), {}, "'difference' has nothing to regularise; write difference"),
        (("lda", "lda=1"), {}, "got 'lda=1' twice"),
        (("svm",), {}, "got svm=1 alone, by which the boundaries were fitted"),
        (("lda",), {"codes": 23}, "codes (--codes): got 23, expected a whole number of at least 24"),
        (("lda",), {"step": 0}, "step (--step): got 0"),
        (("lda",), {"step_unit": "cm"}, "step_unit (--step-unit): got 'cm'"),
        (("lda",), {"confidence": 99}, "did you mean 0.99?"),
        (("lda",), {"precision": "half"}, "precision (--precision): got 'half'"),
        (("lda",), {"batch_size": 0}, "batch_size (--batch): got 0"),
        (("lda",), {"out": ""}, "out (--out): got an empty path"),
    ],
)
def test_bad_arguments_are_named(samples, fitted, methods, options, message):
    with pytest.raises(ValueError) as raised:
        compare_methods(*toy(), samples, fitted, methods, **(QUIET | options))
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_what_is_not_fitted_to_these_samples_is_refused(samples, fitted):
    part = samples.part(0, 2000)
    with pytest.raises(ValueError, match="were fitted to 4,000 samples, and there are 2,000"):
        compare_methods(*toy(), part, fitted, ("lda",), **FEW)
    with pytest.raises(ValueError, match="boundaries: are not known to be fitted to these samples"):
        compare_methods(*toy(), samples, replace(of_anyone(fitted), settings={}), ("lda",), **FEW)
    generator, predictor = toy()
    generator.first.weight.data += 1
    with pytest.raises(ValueError, match="generator: is not the one that made these samples"):
        compare_methods(generator, predictor, samples, fitted, ("lda",), **FEW)


def test_what_is_no_samples_or_boundaries_is_named(samples, fitted):
    with pytest.raises(TypeError, match=r"^boundaries: got a dict, expected what fit_boundaries gives"):
        compare_methods(*toy(), samples, dict(fitted), ("lda",), **FEW)
    with pytest.raises(TypeError, match=r"^samples: got a str, expected what sample gives"):
        compare_methods(*toy(), "runs/demo", fitted, ("lda",), **FEW)


def test_a_score_that_is_not_finite_is_named(by_name):
    generator, predictor = toy_by_name()
    fitted, forward, seen = (
        fit_boundaries(by_name, method="svm", chosen_num=300, **QUIET),
        predictor.forward,
        [],
    )

    def broken(images):
        scores = forward(images)
        if sum(seen) >= 2 * 24 * 4:  # those of the first method
            scores[2, 1] = torch.nan
        seen.append(len(images))
        return scores

    predictor.forward = broken
    with pytest.raises(
        ValueError, match=r"for semantic 'bed' at code [0-9]+, moved along the lda=1 boundary of '"
    ):
        compare_methods(generator, predictor, by_name, fitted, ("lda",), **FEW)
