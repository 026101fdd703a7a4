"""P-values against random directions: how often one of these passes, and how surely a boundary does."""

import numpy as np
import pytest
import scipy.stats

from higan_fast.statistics.corrections import holm
from higan_fast.statistics.nulls import NullGeometry, null_band, null_scale, student_p_values

DIM = 64
ALIKE = np.ones(DIM)
FALLING = 1 / (1 + np.arange(DIM)) ** 0.8  # a participation of 15 dimensions
SPIKE = np.append(20.0, np.full(DIM - 1, 0.3))  # one dimension has half of all variance


def simulate(random, runs, num, num_null, gradient, spectrum=ALIKE, kinds=1):
    """Effects of boundaries that are random directions ``[runs, B]``, of the others, and their geometries."""
    noise = random.normal(size=(runs, num + kinds * num_null, DIM)) * np.sqrt(spectrum)
    directions = noise / np.linalg.norm(noise, axis=-1, keepdims=True)
    effects = directions @ gradient  # [runs, B + K R]
    each = [NullGeometry.of(of_run, num, kinds) for of_run in directions]
    return effects[:, :num], effects[:, num:], each


def p_values(own, random, each, **options):
    rows = zip(own, random, each, strict=True)
    return np.stack([one.p_values(e, np.tile(r[:, None], (1, len(e))), **options) for e, r, one in rows])


def test_p_values_of_isotropic_directions_are_uniform_and_holm_holds_the_family():
    runs, num = 3000, 8
    found = simulate(np.random.default_rng(0), runs, num, 16, np.random.default_rng(1).normal(size=DIM))
    p = p_values(*found)
    for level in (0.01, 0.05, 0.3):
        # 24,000 p-values; those of one run share the random directions, so their rate varies by more.
        # In 64 dimensions the scale is 7 % wider than it need be.
        assert level * 0.4 < np.mean(p < level) < level
    family = np.mean([(holm(row) <= 0.05).any() for row in p])
    assert 0.01 < family < 0.05
    one_sided = p_values(*found, one_sided=True)
    np.testing.assert_allclose(np.minimum(one_sided, 1 - one_sided) * 2, p, atol=1e-12)


GRADIENTS = {
    "widest": np.eye(DIM)[0],
    "narrowest": np.eye(DIM)[-1],
    "anywhere": np.random.default_rng(2).normal(size=DIM),
    "wide ones": FALLING * np.random.default_rng(3).normal(size=DIM),
}


@pytest.mark.parametrize("gradient", list(GRADIENTS))
@pytest.mark.parametrize("spectrum", [FALLING, SPIKE], ids=["falling", "spike"])
def test_a_direction_that_follows_the_codes_passes_no_more_often_than_stated(gradient, spectrum):
    random = np.random.default_rng(4)
    p = p_values(*simulate(random, 4000, 4, 32, GRADIENTS[gradient], spectrum), one_sided=True)
    for level in (0.01, 0.001):
        # Four boundaries of a run share the random directions: as if there were half as many.
        assert np.mean(p <= level) <= level + 3 * np.sqrt(2 * level / p.size)


def test_a_boundary_along_the_gradient_is_beyond_both_kinds_though_it_is_the_widest_direction():
    # A random direction with the codes' covariance does a third of what the boundary does.
    random, gradient = np.random.default_rng(5), np.eye(DIM)[0]
    boundary = gradient + 0.2 * random.normal(size=DIM) / np.sqrt(DIM)
    for _ in range(20):
        noise = random.normal(size=(64, DIM))
        noise[32:] *= np.sqrt(FALLING)
        moves = np.concatenate([boundary[None], noise / np.linalg.norm(noise, axis=1, keepdims=True)])
        effects = moves @ gradient
        p = NullGeometry.of(moves, 1, 2).p_values(effects[:1], effects[1:, None], one_sided=True)
        assert p < 1e-4
        plain = student_p_values(effects[0], null_scale(effects[1:], 2), 32, one_sided=True)
        assert plain > p and plain > 1e-5


def test_what_is_known_of_no_direction_gives_students_p_values():
    random = np.random.default_rng(6)
    own, null = random.normal(size=3), random.normal(size=(10, 3))
    geometry = NullGeometry.unknown(1, 10, (3,))
    np.testing.assert_allclose(
        geometry.p_values(own, null), 2 * scipy.stats.t.sf(np.abs(own) / null_scale(null), 10)
    )
    two = NullGeometry.unknown(2, 5, (3,))
    each = [NullGeometry.unknown(1, 5, (3,)).p_values(own, part) for part in (null[:5], null[5:])]
    np.testing.assert_array_equal(two.p_values(own, null), np.maximum(*each))


def test_p_values_are_students_and_sure_where_nothing_random_moves():
    p = student_p_values([2.0, -2.0, 0.0, 0.0, 1e-9], [1.0, 1.0, 1.0, 0.0, 0.0], 10)
    np.testing.assert_allclose(p, [*[2 * scipy.stats.t.sf(2, 10)] * 2, 1, 1, 0])
    p = student_p_values([2.0, -2.0, -1.0, 1e-9], [1.0, 1.0, 0.0, 0.0], 10, one_sided=True)
    np.testing.assert_allclose(p, [scipy.stats.t.sf(2, 10), scipy.stats.t.cdf(2, 10), 1, 0])


def test_directions_of_length_0_or_along_a_boundary_are_no_trouble():
    moves = np.eye(4)[[0, 0, 1, 2]]
    moves[3] = 0
    found = NullGeometry.of(moves, 1, 1)
    assert np.isfinite(found.degrees).all() and found.cosines[0, :, 0].tolist() == [1, 0, 0]
    assert np.isfinite(found.p_values([1.0], moves[1:, :1])).all()


def test_the_band_holds_the_share_that_it_says():
    random = np.random.default_rng(7)
    null = random.normal(size=(2000, 17)) * 3
    scale = null_scale(null[:, 1:].T)
    low, high = null_band(scale, 16, 0.95)
    inside = np.mean((null[:, 0] > low) & (null[:, 0] < high))
    assert abs(inside - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 2000)


def test_directions_on_one_line_are_not_beyond_each_other():
    line = np.array([[1.0], [1.0], [-1.0], [1.0], [-1.0]]) * np.ones((1, 32))
    p = NullGeometry.of(line, 1, 1).p_values([2.0], [[2.0], [-2.0], [2.0], [-2.0]], one_sided=True)
    assert p > 0.1
