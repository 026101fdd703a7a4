"""Fitted boundaries: HiGAN's recipe, its accuracies, and what cannot be fitted."""

import numpy as np
import pytest
from sklearn.svm import SVC

import higan_fast as hf
from higan_fast.boundaries import svm
from higan_fast.probing import Samples, fit_boundaries
from higan_fast.sampling.store import Held
from tests.bounds import seconds_below
from tests.toy import LAYER_OF, toy


def fit(samples, semantics=None, **options):
    """Fits as HiGAN does, unless told otherwise."""
    return fit_boundaries(samples, semantics, **{"method": "svm"} | options)


def make_samples(w, scores, codes=None):
    """Samples around given codes ``[N, D]`` and scores ``[N, S]``."""
    names = [[f"s{column}", "attribute"] for column in range(scores.shape[1])]
    arrays = {"z": w, "w": w, "codes": w[:, None] if codes is None else codes, "scores": scores}
    return Samples(Held({"semantics": names, "seed": 0}, arrays), len(w))


def noisy_samples(num, dim, noise, num_semantics=1, seed=0):
    """Codes with unequal variances and a mean, and scores that are linear in them but for noise."""
    random = np.random.default_rng(seed)
    w = (random.normal(size=(num, dim)) * np.linspace(0.2, 2, dim) + 1).astype(np.float32)
    scores = w @ random.normal(size=(dim, num_semantics))
    scores = scores / scores.std(axis=0) + noise * random.normal(size=scores.shape)
    return make_samples(w, scores.astype(np.float32))


def test_the_toy_boundaries_point_where_the_generator_looks(boundaries):
    directions = toy()[0].directions.double().numpy()
    assert set(boundaries) == set(LAYER_OF)
    for name, layer in LAYER_OF.items():
        assert np.argmax(np.abs(boundaries[name].normal @ directions.T)) == layer
        assert boundaries[name].normal @ directions[layer] > 0.5  # towards high scores
        assert boundaries[name].accuracy > 0.95
        assert 0.4 < boundaries[name].remaining_accuracy <= 1
        assert boundaries[name].converged is True
        assert boundaries[name].num_per_side == 800


def test_a_constant_semantic_is_skipped_with_its_reason(boundaries):
    assert boundaries.skipped == {"constant": "all samples have the same score, 0.5"}


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_the_normal_is_that_of_a_linear_svm(noise):
    samples = noisy_samples(2000, 24, noise)
    fitted = fit(samples, chosen_num=400, held_out=0.3, progress=False)["s0"]
    order = np.argsort(samples.scores[:, 0], kind="stable")
    # The same split, drawn as HiGAN draws it: each side shuffled, its first part held out.
    random = np.random.default_rng(0)
    high, low = random.permutation(order[-400:]), random.permutation(order[:400])
    rows, labels = np.r_[high[120:], low[120:]], np.repeat([1, 0], 280)
    machine = SVC(kernel="linear").fit(samples.w[rows].astype(np.float64), labels)
    cosine = machine.coef_[0] @ fitted.normal / np.linalg.norm(machine.coef_[0])
    assert cosine >= 0.999
    test_rows, test_labels = np.r_[high[:120], low[:120]], np.repeat([1, 0], 120)
    # One of the 240 held-out samples may fall on the other side of a plane that differs by so little.
    assert abs(machine.score(samples.w[test_rows], test_labels) - fitted.accuracy) <= 2 / 240
    middle = order[400:-400]
    midpoint = (samples.scores.min() + samples.scores.max()) / 2
    remaining = machine.score(samples.w[middle], (samples.scores[middle, 0] > midpoint).astype(int))
    assert abs(remaining - fitted.remaining_accuracy) < 0.03


def test_held_out_accuracy_is_honest_on_pure_noise():
    samples = noisy_samples(2000, 24, noise=1000.0)
    fitted = fit(samples, chosen_num=500, progress=False)["s0"]
    # 300 held-out coin flips: a standard deviation of 0.029.
    assert abs(fitted.accuracy - 0.5) < 4 * 0.029


def test_layers_get_a_normal_each():
    random = np.random.default_rng(0)
    codes = random.normal(size=(2000, 3, 8)).astype(np.float32)
    scores = (codes[:, 1, 4] + 0.1 * codes[:, 2, 0])[:, None]
    samples = make_samples(codes[:, 0], scores, codes)
    fitted = fit(samples, chosen_num=400, space="layers", progress=False)["s0"]
    assert fitted.normal.shape == (3, 8)
    assert fitted.normal[1, 4] > 0.99
    assert 0.5 < fitted.accuracy < 0.9  # a mean over layers, of which only one knows


def test_a_code_that_all_layers_share_is_fitted_once(samples, boundaries):
    fitted = fit(samples, chosen_num=800, space="layers", progress=False)
    for name in boundaries:
        assert np.ptp(fitted[name].normal, axis=0).max() == 0
        np.testing.assert_allclose(fitted[name].normal[0], boundaries[name].normal, atol=1e-3)


def test_z_can_be_fitted(samples):
    fitted = fit(samples, "view", chosen_num=800, space="z", progress=False)["view"]
    assert fitted.normal.shape == (12,)
    assert fitted.accuracy > 0.9


@pytest.mark.parametrize(
    ("chosen_num", "expected"), [(100, 100), (0.1, 100), (5000, 500), (1, 500), (1.0, 500)]
)
def test_chosen_num_is_a_count_or_a_ratio_of_at_most_half(chosen_num, expected):
    samples = noisy_samples(1000, 6, 0.1)
    fitted = fit(samples, chosen_num=chosen_num, progress=False)["s0"]
    assert fitted.num_per_side == expected
    assert (fitted.remaining_accuracy is None) == (expected == 500)


def test_what_cannot_be_fitted_is_reported():
    random = np.random.default_rng(0)
    w = random.normal(size=(200, 5)).astype(np.float32)
    scores = np.zeros((200, 3), np.float32)
    scores[:, 0] = w[:, 0]
    scores[:60, 1] = 1  # 60 positives, and 140 that are all alike
    few = fit(make_samples(w, scores), chosen_num=40, progress=False)
    assert len(few) == 0
    assert few.skipped["s0"] == "40 samples a side, and at least 50 are needed"
    enough = fit(make_samples(w, scores), chosen_num=80, progress=False)
    assert list(enough) == ["s0"]
    assert "not separated: both of 80 samples reach the score 0" in enough.skipped["s1"]
    assert enough.skipped["s2"] == "all samples have the same score, 0"
    assert list(fit(make_samples(w, scores), chosen_num=60, progress=False)) == ["s0", "s1"]
    same = fit(
        make_samples(np.zeros_like(w) + np.arange(5, dtype=np.float32), scores[:, :1]),
        chosen_num=80,
        progress=False,
    )
    assert same.skipped == {"s0": "the codes do not vary"}


def test_what_does_not_converge_is_recorded_and_named_in_a_warning(monkeypatch):
    samples = noisy_samples(2000, 24, noise=1.0, num_semantics=2)
    monkeypatch.setattr(svm, "MAX_ITERATIONS", 6)
    with pytest.warns(RuntimeWarning, match="did not converge for s0, s1; a smaller C"):
        fitted = fit(samples, chosen_num=500, progress=False)
    assert [boundary.converged for boundary in fitted.values()] == [False, False]
    assert all(np.linalg.norm(boundary.normal) == pytest.approx(1) for boundary in fitted.values())


def test_sides_that_nothing_tells_apart_are_reported():
    w = np.ones((200, 5), np.float32)
    w[80:120, 2] = np.arange(40)  # only samples between the sides have codes of their own
    scores = np.arange(200, dtype=np.float32)[:, None]
    fitted = fit(make_samples(w, scores), chosen_num=80, progress=False)
    assert fitted.skipped == {"s0": "the two sides cannot be told apart"}


def test_the_squared_hinge_can_be_chosen():
    samples = noisy_samples(2000, 24, noise=0.3)
    hinge, squared = (
        fit(samples, chosen_num=400, loss=loss, progress=False) for loss in ("hinge", "squared_hinge")
    )
    assert (hinge.settings["loss"], squared.settings["loss"]) == ("hinge", "squared_hinge")
    assert 0.9 < hinge["s0"].normal @ squared["s0"].normal < 0.99999


def test_progress_counts_normals(samples, capsys):
    fit(samples, ["view", "hue"], chosen_num=100, space="layers")
    assert capsys.readouterr().err.startswith("fitting: 2 of 2 normals, ")


def test_boundaries_of_real_samples_are_those_of_a_linear_svm():
    generator, predictor = hf.load_generator("scenes"), hf.load_predictor("scenes")
    samples = hf.sample(generator, predictor, 256, progress=False)
    fitted = fit(samples, chosen_num=128, held_out=0.01, progress=False)
    assert len(fitted) == len(samples.semantics)
    for name, column in zip(fitted, samples.scores.T, strict=True):
        order = np.argsort(column, kind="stable")
        random = np.random.default_rng(0)
        high, low = random.permutation(order[-128:])[1:], random.permutation(order[:128])[1:]
        rows, labels = np.r_[high, low], np.repeat([1, 0], 127)
        machine = SVC(kernel="linear").fit(samples.w[rows].astype(np.float64), labels)
        assert machine.coef_[0] @ fitted[name].normal >= 0.999 * np.linalg.norm(machine.coef_)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"semantics": "sofa"}, "'sofa' is not one that the predictor of these samples knows: s0"),
        ({"chosen_num": 0}, r"chosen_num \(--chosen-num\): got 0"),
        ({"chosen_num": 2.5}, r"chosen_num \(--chosen-num\): got 2.5"),
        ({"space": "s"}, r"space \(--space\): got 's', expected one of w, layers, z"),
        ({"held_out": 1.0}, "held_out: got 1.0"),
        ({"C": 0.0}, r"C \(--C\): got 0.0"),
        ({"loss": "log"}, "loss: got 'log'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit(noisy_samples(200, 4, 0.1), **{"progress": False} | arguments)


@pytest.mark.parametrize(("array", "what"), [("w", "the codes in w"), ("scores", "the scores")])
def test_samples_that_are_not_finite_are_refused(array, what):
    samples = noisy_samples(200, 4, 0.1)
    getattr(samples, array)[3, 0] = np.nan
    with pytest.raises(ValueError, match=f"{what} are not all finite"):
        fit(samples, progress=False)
    with pytest.raises(TypeError, match=r"samples: got 'ndarray', expected what sample gives"):
        fit(samples.w)


def test_a_whole_set_is_fitted_in_seconds():
    samples = noisy_samples(20_000, 128, noise=0.5, num_semantics=14)
    with seconds_below(10):
        fitted = fit(samples, progress=False)
    assert len(fitted) == 14
