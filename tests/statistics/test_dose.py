"""Claims of curves: known shapes are found, and wrong claims are as rare as the level says."""

import numpy as np
import pytest

from higan_fast.statistics.dose import Means, dose_claims, estimated_saturation

STEPS = np.arange(-3.0, 4.0)
PART = 0.25
RISING = 0.1 * STEPS
FLAT = 0 * STEPS
SATURATING = np.array([-0.3, -0.2, -0.1, 0, 0.3, 0.31, 0.32])
TURNING = np.array([-0.3, -0.2, -0.1, 0, 0.1, 0.3, 0.0])
UNKNOWN, UNIT = np.full(2, np.inf), np.full(2, 1.0)


def drawn(curves, num_runs, num, noise=0.05, seed=0):
    """Scores of independent runs, ``[num, num_runs, T, S]``, that follow curves ``[S, T]`` in the mean."""
    random = np.random.default_rng(seed)
    start = 0.5 + noise * random.standard_normal((num, num_runs, 1, len(curves)))
    around = noise * random.standard_normal((num, num_runs, len(STEPS), len(curves)))
    return start + np.stack(curves, axis=-1) + around


def claimed(curves, num_runs=5, num=60, widths=UNKNOWN, level=0.01, scores=None):
    scores = drawn(curves, num_runs, num) if scores is None else scores
    own = np.zeros(num_runs, np.int64)
    return dose_claims(scores, STEPS, own, widths, np.full(2, 0.2), level, PART)


@pytest.mark.parametrize(
    ("curve", "rises", "turns", "saturates"),
    [
        (RISING, True, (np.nan, np.nan), (np.nan, np.nan)),  # a straight line does not saturate at its end
        (FLAT, False, (np.nan, np.nan), (np.nan, np.nan)),
        (-RISING, False, (-3, 3), (np.nan, np.nan)),
        (SATURATING, True, (np.nan, np.nan), (np.nan, 1)),
        (-SATURATING[::-1], True, (np.nan, np.nan), (-1, np.nan)),
        (TURNING, False, (2, 3), (np.nan, 2)),
        (np.abs(RISING), False, (-3, 0), (np.nan, np.nan)),
    ],
)
def test_known_shapes_are_found(curve, rises, turns, saturates):
    found = claimed([curve, FLAT])
    assert found.rises.tolist() == [rises] * 5
    np.testing.assert_array_equal(found.turns, np.tile(turns, (5, 1)))
    np.testing.assert_array_equal(found.saturates, np.tile(saturates, (5, 1)))
    assert np.isnan(found.reverses).all() and np.isnan(found.exceeds).all()


@pytest.mark.parametrize(
    ("other", "reverses", "exceeds"),
    [
        (0.02 * STEPS, (np.nan, np.nan), (np.nan, np.nan)),
        (-0.15 * STEPS, (np.nan, np.nan), (-1, 1)),
        (np.array([0, 0, 0, 0, 0, 0.2, 0.4]), (np.nan, np.nan), (np.nan, 2)),
        (np.abs(0.1 * STEPS), (3, -3), (-1, 1)),  # up whichever way the target goes
        (np.array([0, 0, 0, 0, 0.04, 0, -0.08]), (1, 3), (np.nan, np.nan)),  # there and back again
    ],
)
def test_what_moves_off_target_is_found(other, reverses, exceeds):
    found = claimed([RISING, other], num=120)
    np.testing.assert_array_equal(found.reverses[:, 1], np.tile(reverses, (5, 1)))
    np.testing.assert_array_equal(found.exceeds[:, 1], np.tile(exceeds, (5, 1)))
    assert np.isnan(found.reverses[:, 0]).all() and np.isnan(found.exceeds[:, 0]).all()


def test_scores_of_a_known_range_are_bet_on():
    scores = drawn([2 * SATURATING, FLAT], 5, 400).clip(-0.2, 1.2)
    found = claimed(None, widths=np.full(2, 1.4), scores=scores)
    assert found.rises.all() and (found.saturates[:, 1] == 1).all()
    few = claimed(None, widths=np.full(2, 1.4), scores=scores[:20])
    assert not few.rises.any() and np.isnan(few.saturates).all()
    # of an unknown range, too few samples say nothing at all, however clear they look
    assert not claimed([RISING, FLAT], num=20).rises.any()


def test_a_score_that_is_always_the_same_is_in_no_comparison():
    scores = drawn([RISING, RISING], 5, 60)
    scores[..., 1] = 0.5
    own = np.array([0, 0, 1, 1, 1])
    found = dose_claims(scores, STEPS, own, UNKNOWN, np.array([0.2, 0.0]), 0.01, PART)
    assert found.rises.tolist() == [True, True, False, False, False] and np.isnan(found.exceeds).all()


def test_steps_to_one_side_alone():
    scores, own = drawn([SATURATING, RISING], 3, 60), np.zeros(3, np.int64)
    found = dose_claims(scores[:, :, 3:], STEPS[3:], own, UNKNOWN, UNIT, 0.01, PART)
    assert found.rises.all() and np.isnan(found.saturates[:, 0]).all() and (found.saturates[:, 1] == 1).all()
    one = dose_claims(scores[:, :, 3:5], STEPS[3:5], own, UNKNOWN, UNIT, 0.01, PART)
    assert one.rises.all() and np.isnan(one.saturates).all()


def test_the_estimate_is_what_would_be_claimed_of_known_curves():
    curves = np.stack([RISING, SATURATING, TURNING, FLAT, -SATURATING])
    expected = [(np.nan, np.nan), (np.nan, 1), (np.nan, 2), (np.nan, np.nan), (np.nan, np.nan)]
    np.testing.assert_array_equal(estimated_saturation(curves, STEPS, PART), expected)


# Curves at the edge of each claim, which then is just wrong, and what of all claims is wrong there.
EDGES = {
    "no rise": ([FLAT, FLAT], lambda c: c.rises | _any(c.turns, c.saturates, c.reverses, c.exceeds)),
    "just too large a step back": (
        [np.array([-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.1]), FLAT],  # the rise is 0.4, and a quarter of it lost
        lambda c: c.rises | _any(c.turns),
    ),
    "just too much is added": (
        [np.array([-0.5, -0.4, -0.4, 0, 0.4, 0.4, 0.5]), FLAT],
        lambda c: _any(c.saturates),
    ),
    "just half of the target": ([RISING, 0.05 * STEPS], lambda c: _any(c.exceeds, c.reverses)),
}


def _any(*parts):
    return np.logical_or.reduce([np.isfinite(part).reshape(len(part), -1).any(axis=1) for part in parts])


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("kind", ["Gaussian", "in a range"])
def test_wrong_claims_are_as_rare_as_the_level_says(name, kind):
    curves, wrong = EDGES[name]
    level, runs = 0.2, 600
    scores, widths = drawn(curves, runs, 30, noise=0.1, seed=7), UNKNOWN
    if kind == "in a range":  # of zeros and ones, with these means
        mean = 0.5 + 0.9 * np.stack(curves, axis=-1)
        scores = (np.random.default_rng(7).random(scores.shape) < mean).astype(np.float64)
        widths = UNIT
    found = wrong(claimed(None, runs, widths=widths, level=level, scores=scores))
    assert found.mean() <= level + 3 * (level * (1 - level) / runs) ** 0.5


def test_signs_agree_with_bounds():
    values = np.random.default_rng(0).normal(0.1, 0.2, (40, 6)).clip(-1, 1)
    values[:, 3] = 0.0  # unknown range, and never changes
    means = Means(values, np.array([1.0, 1, 1, np.inf, np.inf, np.inf]), keep=True)
    low, high = means.bounds(0.01)
    signs = means.signs(0.01)
    np.testing.assert_array_equal(signs, (low > 0).astype(int) - (high < 0))
    assert np.isinf(low[3]) and signs[3] == 0 and signs.any()
    np.testing.assert_allclose(means.mean, values.mean(axis=0))
