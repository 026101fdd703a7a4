"""Total indices: known ones are found, intervals hold the truth, and layers that are alike stay together."""

import math

import numpy as np
import pytest
import scipy.stats

from higan_fast.statistics.sobol import mean_at_most_zero, possible_tops, total_indices, varies


def replaced_by_others(function, num, num_layers):
    """Scores of ``function`` on independent codes in [0, 1] ``[num, L]``, and with one of them drawn anew."""
    codes, others = np.random.default_rng(0).random((2, num, num_layers))
    replaced = []
    for layer in range(num_layers):
        mixed = codes.copy()
        mixed[:, layer] = others[:, layer]
        replaced.append(function(mixed))
    return function(codes)[:, None], np.stack(replaced, axis=1)[..., None]


def ishigami(codes):
    x = math.pi * (2 * codes - 1)
    return np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])


def product(codes):
    return (codes[:, 0] - 0.5) * (codes[:, 1] - 0.5)


def weighted_sum(codes):
    return codes @ np.array([1.0, 2.0, 0.0, 3.0])


KNOWN = {
    ishigami: (0.5576, 0.4424, 0.2437),  # Sobol and Levitan 1999; Saltelli et al. 2010
    product: (1.0, 1.0, 0.0),  # each decides alone: all is interaction
    weighted_sum: (1 / 14, 4 / 14, 0.0, 9 / 14),
}


@pytest.mark.parametrize("function", KNOWN, ids=lambda function: function.__name__)
def test_known_indices_are_found(function):
    truth = np.array(KNOWN[function])
    found = total_indices(*replaced_by_others(function, 4000, len(truth)), confidence=0.999)
    estimate, error, low, high = (part[0] for part in found)
    assert np.abs(estimate - truth).max() < 0.04
    assert ((low <= truth) & (truth <= high)).all()
    width = (high - low)[truth > 0] / (2 * 3.29 * error[truth > 0])  # of the delta method, for Gaussian tails
    assert (width > 0.95).all() and (width < 1.3).all()  # these are skewed, and a sample nobody saw counts
    assert (estimate[truth == 0] == 0).all() and (low[truth == 0] == 0).all()


def test_layers_that_are_alike_stay_together():
    found = possible_tops(*replaced_by_others(product, 2000, 3), confidence=0.99)
    assert found.tolist() == [[True, True, False]]
    found = possible_tops(*replaced_by_others(weighted_sum, 2000, 4), confidence=0.99)
    assert found.tolist() == [[False, False, False, True]]


def test_few_samples_decide_nothing():
    scores, replaced = replaced_by_others(weighted_sum, 6, 4)
    assert possible_tops(scores, replaced, 0.99).all()
    _, _, low, high = total_indices(scores, replaced, 0.99)
    assert (low[0] <= KNOWN[weighted_sum]).all() and (high[0] >= 0.64).all()


def test_a_steady_score_has_no_index():
    scores, replaced = replaced_by_others(weighted_sum, 100, 4)
    steady = 0.7 + 1e-8 * np.random.default_rng(0).standard_normal((100, 5, 1))
    scores, replaced = np.append(scores, steady[:, 0], 1), np.append(replaced, steady[:, 1:], 2)
    assert varies(scores).tolist() == [True, False]
    found = total_indices(scores, replaced, 0.95)
    assert np.isfinite(found.estimate[0]).all() and all(np.isnan(part[1]).all() for part in found)
    assert not possible_tops(scores, replaced, 0.95)[1].any()


def test_many_scores_are_as_one_and_scale_does_not_matter():
    scores, replaced = replaced_by_others(ishigami, 300, 3)
    alone = total_indices(scores, replaced, 0.99)
    scales = np.array([1, -1000, 1e-3])
    many = total_indices(scores * scales, replaced * scales, 0.99)
    for one, several in zip(alone, many, strict=True):
        np.testing.assert_allclose(several, np.repeat(one, 3, axis=0), rtol=1e-5)


@pytest.mark.parametrize(("ones", "num", "share"), [(5, 100, 0.02), (30, 100, 0.2), (12, 1000, 0.002)])
def test_for_zeros_and_ones_it_is_the_exact_binomial_test(ones, num, share):
    """With the one more value at its least: Clopper and Pearson's p-value, far out in the tail too."""
    values = np.repeat([1 - share, -share], [ones, num - ones + 1])[:, None]
    exact = scipy.stats.binom.sf(ones - 1, num, share)
    assert mean_at_most_zero(values)[0] == pytest.approx(exact, rel=0.01)  # the saddlepoint's own error


def test_it_is_the_share_of_random_weights_with_a_mean_below_zero():
    random = np.random.default_rng(1)
    values = random.exponential(1, (25, 8)) - np.linspace(0.6, 1.4, 8)  # skewed
    values[:, 3] -= values[:, 3].mean()  # where the saddlepoint is 0
    drawn = (random.standard_exponential((200_000, 25)) @ values <= 0).mean(axis=0)
    np.testing.assert_allclose(mean_at_most_zero(values), drawn, atol=0.005)  # 4 errors of the drawing
    np.testing.assert_allclose(mean_at_most_zero(1e9 * values), mean_at_most_zero(values), rtol=1e-9)
    assert mean_at_most_zero([[1, -1, 0], [0, -2, 0]]).tolist() == [0, 1, 1]


def test_intervals_hold_the_truth_of_rare_jumps():
    """A layer that matters to one sample in 50, and one that always does: 200 runs of 150 samples at 95 %.

    The delta method misses the first one's index in 20 % of runs.
    """
    random = np.random.default_rng(2)
    runs, num = 200, 150
    score, other = random.standard_normal((2, num, runs))
    jump = np.where(random.random((num, runs)) < 0.02, 3 * random.standard_normal((num, runs)), 0)
    replaced = np.stack([score + jump, other], axis=1)  # indices 0.02 · 9 / 2 = 0.09, and 1
    estimate, error, low, high = total_indices(score, replaced, 0.95)
    missed = ((low > [0.09, 1]) | (high < [0.09, 1])).mean(axis=0)
    assert (missed <= 0.08).all()  # 2 standard deviations above 5 %
    plain = np.abs(estimate - [0.09, 1]) > 1.98 * error
    assert plain[:, 0].mean() > 0.15


def test_a_jumping_layer_is_not_ruled_out_by_a_steady_one():
    """Both have the same index, one of them by flips of 6 % of the samples: 1,000 runs of 100 at 99 %."""
    random = np.random.default_rng(3)
    runs, num = 1000, 100
    score = random.standard_normal((num, runs))
    flips = np.where(random.random((num, runs)) < 0.06, 1, 0)
    steady = np.sqrt(0.06) * random.choice([-1, 1], (num, runs))
    wrong = 0
    for run in range(runs):
        replaced = np.stack([score[:, run] + flips[:, run], score[:, run] + steady[:, run]], axis=1)
        wrong += not possible_tops(score[:, run, None], replaced[..., None], 0.99).all()
    assert wrong <= 15  # of which 10 are allowed, ± 3


def test_wrong_shapes_are_refused():
    scores, replaced = replaced_by_others(product, 10, 2)
    with pytest.raises(ValueError, match=r"expected \[N, S\] and \[N, L, S\]"):
        total_indices(scores[:9], replaced, 0.9)
    with pytest.raises(ValueError, match="expected at least 2"):
        possible_tops(scores[:1], replaced[:1], 0.9)
