"""The benchmark of the boundaries runs and checks itself; what it measures is for a quiet machine to say."""

from benchmarks import run
from benchmarks.cases.fitting import fit_cases


def test_machines_agree_with_scikit_learn_and_prove_themselves():
    cases = list(fit_cases(num=600, dim=16, used=(200, 100), many=3))
    assert [case.images for case in cases] == [1, 1, 3]
    for case in cases:
        found, problems = run._checked(case, {})
        assert len(found) == len(case.backends) and not problems


def test_a_machine_that_proves_nothing_leaves_no_row(monkeypatch):
    monkeypatch.setattr("higan_fast.boundaries.svm.MAX_ITERATIONS", 3)
    *_, many = fit_cases(num=600, dim=16, used=(200, 100), many=3)
    found, problems = run._checked(many, {})
    assert not found and len(problems) == 2
