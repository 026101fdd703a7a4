"""Machines in bulk: those of scikit-learn, on every kind of data and array, with a proof that holds."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.svm import SVC

from higan_fast.boundaries import svm
from higan_fast.boundaries.svm import fit_linear_svms

# noise of the scores, and the samples on the upper and the lower side
KINDS = {"separable": (0.0, 200, 200), "noisy": (2.0, 200, 200), "imbalanced": (1.0, 30, 300)}


def problem(kind, num=600, dim=20, machines=3, seed=0):
    """Codes ``[N, D]`` with unequal variances and a mean, and labels ``[S, N]`` by the ranks of scores."""
    noise, high, low = KINDS[kind]
    random = np.random.default_rng(seed)
    codes = random.normal(size=(num, dim)) * np.linspace(0.2, 2, dim) + 1
    scores = codes @ random.normal(size=(dim, machines))
    order = np.argsort(scores / scores.std(axis=0) + noise * random.normal(size=scores.shape), axis=0).T
    labels = np.zeros((machines, num), np.int8)
    np.put_along_axis(labels, order[:, :low], -1, axis=1)
    np.put_along_axis(labels, order[:, num - high :], 1, axis=1)
    return codes, labels


def by_svc(codes, labels, **options):
    """The weights ``[S, D]`` and intercepts ``[S]`` of scikit-learn."""
    machines = [SVC(kernel="linear", **options).fit(codes[row != 0], row[row != 0]) for row in labels]
    return np.concatenate([m.coef_ for m in machines]), np.concatenate([m.intercept_ for m in machines])


def cosines(a, b):
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("weight", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("kind", KINDS)
def test_machines_are_those_of_scikit_learn(kind, weight):
    codes, labels = problem(kind)
    found = fit_linear_svms(codes, labels, C=weight)
    weights, intercepts = by_svc(codes, labels, C=weight, tol=1e-6)
    assert found.converged.all()
    assert (cosines(found.weights, weights) > 0.9999).all()
    np.testing.assert_allclose(
        found.weights, weights, rtol=0, atol=0.015 * np.linalg.norm(weights, axis=1).max()
    )
    # Where no sample lies between the margins any intercept of an interval may do; not on these data.
    scores = codes @ weights.T
    np.testing.assert_allclose(found.intercepts, intercepts, rtol=0, atol=0.01 * scores.std())


@pytest.mark.parametrize("kind", KINDS)
def test_the_proven_cosine_is_true(kind, monkeypatch):
    codes, labels = problem(kind)
    exact, _ = by_svc(codes, labels, tol=1e-9)
    for sine in (0.5, 0.1, 0.01):
        monkeypatch.setattr(svm, "SINE", sine)
        found = fit_linear_svms(codes, labels)
        assert (found.cosines >= np.sqrt(1 - sine**2)).all()
        assert (cosines(found.weights, exact) >= found.cosines - 1e-9).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_squared_hinge_is_minimised_without_a_penalty_on_the_intercept(kind):
    codes, labels = problem(kind)
    found = fit_linear_svms(codes, labels, loss="squared_hinge", C=0.7)
    for row, weights, intercept in zip(labels, found.weights, found.intercepts, strict=True):
        x, y = codes[row != 0], row[row != 0].astype(float)

        def objective(w, x=x, y=y):
            slack = np.maximum(0, 1 - y * (x @ w[:-1] + w[-1]))
            pull = -2 * 0.7 * y * slack
            gradient = np.append(w[:-1] + pull @ x, pull.sum())
            return w[:-1] @ w[:-1] / 2 + 0.7 * (slack**2).sum(), gradient

        options = {"maxiter": 10_000, "ftol": 1e-14, "gtol": 1e-8}
        exact = minimize(objective, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options=options)
        assert cosines(weights[None], exact.x[None, :-1]) > 0.9999
        assert objective(np.append(weights, intercept))[0] < exact.fun * (1 + 1e-4)
    assert found.converged.all()


def test_weights_of_samples_are_factors_of_c():
    codes, labels = problem("noisy", machines=2)
    sample_weights = np.random.default_rng(1).uniform(0, 5, labels.shape)
    sample_weights[:, :50] = 0
    found = fit_linear_svms(codes, labels, C=0.3, sample_weights=sample_weights)
    for row, weights, of_sample in zip(labels, found.weights, sample_weights, strict=True):
        used = (row != 0) & (of_sample > 0)
        machine = SVC(kernel="linear", C=0.3, tol=1e-6).fit(codes[used], row[used], of_sample[used])
        assert cosines(weights[None], machine.coef_) > 0.9999
    alike = fit_linear_svms(codes, labels, C=0.3, sample_weights=sample_weights[0])
    np.testing.assert_allclose(alike.weights[0], found.weights[0], rtol=1e-9)


@pytest.mark.parametrize("loss", svm.LOSSES)
def test_torch_computes_what_numpy_does(loss):
    codes, labels = problem("noisy")
    codes = codes.astype(np.float32)
    expected = fit_linear_svms(codes, labels, loss=loss)
    found = fit_linear_svms(torch.from_numpy(codes), torch.from_numpy(labels), loss=loss)
    for ours, theirs in zip(found, expected, strict=True):
        assert isinstance(ours, torch.Tensor) and isinstance(theirs, np.ndarray)
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6)
    assert found.weights.dtype == torch.float64 and found.converged.dtype == torch.bool


@pytest.mark.parametrize("budget", [0, 2**18, 2**30])
@pytest.mark.parametrize("workers", [1, 3])
def test_no_machine_depends_on_the_others(budget, workers, monkeypatch):
    # One machine needs many more iterations than the rest, and one has fewer samples.
    codes, labels = problem("noisy", machines=4)
    labels = np.concatenate(
        [labels, problem("separable", machines=3)[1], problem("imbalanced", machines=2)[1]]
    )
    alone = [fit_linear_svms(codes, row[None]) for row in labels]
    monkeypatch.setitem(svm.BYTES_AT_ONCE, "cpu", budget)
    monkeypatch.setattr(svm.torch, "get_num_threads", lambda: workers)
    done = []
    together = fit_linear_svms(codes, labels, advance=done.append)
    for row, machine in enumerate(alone):
        np.testing.assert_allclose(together.weights[row], machine.weights[0], rtol=1e-6)
    assert sum(done) == len(labels)
    assert len(done) == {0: 9, 2**30: 2}.get(budget, len(done))


@pytest.mark.parametrize("dim", [1, 60, 120])
def test_samples_may_be_fewer_than_dimensions_and_the_reverse(dim):
    codes, labels = problem("separable", num=400, dim=dim, machines=1)
    labels[:, 40:] = 0
    weights, _ = by_svc(codes, labels, tol=1e-6)
    assert cosines(fit_linear_svms(codes, labels).weights, weights) > 0.9999


def test_codes_may_be_constant_repeated_or_far_off():
    codes, labels = problem("noisy", machines=1)
    codes[:, 3], codes[:, 4] = 7, codes[:, 5]
    weights, intercepts = by_svc(codes, labels, tol=1e-6)
    assert cosines(fit_linear_svms(codes, labels).weights, weights) > 0.9999
    far = fit_linear_svms(codes + 1e4, labels)
    assert cosines(far.weights, weights) > 0.9999
    scores = (codes + 1e4) @ far.weights[0] + far.intercepts[0]
    np.testing.assert_allclose(scores, codes @ weights[0] + intercepts[0], rtol=0, atol=0.05)


@pytest.mark.parametrize("weight", [1e-4, 1e4])
@pytest.mark.parametrize("loss", svm.LOSSES)
def test_any_reasonable_c_converges(loss, weight):
    for kind in KINDS:
        assert fit_linear_svms(*problem(kind), C=weight, loss=loss).converged.all()


@pytest.mark.parametrize("loss", svm.LOSSES)
def test_where_no_plane_is_better_than_none_the_weights_are_0(loss):
    codes, labels = problem("noisy", machines=1)
    contradiction = np.concatenate([labels, -labels], axis=1)
    found = fit_linear_svms(np.concatenate([codes, codes]), contradiction, loss=loss)
    assert (found.weights == 0).all() and found.converged.all() and (found.cosines == 0).all()
    found = fit_linear_svms(np.ones_like(codes), labels, loss=loss)
    assert (found.weights == 0).all() and found.converged.all()


def test_what_does_not_converge_says_so(monkeypatch):
    codes, labels = problem("noisy")
    exact, _ = by_svc(codes, labels, tol=1e-9)
    monkeypatch.setattr(svm, "MAX_ITERATIONS", 7)
    found = fit_linear_svms(codes, labels)
    assert not found.converged.any()
    assert (found.cosines < 0.9999).all()
    assert (cosines(found.weights, exact) >= found.cosines).all()


def test_an_interruption_ends_the_call(monkeypatch):
    monkeypatch.setitem(svm.BYTES_AT_ONCE, "cpu", 0)
    solved, solve = [], svm._solve
    monkeypatch.setattr(svm, "_solve", lambda group: solved.append(1) or solve(group))

    def interrupt(count):
        raise KeyboardInterrupt

    codes, labels = problem("noisy", machines=60)
    with pytest.raises(KeyboardInterrupt):
        fit_linear_svms(codes, labels, advance=interrupt)
    assert len(solved) < 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.ones(600)}, r"labels: got shape \[600\] for codes \[600, 20\], expected \[S, N\]"),
        ({"labels": np.ones((2, 599))}, r"labels: got shape \[2, 599\]"),
        ({"labels": np.ones((0, 600))}, r"labels: got shape \[0, 600\]"),
        ({"labels": np.ones((2, 600))}, "labels, row 0: got 600 times 1, 0 times -1"),
        ({"labels": np.arange(600)[None] - 1}, "got 1 times 1, 1 times -1 .* and 597 times something else"),
        ({"C": 0.0}, "C: got 0.0"),
        ({"C": np.nan}, "C: got nan"),
        ({"loss": "log"}, "loss: got 'log', expected one of hinge, squared_hinge"),
        ({"sample_weights": -np.ones(600)}, "sample_weights: some are negative"),
        ({"sample_weights": np.ones(3)}, r"sample_weights: got shape \[3\], expected \[600\] or \[3, 600\]"),
        ({"sample_weights": np.zeros(600)}, "labels, row 0: got 0 times 1"),
    ],
)
def test_bad_arguments_are_named(change, message):
    codes, labels = problem("noisy")
    with pytest.raises(ValueError, match=message):
        fit_linear_svms(**{"codes": codes, "labels": labels} | change)
