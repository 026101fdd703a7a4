"""Agreement of rankings."""

import numpy as np
import pytest
import scipy.stats

from higan_fast.statistics.ranks import rank_correlation


def test_tau_and_p_are_scipys_with_ties_as_well():
    random = np.random.default_rng(0)
    one, other = random.integers(0, 6, 14).astype(float), random.normal(size=14)
    other += 0.6 * one
    found = rank_correlation(one, other, 0.05)
    expected = scipy.stats.kendalltau(one, other)
    assert found.tau == pytest.approx(expected.statistic, abs=1e-12)
    assert found.rho == pytest.approx(scipy.stats.spearmanr(one, other).statistic)
    exact = scipy.stats.kendalltau(np.arange(14), other)  # without ties scipy counts all permutations
    assert rank_correlation(np.arange(14.0), other, 0.05).p == pytest.approx(exact.pvalue, abs=0.01)


def test_its_interval_covers_and_the_least_is_where_p_reaches_the_level():
    random, inside, runs = np.random.default_rng(1), 0, 60
    truth = 2 / np.pi * np.arcsin(0.6)  # of a bivariate normal distribution
    for _ in range(runs):
        one, noise = random.normal(size=(2, 14))
        found = rank_correlation(one, 0.6 * one + 0.8 * noise, 0.05)
        inside += found.low <= truth <= found.high
        assert (found.p <= 0.05) == (abs(found.tau) >= found.least - 1e-9)
    assert inside / runs > 0.85


def test_perfect_agreement_is_not_certain_and_all_ties_say_nothing():
    found = rank_correlation(np.arange(6.0), np.arange(6.0), 0.05)
    assert found.tau == 1 == found.high and found.low < 0.9 and found.p < 0.01
    assert np.isnan(rank_correlation(np.ones(6), np.arange(6.0), 0.05).tau)
    with pytest.raises(ValueError, match="got 4 things to rank"):
        rank_correlation(np.arange(4.0), np.arange(4.0), 0.05)


def test_what_has_no_value_has_no_rank():
    with pytest.raises(ValueError, match="NaN or infinity"):
        rank_correlation(np.array([1.0, 2, np.nan, 4, 5]), np.arange(5.0), 0.01)
