"""Confidence sequences: they cover at all sample sizes at once, and it is said from where on."""

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from higan_fast.statistics.betting import BETS, BettingSequence
from higan_fast.statistics.confidence import bounds_by_moments, confidence_sequence
from higan_fast.statistics.student import DISTINCT, SPENT, TIGHTEST_AT, UNCHANGED, StudentSequence

RUNS = 1000


def walk(sequence, values, level, every=1):
    """(count, low, high, signs) after every sample, or every few."""
    for stop in range(every, len(values) + 1, every):
        sequence.update(values[stop - every : stop])
        yield stop, *sequence.bounds(level), sequence.signs(level)


def at_most(rate, level, runs=RUNS):
    """Whether an error rate seen in so many runs goes with a probability of ``level``."""
    return rate <= level + 3 * np.sqrt(level * (1 - level) / runs)


def ever_missed(sequence, values, mean, level, start=1, every=1):
    """How often the mean was ever below the low bound, and above the high one, from sample ``start`` on."""
    below, above = np.zeros(RUNS, bool), np.zeros(RUNS, bool)
    for count, low, high, _ in walk(sequence, values, level, every):
        if count >= start:
            below |= low > mean
            above |= high < mean
    return below.mean(), above.mean()


def test_students_bounds_cover_gaussian_means_at_all_times_at_once():
    for seed, (mean, scale) in enumerate([(0.0, 1.0), (0.3, 1e-3)]):
        values = np.random.default_rng(seed).normal(mean, scale, (600, RUNS))
        missed = ever_missed(StudentSequence(RUNS), values, mean, 0.05)
        assert all(at_most(rate, 0.05) for rate in missed)
        assert min(missed) > 0.003  # and they are little wider than they must be


def test_the_interval_of_one_look_does_not_cover_at_all_times():
    values = np.random.default_rng(0).normal(size=(600, RUNS))
    counts = np.arange(1, 601)[:, None]
    z = values.cumsum(axis=0) / np.sqrt(counts)
    assert (z[9:] > 1.645).any(axis=0).mean() > 0.2  # which is what the sequence is for


def test_students_martingale_is_a_ratio_of_likelihoods():
    # The bound is where the mixture over effect sizes of the noncentral t density, over that of size 0,
    # reaches its threshold; scipy integrates what the code has in closed form.
    level, num = 0.01, 25  # of which the sequence spends 0.005
    sequence = StudentSequence(1)
    sequence.update(np.random.default_rng(0).normal(0.4, 1, (num, 1)))
    low, high = (float(bound[0]) for bound in sequence.bounds(level))
    level *= SPENT
    spread = np.sqrt((-2 * np.log(2 * level) + np.log(1 - 2 * np.log(2 * level))) / TIGHTEST_AT)
    error = np.sqrt(sequence._squares[0] / (num - 1) / num)

    def likelihood_ratio(size, t):
        ratio = scipy.stats.nct.pdf(t, num - 1, np.sqrt(num) * size) / scipy.stats.t.pdf(t, num - 1)
        return ratio * scipy.stats.norm.pdf(size, 0, spread)

    t = (sequence.mean[0] - low) / error
    mixture = scipy.integrate.quad(likelihood_ratio, -3, 3, args=(t,), limit=200)[0]
    assert mixture == pytest.approx((1 / level + 1) / 2, rel=1e-6)
    assert high - sequence.mean[0] == pytest.approx(sequence.mean[0] - low)
    one_sided = 2 * scipy.integrate.quad(likelihood_ratio, 0, 3, args=(t,), limit=200)[0]
    assert one_sided >= 1 / level


@pytest.mark.parametrize("draw", ["t", "jumps"])
def test_students_bounds_hold_from_the_start_for_heavy_symmetric_tails(draw):
    random = np.random.default_rng(0)
    if draw == "t":
        values = random.standard_t(3, (600, RUNS))
    else:  # 2 % large jumps, up or down
        jumps = random.choice([-1.0, 0.0, 1.0], (600, RUNS), p=[0.01, 0.98, 0.01])
        values = jumps + random.normal(0, 0.02, (600, RUNS))
    assert all(at_most(rate, 0.02) for rate in ever_missed(StudentSequence(RUNS), values, 0.0, 0.02))


def test_students_bounds_need_some_hundred_samples_of_skewed_values():
    values = np.random.default_rng(0).exponential(size=(1000, RUNS))
    _, early = ever_missed(StudentSequence(RUNS), values, 1.0, 0.01, every=4)
    low, late = ever_missed(StudentSequence(RUNS), values, 1.0, 0.01, start=256, every=4)
    assert not at_most(early, 0.01)  # the high bound, on the side of the tail; seen: 0.03
    assert at_most(late, 0.01)
    assert low == 0.0


@pytest.mark.parametrize("rare", [0.02, 0.1])
def test_jumps_are_waited_for(rare):
    # Values that are 0 but for rare jumps of like sizes: half of all runs see none of 2 % at first, and an
    # interval of no spread then misses the mean.
    random, mean = np.random.default_rng(0), rare
    values = (random.random((1024, RUNS)) < rare) * random.uniform(0.5, 1.5, (1024, RUNS))
    sequence, wrong, early = StudentSequence(RUNS), np.zeros(RUNS, bool), np.zeros(RUNS, bool)
    for _, low, high, _ in walk(sequence, values, 0.005, every=32):
        wrong |= (low > mean) | (high < mean)
        early |= np.isfinite(low) & (sequence.distinct < DISTINCT)
    assert at_most(wrong.mean(), 0.005)
    assert not early.any()
    assert np.isfinite(low).mean() > (0.1 if rare == 0.02 else 0.99)


def test_what_never_changes_is_compared_with_others_at_last():
    sequence = StudentSequence(2)
    for num, ready in ((UNCHANGED - 1, False), (1, True)):
        sequence.update(np.tile([0.0, 0.5], (num, 1)))
        assert sequence.ready.tolist() == [ready, False]
    assert np.isinf(sequence.bounds(0.01)).all()  # and has no interval
    assert BettingSequence(2, 1.0).ready.all()


def test_a_score_of_few_values_has_no_interval_without_a_range():
    values = np.random.default_rng(0).choice([-0.5, 0.0, 0.5], (600, 3), p=[0.1, 0.5, 0.4])
    sequence = StudentSequence(3)
    sequence.update(values)
    assert sequence.distinct.tolist() == [2, 2, 2]
    assert np.isinf(sequence.bounds(0.01)).all() and not sequence.signs(0.01).any()
    betting = BettingSequence(3, 0.5)
    betting.update(values)
    assert (betting.signs(0.01) == 1).all()


def test_with_a_reach_rare_jumps_fool_nobody():
    # 1 % of the samples jump up by 0.5, the others go down so little that the mean is 0; Student's sequence
    # sees different values in every sample, and is fooled.
    random = np.random.default_rng(0)
    values = np.where(random.random((512, RUNS)) < 0.01, 0.5, -0.005 / 0.99) + random.normal(
        0, 1e-3, (512, RUNS)
    )
    assert ever_missed(StudentSequence(RUNS), values, 0.0, 0.01, start=32, every=8)[1] > 0.3
    sequence, wrong = BettingSequence(RUNS, 0.51), np.zeros(RUNS, bool)
    for start in range(0, 512, 8):  # a sign is known where the bounds exclude 0
        sequence.update(values[start : start + 8])
        wrong |= sequence.signs(0.01) != 0
    assert at_most(wrong.mean(), 0.02)


def bounded(random, name, shape):
    """Values in [-0.5, 0.5] and their mean."""
    if name == "flips":
        return random.choice([-0.5, 0.5], shape), 0.0
    if name == "skewed":  # the worst that a reach allows
        return np.where(random.random(shape) < 0.02, -0.5, 0.01 / 0.98), 0.0
    if name == "heavy":
        return (0.05 * random.standard_t(1.5, shape)).clip(-0.5, 0.5), 0.0
    return 0.1 + (0.2 * random.normal(size=shape)).clip(-0.4, 0.4), 0.1


@pytest.mark.parametrize("name", ["flips", "skewed", "heavy", "effect"])
def test_with_a_reach_signs_and_bounds_hold_for_every_distribution(name):
    level = 0.05
    values, mean = bounded(np.random.default_rng(0), name, (400, RUNS))
    sequence = BettingSequence(RUNS, 0.5)
    missed, by_moments, wrong = np.zeros((3, 2, RUNS), bool)
    moments, start = [np.zeros(RUNS)] * 2, 0
    for stop in (32, 64, 128, 400):
        sequence.update(values[start:stop])
        start = stop
        low, high = sequence.bounds(level)
        missed |= np.stack([low > mean, high < mean])
        moments = [values[:stop].mean(axis=0), values[:stop].var(axis=0) * stop]
        outer = bounds_by_moments(stop, *moments, stop, 0.5, level)
        by_moments |= np.stack([outer[0] > mean, outer[1] < mean])
        assert (outer[0] <= low + 1e-9).all() and (high <= outer[1] + 1e-9).all()
    sequence = BettingSequence(RUNS, 0.61, keep=False)
    for start in range(0, 400, 2):
        sequence.update(values[start : start + 2] - mean)
        signs = sequence.signs(level)
        wrong |= np.stack([signs > 0, signs < 0])
    for found in (missed, by_moments, wrong):
        assert all(at_most(rate, level) for rate in found.mean(axis=1))
    # They do not waste the level either; what is skewed to one side can hardly err on the other.
    assert wrong.mean(axis=1).max() > (0.001 if name == "skewed" else 0.01)


def test_the_bound_is_where_a_bettor_has_reached_the_threshold():
    values, reach, level = np.random.default_rng(0).uniform(-0.4, 0.5, (30, 1)), 0.5, 0.01
    sequence = BettingSequence(1, reach)
    sequence.update(values)

    def capital(mean, sign):
        return np.mean([np.prod(1 + bet * (sign * values - mean) / (mean + reach)) for bet in BETS])

    assert sequence.signs(1 / capital(0.0, 1) * 1.001)[0] == 1
    assert sequence.signs(1 / capital(0.0, 1) * 0.999)[0] == 0
    low, high = sequence.bounds(level)
    assert capital(low[0], 1) == pytest.approx(1 / level, rel=1e-6)
    assert capital(-high[0], -1) == pytest.approx(1 / level, rel=1e-6)
    assert capital(low[0], 1) >= 1 / level  # on the safe side


def test_a_sign_is_known_where_the_bounds_exclude_0():
    random, decided = np.random.default_rng(0), 0
    for num in (16, 50, 150):
        values = random.uniform(-0.5, 0.5, (num, 200)) + np.linspace(-0.3, 0.3, 200)
        sequence = BettingSequence(200, 0.8)
        sequence.update(values)
        low, high = sequence.bounds(0.01)
        np.testing.assert_array_equal((low > 0).astype(int) - (high < 0), sequence.signs(0.01))
        decided += np.abs(sequence.signs(0.01)).sum()
    assert 100 < decided < 500


@pytest.mark.parametrize(("kind", "most"), [("flips", 1.2), ("normal", 1.2)])
def test_betting_costs_little_beside_students_sequence(kind, most):
    random = np.random.default_rng(0)
    if kind == "flips":
        values = random.choice([0.0, 0.5], (256, 50), p=[0.6, 0.4])
    else:
        values = (0.1 + 0.2 * random.normal(size=(256, 50))).clip(-0.5, 0.5)
    for num in (64, 256):
        sequences = BettingSequence(50, 0.5), StudentSequence(50)
        for sequence in sequences:
            sequence.update(values[:num])
        sequences[1].distinct[:] = DISTINCT  # flips have one value
        (low, high), (low_t, high_t) = (sequence.bounds(0.005) for sequence in sequences)
        assert (high - low).mean() < most * (high_t - low_t).mean()
        outer = bounds_by_moments(num, values[:num].mean(0), values[:num].var(0) * num, num, 0.5, 0.005)
        assert (outer[1] - outer[0]).mean() < 2 * (high_t - low_t).mean()


def test_betting_or_student_is_chosen_for_each_entry():
    values = np.random.default_rng(0).uniform(-0.5, 0.5, (64, 4))
    reach = np.array([0.5, np.inf, 0.6, np.inf])
    both = confidence_sequence(4, reach)
    alone = [confidence_sequence(1, part) for part in reach]
    assert [type(part) for part in alone] == [BettingSequence, StudentSequence] * 2
    both.update(values[:40])
    both.update(values[40:, [3, 0]], np.array([3, 0]))
    for column, part in enumerate(alone):
        part.update(values[: 64 if column in (0, 3) else 40, [column]])
    assert both.count.tolist() == [64, 40, 40, 64]
    expected = np.concatenate([part.bounds(0.01) for part in alone], axis=1)
    np.testing.assert_array_equal(both.bounds(0.01), expected)
    np.testing.assert_array_equal(both.signs(0.2), np.concatenate([part.signs(0.2) for part in alone]))
    np.testing.assert_array_equal(both.mean, np.concatenate([part.mean for part in alone]))


def test_moments_give_students_bounds_where_no_range_is_known():
    values = np.random.default_rng(0).normal(0.3, 1, (40, 3))
    sequence = StudentSequence(3)
    sequence.update(values)
    moments = values.mean(axis=0), values.var(axis=0) * 40
    np.testing.assert_allclose(bounds_by_moments(40, *moments, 40, np.inf, 0.01), sequence.bounds(0.01))
    low, high = bounds_by_moments(40, *moments, 40, np.inf, 0.01, fixed=True)
    expected = scipy.stats.t.interval(0.98, 39, loc=moments[0], scale=scipy.stats.sem(values))
    np.testing.assert_allclose([low, high], expected)
    few = [40, DISTINCT, DISTINCT - 1]
    for fixed in (False, True):
        low, _ = bounds_by_moments(40, *moments, few, np.inf, 0.01, fixed=fixed)
        assert np.isfinite(low).tolist() == [True, True, False]


@pytest.mark.parametrize("reach", [None, 0.7])
def test_the_sizes_of_updates_change_no_bit(reach):
    values = np.random.default_rng(0).uniform(-0.5, 0.7, (100, 5))
    parts = {"one": [100], "many": [1] * 100, "uneven": [3, 50, 7, 40]}
    results = []
    for sizes in parts.values():
        sequence = confidence_sequence(5, reach)
        for part in np.split(values, np.cumsum(sizes)[:-1]):
            sequence.update(part)
        results.append((*sequence.bounds(0.01), sequence.mean, sequence.count))
    for other in results[1:]:
        for expected, got in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("reach", [None, 0.7])
def test_entries_that_are_left_out_stay_as_they_are(reach):
    values = np.random.default_rng(0).uniform(-0.5, 0.7, (60, 4))
    sequence, alone = confidence_sequence(4, reach), confidence_sequence(4, reach)
    sequence.update(values[:20])
    alone.update(values[:20])
    sequence.update(values[20:, [2, 0]], np.array([2, 0]))
    before = np.array([alone.bounds(0.05)])
    alone.update(values[20:])
    after = np.array([alone.bounds(0.05)])
    assert sequence.count.tolist() == [60, 20, 60, 20]
    np.testing.assert_array_equal(np.array([sequence.bounds(0.05)])[..., [0, 2]], after[..., [0, 2]])
    np.testing.assert_array_equal(np.array([sequence.bounds(0.05)])[..., [1, 3]], before[..., [1, 3]])


@pytest.mark.parametrize("reach", [None, 0.7])
def test_few_samples_say_nothing(reach):
    sequence = confidence_sequence(2, reach)
    assert (sequence.bounds(0.01)[0] == (-np.inf if reach is None else -reach)).all()
    assert (sequence.bounds(0.01)[1] == (np.inf if reach is None else reach)).all()
    sequence.update([[0.5, -0.5], [0.5, 0.0]])
    assert (sequence.bounds(0.01)[0] < 0).all()
    assert sequence.signs(0.01).tolist() == [0, 0]


def test_a_score_that_never_moves_has_no_sign():
    for reach in (None, 0.5):
        sequence = confidence_sequence(1, reach)
        sequence.update(np.zeros((50, 1)))
        low, high = sequence.bounds(0.01)
        assert low < -0.05 and high > 0.05  # it may still jump
        assert sequence.signs(0.01) == 0


def test_reaches_differ_from_entry_to_entry():
    values = np.random.default_rng(0).uniform(-1, 1, (50, 1))
    both = BettingSequence(2, [1.0, 10.0])
    both.update(values * [1.0, 10.0])
    low, high = both.bounds(0.05)
    np.testing.assert_allclose([low[1], high[1]], [10 * low[0], 10 * high[0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("reach", "values", "message"),
    [
        (None, [[0.0]], r"values: got shape \[1, 1\], expected \[n, 2\]"),
        (None, [[0.0, np.nan]], "values: got NaN or infinity"),
        (0.5, [[0.0, np.inf]], "values: got NaN or infinity"),
        ([0.5, 0.1], [[0.3, -0.2]], r"got a magnitude of 0\.2 where the reach is 0\.1"),
    ],
)
def test_bad_values_are_named(reach, values, message):
    with pytest.raises(ValueError, match=message):
        confidence_sequence(2, reach).update(values)


@pytest.mark.parametrize("reach", [0.0, -1.0, -np.inf, [1.0, np.nan]])
def test_a_bad_reach_is_refused(reach):
    with pytest.raises(ValueError, match="reach: got"):
        confidence_sequence(2, reach)
