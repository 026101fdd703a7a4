"""Paired differences that keep their level, and mean squares that noise does not enlarge."""

import numpy as np
import pytest

from higan_fast.statistics.comparison import (
    Differences,
    Means,
    differences_from_first,
    means,
    relative_squares,
    root,
    roots_from_first,
    squared_means,
)


def test_mean_squares_are_those_over_pairs_of_different_codes():
    values = np.random.default_rng(0).normal(size=(7, 2, 3)) + 1
    found = squared_means(values)
    pairs = [(values[k] * values[j]).sum(axis=-1) / 3 for k in range(7) for j in range(7) if j != k]
    np.testing.assert_allclose(found.mean(axis=0), np.mean(pairs, axis=0), atol=1e-12)


def test_noise_adds_nothing_to_them_and_their_error_is_right():
    random = np.random.default_rng(1)
    for size in (0.0, 0.3):
        found = [means(squared_means(size + random.normal(size=(40, 5)))) for _ in range(400)]
        estimates, errors = (np.array(part) for part in zip(*found, strict=True))
        assert abs(estimates.mean() - size**2) < 4 * estimates.std() / 20
        assert 0.9 < np.sqrt((errors**2).mean()) / estimates.std() < 1.6  # too wide where there is nothing
        assert (np.abs(random.normal(size=(40, 5)).mean(axis=0)).mean()) > 0.05  # what |mean| would say of 0


def test_roots_are_of_what_is_above_zero():
    found = root(Means(np.array([0.04, -0.01]), np.array([0.004, 0.01])))
    np.testing.assert_allclose(found.mean, [0.2, 0])
    np.testing.assert_allclose(found.error, [0.01, np.nan])
    squares = Differences(*np.array([[np.nan, 0.12], [np.nan, 0.06], [np.nan, np.inf]]))
    compared = roots_from_first(squares, np.array([0.2, 0.4]))
    np.testing.assert_allclose(compared.mean, [np.nan, 0.2])
    np.testing.assert_allclose(compared.low, [np.nan, 0.1])
    assert compared.high[1] == np.inf and compared.signs.tolist() == [0, 1]


def test_what_hardly_ever_differs_has_no_interval():
    values = np.zeros((64, 3, 2))
    values[:23, 1] = np.arange(1, 24)[:, None]
    values[:24, 2] = np.arange(1, 25)[:, None]
    found = differences_from_first(values, 0.01)
    assert np.isnan(found.low[0]).all() and np.isinf(found.low[1]).all() and np.isfinite(found.low[2]).all()
    assert (found.signs == [[0, 0], [0, 0], [1, 1]]).all()


def jumps(random, shape):
    """Jumps of like sizes on 40 % of the codes, as of scores near 0 or 1."""
    return random.normal(0.4, 0.1, shape) * (random.random(shape) < 0.4)


def skewed(random, shape):
    return random.exponential(size=shape)


@pytest.mark.parametrize("draw", [jumps, skewed], ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("num", [24, 64])
def test_more_and_less_are_said_in_error_no_more_often_than_announced(draw, num):
    """2,000 comparisons with 3 methods of equal effects, at 5 % for all; theirs vary three times as much."""
    random, runs, alpha = np.random.default_rng(2), 2000, 0.05
    size = np.array([1, 3, 3, 3])
    own = draw(random, (num, runs, 4)) * size - draw(random, 200_000).mean() * size
    values = np.moveaxis(draw(random, (num, runs, 1)) + own, 2, 1)  # [n, K, runs]
    found = differences_from_first(values, alpha / 3 / 2)
    assert (found.signs != 0).any(axis=0).mean() <= alpha


def test_bets_hold_where_jumps_are_rare():
    """A jump on 1 % of the codes, and effects that are equal."""
    random, runs, alpha = np.random.default_rng(4), 2000, 0.05
    values = np.zeros((64, 2, runs))
    values[:, 1] = random.normal(0, 0.01, (64, runs)) + (random.random((64, runs)) < 0.01) - 0.01
    found = differences_from_first(values.clip(-2, 2), alpha / 2, reach=2.0)
    assert (found.signs != 0).mean() <= alpha
    unknown = differences_from_first(values, alpha / 2)
    assert (unknown.signs != 0).mean() > alpha, "which is why the range matters"


def test_changes_off_target_are_compared_at_their_level():
    random, runs, alpha = np.random.default_rng(3), 600, 0.05
    for size in (0.0, 0.2):
        signs = []
        for _ in range(runs):
            values = size + random.normal(size=(48, 1, 6)) + 0.5 * random.normal(size=(48, 3, 6))
            signs.append(differences_from_first(squared_means(values), alpha / 2 / 2).signs)
        wrong = (np.array(signs) != 0).any(axis=1).mean()
        assert wrong <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / runs), size


def test_relative_squares_differ_as_quotients_do_and_hold_their_level():
    """2,000 comparisons of two entries with equal quotients, the second with half the effect."""
    random, runs, alpha = np.random.default_rng(5), 2000, 0.05
    size = np.array([1.0, 0.5])[:, None]
    effects = size * (1 + 0.5 * random.normal(size=(64, 2, runs)))
    off = size[..., None] * (0.4 + 0.5 * random.normal(size=(64, 2, runs, 4)))
    squares = squared_means(off)
    found = relative_squares(effects, squares, alpha / 2)
    quotients = squares.mean(axis=0) / effects.mean(axis=0) ** 2
    np.testing.assert_allclose(found.mean[1], quotients[1] - quotients[0], atol=1e-12)
    assert (found.signs[1] != 0).mean() <= alpha
    other = relative_squares(effects * np.array([1, 3])[:, None], squares, alpha / 2)
    assert (other.signs[1] == -1).mean() > 0.8, "what moves its target three times as far is cleaner"


def test_without_an_effect_nothing_is_relative():
    effects = np.stack([np.ones(64), -np.ones(64)], axis=1)
    found = relative_squares(effects, np.random.default_rng(6).random((64, 2)), 0.01)
    assert np.isnan(found.mean[1]) and found.low[1] == -np.inf and found.high[1] == np.inf
