"""Correlations: what is sure of them is so for rare classes too."""

import numpy as np
import pytest

from higan_fast.statistics.correlation import correlations

LEVEL = 0.01 / 91 / 2  # of each end, for 14 semantics


@pytest.mark.parametrize(
    ("num", "share", "other"), [(1000, 0.02, 0.02), (1000, 0.05, 0.02), (6000, 0.01, 0.01)]
)
def test_independent_rare_classes_surely_have_no_correlation(num, share, other):
    random = np.random.default_rng(0)
    shares = np.repeat([share, other], 60)
    signs = correlations(random.random((num, 120)) < shares, LEVEL).signs
    np.fill_diagonal(signs, 0)
    assert not signs.any(), f"{np.count_nonzero(signs) // 2} of 7,140 independent pairs"


def test_skewed_probabilities_that_are_independent():
    latent = np.random.default_rng(1).standard_normal((1000, 120))
    signs = correlations(1 / (1 + np.exp(9 - 4 * latent)), LEVEL).signs
    assert np.count_nonzero(signs - np.eye(120)) <= 2


def test_what_goes_together_is_still_found():
    random = np.random.default_rng(2)
    first, noise = random.standard_normal((2, 1000))
    found = correlations(np.stack([first, 0.3 * first + noise, -0.3 * first + noise], axis=1), LEVEL)
    assert found.signs[0].tolist() == [1, 1, -1]
    kinds = random.choice(3, 1000, p=[0.3, 0.3, 0.4])
    assert correlations(np.stack([kinds == 0, kinds == 1], axis=1), LEVEL).signs[0, 1] == -1


def test_rare_classes_that_meet_by_chance_are_not_the_same():
    once = np.zeros((100, 2))
    once[0] = 1
    found = correlations(once, LEVEL)
    assert found.signs[0, 1] == 0 and found.low[0, 1] == 0 and found.high[0, 1] == 1
    assert found.low.diagonal().tolist() == [1, 1]
