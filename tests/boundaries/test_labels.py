"""Boundaries from labels: equal sides, balanced accuracy, and files that somebody typed."""

import numpy as np
import pytest

from higan_fast.boundaries.code_files import read_codes_and_scores
from higan_fast.boundaries.label_files import Labels, read_labels
from higan_fast.boundaries.labels import fit_to_labels
from higan_fast.probing import Boundaries, verify
from higan_fast.statistics.proportions import proportion_interval
from tests.toy import of_anyone, toy

QUIET = {"progress": False}


def of(samples, name, rows=slice(None)):
    return samples.scores[rows, [each.name for each in samples.semantics].index(name)]


@pytest.fixture(scope="module")
def labelled(samples):
    """A rare kind, in 300 of 4,000 samples: those with much wood. Nothing scores it."""
    wood = of(samples, "wood")
    return Labels(np.arange(len(wood)), (wood > np.sort(wood)[-300]).astype(np.float32))


@pytest.mark.parametrize("method", [None, "svm", "difference"])
def test_a_rare_kind_is_fitted_by_as_many_of_both(samples, labelled, method):
    found = fit_to_labels(samples, {"cosy": labelled}, method=method, **QUIET)
    cosy = found["cosy"]
    assert (cosy.num_per_side, cosy.level, cosy.deviation) == (299, "attribute", None)
    assert found.settings["labels"] == {"cosy": {"labels": 4000, "per_side": 299}}
    assert cosy.accuracy > 0.8  # of as many of both: 4,000 times "no" would be right for 93 %
    assert cosy.normal @ toy()[0].directions[3].numpy() > (0.7 if method != "difference" else 0.4)
    low = (samples.w @ cosy.normal)[labelled.values == 0]
    high = (samples.w @ cosy.normal)[labelled.values == 1]
    assert high.mean() - low.mean() > 1.5 * low.std()
    assert cosy.code_deviations[0] == pytest.approx((samples.w @ cosy.normal).std(), rel=1e-4)


def test_labels_of_nothing_are_right_half_of_the_time(samples):
    random = np.random.default_rng(0)
    rows = random.permutation(4000)[:1500]
    values = (random.random(1500) < 0.2).astype(np.float32)
    found = fit_to_labels(samples, {"whim": Labels(rows, values)}, **QUIET)["whim"]
    low, high = proportion_interval(found.accuracy, 2 * round(0.3 * found.num_per_side), 0.999)
    assert low < 0.5 < high


def test_ratings_are_parted_where_no_value_is_on_both_sides(samples):
    rating = np.digitize(of(samples, "wood"), np.quantile(of(samples, "wood"), [0.1, 0.3, 0.6, 0.8]))
    found = fit_to_labels(samples, {"wood": Labels(np.arange(4000), rating.astype(np.float32))}, **QUIET)
    wood = found["wood"]
    assert wood.num_per_side == 1600  # the upper 1,600 have 3 or 4, and the lower 1,600 less
    assert wood.deviation == pytest.approx(float(of(samples, "wood").std()), rel=1e-6)
    assert wood.level == "attribute" and wood.accuracy > 0.9


def test_one_that_is_scored_is_verified_as_any_other(samples, labelled, tmp_path):
    high = Labels(labelled.rows, (of(samples, "wood") > 0).astype(np.float32))
    fit_to_labels(samples, {"wood": high}, method="svm", **QUIET).save(tmp_path / "b.safetensors")
    loaded = Boundaries.load(tmp_path / "b.safetensors")
    assert repr(loaded.fitted_to) == "'fitted to labels of 1 semantic'"
    found = verify(*toy(), of_anyone(loaded), num=32, num_null=32, confidence=0.95, **QUIET)
    assert found.beats_null[0] and found.top_layer[0] == 3
    with pytest.raises(ValueError, match="these were fitted to labels; take 'both'"):
        verify(*toy(), of_anyone(loaded), samples=samples, null="shuffled", num=8, num_null=2, **QUIET)


def test_too_few_labels_are_skipped_and_what_labels_have_not_is_refused(samples, labelled):
    few = Labels(labelled.rows[:400], labelled.values[:400])
    found = fit_to_labels(samples, {"cosy": few, "odd": Labels(few.rows, few.values * 0)}, **QUIET)
    num = int(few.values.sum())
    assert len(found) == 0 and num < 50
    assert found.skipped["cosy"].startswith(
        f"of its 400 labels, {num} can stand on each side, and at least 50"
    )
    assert found.skipped["odd"].startswith("of its 400 labels, 0 can")
    for options, message in (({"method": "gradient"}, "labels have none"), ({"C": "auto"}, "give a number")):
        with pytest.raises(ValueError, match=message):
            fit_to_labels(samples, {"cosy": labelled}, **options, **QUIET)


GOOD = "sample,semantic,value,image\n0,cosy,1,a.png\n3,cosy,0.5,b.png\n\n3,view, 2e0 ,\n4,cosy,,\n"


def test_files_are_read_as_spreadsheets_write_them(tmp_path):
    file = tmp_path / "labels.csv"
    for text in (GOOD, GOOD.replace(",", ";"), "\ufeff" + GOOD.replace(",", "\t").replace("\n", "\r\n")):
        file.write_text(text, newline="")
        found = read_labels(file, 5)
        assert list(found) == ["cosy", "view"]
        np.testing.assert_array_equal(found["cosy"].rows, [0, 3])
        np.testing.assert_array_equal(found["cosy"].values, np.float32([1, 0.5]))
        assert found["view"].values.tolist() == [2.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: got '', expected the columns sample,semantic,value"),
        ("sample,name,value\n", "line 1: got 'sample,name,value', expected the columns"),
        (GOOD + "5,cosy,1,\n", "line 7: sample is '5', expected a whole number from 0 to 4"),
        (GOOD + "-1,cosy,1,\n", "line 7: sample is '-1'"),
        (GOOD + "1,cosy,yes,\n", "line 7: value is 'yes', expected a number, such as 0, 1 or 0.25"),
        (GOOD + "1,cosy,nan,\n", "line 7: value is 'nan'"),
        (GOOD + "1,cosy,1e60,\n", "line 7: value is '1e60'"),
        (GOOD + "1,,1,\n", "line 7: semantic is '', expected a short name"),
        (GOOD + "1,\x1b[2J,1,\n", r"line 7: semantic is '\\x1b\[2J'"),
        (GOOD + "1,cosy\n", "line 7: has 2 columns, expected 4, as in line 1"),
        (GOOD + "3,cosy,1,\n", "line 7: labels sample 3 a second time for 'cosy'"),
        ("sample,semantic,value\n1,cosy,\n", "holds no label"),
    ],
)
def test_what_cannot_be_read_is_named_by_file_and_line(tmp_path, text, message):
    file = tmp_path / "labels.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as refused:
        read_labels(file, 5)
    assert str(refused.value).startswith(f"{file}: ") and len(str(refused.value).splitlines()) == 1


def test_codes_and_scores_of_ones_own(samples, tmp_path):
    codes, scores = tmp_path / "codes.npy", tmp_path / "mine.npy"
    np.save(codes, samples.w)
    values = np.stack([of(samples, "wood"), of(samples, "view") > 1], axis=1).astype(np.float64)
    values[::2, 1] = np.nan
    np.save(scores, values)
    own, labels, space = read_codes_and_scores(codes, scores)
    found = fit_to_labels(own, labels, space=space, **QUIET)
    assert list(found) == ["mine 0", "mine 1"] and space == "w"
    for boundary, layer in zip(found.values(), (3, 0), strict=True):
        assert boundary.normal @ toy()[0].directions[layer].numpy() > 0.8
    assert found.settings["labels"]["mine 1"]["labels"] == 2000
    np.save(scores, values[:-1])
    for options, message in (
        ({}, r"mine.npy: holds scores \[3999, 2\], expected \[4000\] or \[4000, S\], as .*codes.npy has"),
        ({"scores": codes, "names": ["one"]}, "names .--names.: got .'one'., expected 32 that differ"),
        ({"scores": codes, "space": "layers"}, r"space .--space.: got 'layers', but .* expected w or z"),
    ):
        with pytest.raises(ValueError, match=message):
            read_codes_and_scores(codes, options.pop("scores", scores), **options)


def test_intervals_of_proportions_contain_them():
    """As published for 8 of 10 (Clopper & Pearson): 0.4439 to 0.9748."""
    assert proportion_interval(0.8, 10) == pytest.approx((0.4439, 0.9748), abs=1e-4)
    assert proportion_interval(0.0, 10)[0] == 0 and proportion_interval(1.0, 10)[1] == 1
