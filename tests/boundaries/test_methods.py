"""Every method of finding a direction: against scikit-learn where that has it, and by what it must do."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge

import higan_fast as hf
from higan_fast.boundaries import fitting, gradient, linear, logistic, methods
from higan_fast.boundaries.logistic import fit_logistic
from higan_fast.boundaries.methods import ITERATED, METHODS, REGULARISED, method_name, parse_method
from higan_fast.fingerprint import fingerprint
from higan_fast.probing import Boundaries, fit_boundaries
from tests.boundaries.test_fitting import make_samples, noisy_samples
from tests.toy import CODE_DIM, LAYER_OF, NUM_LAYERS, ToyPredictor, toy

# Direct solutions of the same equations in float64: rounding, times a condition number below 1e6.
ROUNDING = 1e-8
QUIET = {"progress": False}


def problem(num=900, dim=12, semantics=3, seed=0):
    """Codes with a mean and unequal variances, scores in [0, 1], and which samples count."""
    random = np.random.default_rng(seed)
    codes = (random.normal(size=(num, dim)) * np.linspace(0.05, 2, dim) + 5).astype(np.float32)
    scores = codes @ random.normal(size=(dim, semantics))
    scores = scores / scores.std(axis=0) + random.normal(size=scores.shape)
    scores = (scores - scores.min(axis=0)) / np.ptp(scores, axis=0)
    return codes, scores.T.copy(), random.random((semantics, num)) < 0.8


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(linear, "ROWS_AT_ONCE", 256)


@pytest.mark.parametrize("weight", [1e-3, 1.0, 100.0])
def test_logistic_regressions_are_those_of_scikit_learn(weight, small_blocks):
    codes, targets, used = problem()
    done = []
    found = fit_logistic(codes, targets, used, C=weight, advance=done.append)
    assert found.converged.all() and sum(done) == len(targets)
    for row, (target, own) in enumerate(zip(targets, used, strict=True)):
        # Each sample stands for both classes, as much as its target says.
        x, y = np.tile(codes[own].astype(np.float64), (2, 1)), np.repeat([1, 0], own.sum())
        weights = np.r_[target[own], 1 - target[own]]
        theirs = LogisticRegression(C=weight, solver="newton-cholesky", tol=1e-10).fit(x, y, weights)
        size = np.linalg.norm(theirs.coef_)
        np.testing.assert_allclose(found.weights[row], theirs.coef_[0], rtol=0, atol=1e-5 * size)
        margins = x @ theirs.coef_[0] + theirs.intercept_ - (x @ found.weights[row] + found.intercepts[row])
        assert np.abs(margins).max() < 1e-4


def test_a_logistic_regression_of_separable_samples_ends():
    codes, targets, used = problem()
    separated = (targets > 0.5).astype(np.float64)
    codes[:, 0] = separated[0]
    found = fit_logistic(codes, separated, used, C=1e4)
    assert found.converged.all()
    assert found.weights[0, 0] > 10 * np.abs(found.weights[0, 1:]).max()


def test_what_does_not_converge_is_said(monkeypatch):
    monkeypatch.setattr(logistic, "MAX_ITERATIONS", 2)
    assert not fit_logistic(*problem(), C=1.0).converged.any()
    with pytest.warns(RuntimeWarning, match="did not converge for s0; a smaller C"):
        fitted = fit_boundaries(noisy_samples(600, 8, 1.0), method="logistic", chosen_num=100, **QUIET)
    assert fitted["s0"].converged is False


@pytest.mark.parametrize("weight", [1e-4, 1.0, 100.0])
def test_ridge_regressions_are_those_of_scikit_learn(weight, small_blocks):
    codes, targets, used = problem()
    found = linear.ridge(codes, targets, used, weight)
    for row, (target, own) in enumerate(zip(targets, used, strict=True)):
        theirs = Ridge(alpha=1 / weight, solver="svd").fit(codes[own].astype(np.float64), target[own])
        np.testing.assert_allclose(
            found[row], theirs.coef_, rtol=0, atol=ROUNDING * np.abs(theirs.coef_).max()
        )


class Ridged:
    """A covariance plus ``amount · I``, as an estimator of scikit-learn's."""

    def __init__(self, amount):
        self.amount = amount

    def fit(self, x):
        self.covariance_ = np.cov(x.T, bias=True) + self.amount * np.eye(x.shape[1])
        return self


@pytest.mark.parametrize("weight", [1e-3, 1.0, np.inf])
def test_discriminants_are_those_of_scikit_learn(weight, small_blocks):
    codes, scores, used = problem()
    high, low = used & (scores > 0.6), used & (scores < 0.4)
    found = linear.discriminants(codes, high, low, weight)
    for row in range(len(scores)):
        x = np.r_[codes[high[row]], codes[low[row]]].astype(np.float64)
        y = np.repeat([1, 0], [high[row].sum(), low[row].sum()])
        ridged = Ridged(1 / (weight * len(x)))
        theirs = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=ridged).fit(x, y).coef_[0]
        cosine = found[row] @ theirs / np.linalg.norm(found[row]) / np.linalg.norm(theirs)
        assert cosine > 1 - ROUNDING


def test_means_covariances_and_patterns_are_those_of_numpy(small_blocks):
    codes, scores, used = problem()
    high, low = used & (scores > 0.6), used & (scores < 0.4)
    upper, lower = linear.class_means(codes, high, low)
    for row in range(len(scores)):
        np.testing.assert_allclose(upper[row], codes[high[row]].mean(axis=0, dtype=np.float64), rtol=1e-12)
        np.testing.assert_allclose(lower[row], codes[low[row]].mean(axis=0, dtype=np.float64), rtol=1e-12)
    covariance = np.cov(codes.T.astype(np.float64), bias=True)
    np.testing.assert_allclose(linear.covariance(codes), covariance, rtol=0, atol=1e-12)
    np.testing.assert_allclose(linear.patterns(codes, upper), upper @ covariance, rtol=1e-10)


def test_a_pattern_points_where_codes_change_and_a_filter_away_from_what_disturbs():
    """Haufe et al. (2014): one code carries the score and a disturbance, another the disturbance alone."""
    random = np.random.default_rng(0)
    score, disturbance = random.normal(size=(2, 4000))
    w = np.stack([score + disturbance, disturbance], axis=1).astype(np.float32)
    samples = make_samples(w, score[:, None].astype(np.float32))
    of = {m: fit_boundaries(samples, method=m, chosen_num=1000, **QUIET)["s0"].normal for m in METHODS[:-1]}
    for method in ("svm", "logistic", "ridge", "lda"):
        np.testing.assert_allclose(of[method], [np.sqrt(0.5), -np.sqrt(0.5)], atol=0.03)
    for method in ("pattern", "difference"):
        np.testing.assert_allclose(of[method], [1, 0], atol=0.06)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_directions_of_the_toy(samples, method, tmp_path):
    generator, predictor = toy()
    weight = 1.0 if method in REGULARISED else None
    fitted = fit_boundaries(
        samples, method=method, C=weight, chosen_num=800, generator=generator, predictor=predictor, **QUIET
    )
    directions = generator.directions.double().numpy()
    assert set(fitted) == set(LAYER_OF)
    for name, layer in LAYER_OF.items():
        boundary = fitted[name]
        along = np.abs(boundary.normal @ directions.T)
        # The codes fill 12 of 32 dimensions: a pattern or a difference of means follows their covariance.
        if method not in ("pattern", "difference"):
            assert np.argmax(along) == layer
        assert boundary.normal @ directions[layer] > 0.2 and boundary.accuracy > 0.8
        assert boundary.converged is (True if method in ITERATED else None)
        assert (boundary.origin.method, boundary.origin.C) == (method, weight)
        codes = samples.w.astype(np.float64) @ boundary.normal
        assert boundary.code_deviations == pytest.approx((codes.std(),), rel=1e-9)
    at_most = "averaged from gradients at 1,024 fresh samples at most" in fitted.fitted_to
    assert at_most is (method == "gradient") and f"{len(samples):,} samples" in fitted.fitted_to
    assert (fitted.settings["method"], fitted.settings["C"]) == (method, fitted["view"].origin.C)
    fitted.save(tmp_path / "b.safetensors")
    loaded = Boundaries.load(tmp_path / "b.safetensors")
    assert loaded["view"].code_deviations == fitted["view"].code_deviations
    assert loaded["view"].origin.method == method


def test_held_out_samples_are_never_learnt_from():
    samples = noisy_samples(2000, 24, noise=1000.0)
    for method in METHODS[:-1]:
        fitted = fit_boundaries(samples, method=method, chosen_num=500, **QUIET)["s0"]
        assert abs(fitted.accuracy - 0.5) < 4 * 0.029, method  # 300 coin flips
        assert abs(fitted.remaining_accuracy - 0.5) < 0.12, method  # of at least 300


def test_gradients_are_those_of_the_score_in_every_space(samples, monkeypatch):
    generator, predictor = toy()
    options = {"generator": generator, "predictor": predictor, "num_gradients": 20, **QUIET}
    directions = generator.directions.double().numpy()
    w = fit_boundaries(samples, "view", method="gradient", chosen_num=200, **options)["view"]
    assert w.normal @ directions[0] > 0.999  # nothing but layer 0 decides the view
    layers = fit_boundaries(samples, "hue", method="gradient", chosen_num=200, space="layers", **options)
    assert layers["hue"].normal.shape == (NUM_LAYERS, CODE_DIM)
    assert layers["hue"].normal[4] @ directions[4] > 0.999
    of_networks = fitting.mean_gradients

    def without(*given):
        gradients = of_networks(*given)
        gradients[:, 2] = 0  # as of a layer that does not move the score
        return gradients

    monkeypatch.setattr(fitting, "mean_gradients", without)
    others = fit_boundaries(samples, "hue", method="gradient", chosen_num=200, space="layers", **options)
    kept = [0, 1, 3, 4]
    assert not others["hue"].normal[2].any() and NUM_LAYERS > 4
    np.testing.assert_array_equal(others["hue"].normal[kept], layers["hue"].normal[kept])
    monkeypatch.undo()
    z = fit_boundaries(samples, "view", method="gradient", chosen_num=200, space="z", **options)["view"]
    assert z.normal.shape == (12,) and z.accuracy > 0.8


class Steep(ToyPredictor):
    """Whose view also jumps within a small range of hues, which few images have."""

    def forward(self, images):
        scores = super().forward(images)
        jump = 200 * torch.sigmoid(50 * (scores[:, 4] - 1.85))
        return torch.cat([scores[:, :1] + jump[:, None], scores[:, 1:]], dim=1)


def test_a_few_steep_samples_do_not_decide_a_gradient(samples, monkeypatch):
    generator = toy()[0]
    predictor = Steep(generator)
    settings = samples.settings | {"predictor": fingerprint(predictor)}
    found = []
    for share in (gradient.LONG, 1.0):  # 1: all count as long as they are
        monkeypatch.setattr(gradient, "LONG", share)
        mean = gradient.mean_gradients(generator, predictor, settings, "w", [0], 256, False)[0]
        found.append(generator.directions.double().numpy()[[0, 4]] @ mean / np.linalg.norm(mean))
    (view, hue), (plain_view, plain_hue) = found
    assert view > 0.99 and plain_hue > plain_view and abs(hue) < 0.1


def test_what_is_a_long_gradient_is_asked_of_those_that_are_not_zero():
    lengths = np.zeros((3, 64))
    lengths[0, :10], lengths[1] = np.arange(1, 11), 2.0
    assert gradient.length_of_long(lengths).tolist() == [pytest.approx(9.1), 2.0, np.inf]


class Rounded(ToyPredictor):
    def forward(self, images):
        return super().forward(images).detach()


class Blind(ToyPredictor):
    """Whose view comes from outside of torch, and has no gradient."""

    def forward(self, images):
        scores = super().forward(images)
        return torch.cat([scores[:, :1].detach(), scores[:, 1:]], dim=1)


class Numpy(ToyPredictor):
    def forward(self, images):
        return super().forward(images).numpy()


def test_scores_without_gradients_are_named():
    generator, _ = toy()
    for kind, message in (
        (Rounded, "predictor: its scores carry no gradient back to the codes"),
        (Numpy, "predictor: its scores cannot be differentiated \\(Can't call numpy"),
    ):
        predictor = kind(generator)
        samples = hf.sample(generator, predictor, 300, **QUIET)
        with pytest.raises(ValueError, match=message):
            fit_boundaries(
                samples, method="gradient", chosen_num=60, generator=generator, predictor=predictor, **QUIET
            )
    predictor = Blind(generator)
    samples = hf.sample(generator, predictor, 300, **QUIET)
    fitted = fit_boundaries(
        samples, method="gradient", chosen_num=60, generator=generator, predictor=predictor, **QUIET
    )
    assert fitted.skipped["view"] == "its score has no gradient" and "bed" in fitted


def test_gradients_need_the_networks_of_the_samples(samples):
    generator, predictor = toy()
    with pytest.raises(ValueError, match="generator: got None, but a gradient goes through both networks"):
        fit_boundaries(samples, method="gradient", predictor=predictor, **QUIET)
    predictor.patterns *= 2
    with pytest.raises(ValueError, match="predictor: is not the one that made these samples"):
        fit_boundaries(samples, method="gradient", generator=generator, predictor=predictor, **QUIET)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "magic"}, r"method \(--boundary\): got 'magic', expected one of svm, logistic"),
        (
            {"method": "difference", "C": 1.0},
            r"C \(--C\): got 1.0, but 'difference' has nothing to regularise",
        ),
        ({"recipe": "higan", "C": 0.5}, r"recipe \(--recipe\): 'higan' is the method 'svm' with C = 1"),
        ({"recipe": "other"}, r"recipe \(--recipe\): got 'other', expected one of higan"),
        ({"num_gradients": 0}, r"num_gradients \(--gradients\): got 0"),
    ],
)
def test_bad_arguments_are_named(samples, arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_boundaries(samples, **arguments, **QUIET)


def test_the_recipe_of_higan_is_a_machine_with_c_of_1(samples):
    named = fit_boundaries(samples, "view", recipe="higan", chosen_num=200, **QUIET)
    spelt = fit_boundaries(samples, "view", method="svm", C=1.0, chosen_num=200, **QUIET)
    np.testing.assert_array_equal(named["view"].normal, spelt["view"].normal)
    assert named.settings == spelt.settings


@pytest.mark.parametrize(
    ("text", "parsed", "name"),
    [
        ("svm", ("svm", 1.0), "svm=1"),
        (" svm=0.010 ", ("svm", 0.01), "svm=0.01"),
        ("logistic=auto", ("logistic", "auto"), "logistic=auto"),
        ("difference", ("difference", None), "difference"),
    ],
)
def test_a_method_with_its_weight_has_one_name(text, parsed, name):
    assert parse_method(text) == parsed and method_name(*parsed) == name
    assert parse_method(name) == parsed


@pytest.mark.parametrize("text", ["", "svn", "svm=", "svm=-1", "svm=nan", "svm=inf", "lda=x", "gradient=1"])
def test_what_is_no_method_is_refused(text):
    with pytest.raises(ValueError, match=r"^methods \(--methods\): got "):
        parse_method(text)


def test_machines_are_solved_where_they_are_asked_to_be(samples, monkeypatch):
    """Torch on the CPU stands for a GPU here: what comes back are NumPy arrays of the same machines."""
    asked = []

    def noted(device):
        asked.append(device)
        return torch.device("meta")  # any that is not the CPU

    solve = methods._machines
    monkeypatch.setattr(fitting, "usable_device", noted)
    monkeypatch.setattr(
        methods, "_machines", lambda codes, sides, device, **options: solve(
            codes, sides, device and torch.device("cpu"), **options
        ),
    )  # fmt: skip
    options = {"recipe": "higan", "chosen_num": 200, "progress": False}
    there, here = (
        fit_boundaries(samples, "view", device=device, **options)["view"] for device in ("gpu", None)
    )
    assert asked == ["gpu", "cpu"] and isinstance(there.normal, np.ndarray) and there.converged
    assert there.normal @ here.normal > 0.9999
