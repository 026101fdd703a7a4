"""The looks at the null: how they share the level, and that more samples can decide."""

import numpy as np
import pytest
import scipy.special

from higan_fast.statistics.confidence import StudentSequence
from higan_fast.statistics.effect_test import EffectTest, next_look, null_looks
from higan_fast.statistics.nulls import NullGeometry
from tests.statistics.world import PROFILES, World


def test_the_looks_go_on_with_more_samples_and_never_spend_more_than_the_level():
    assert list(null_looks(2000)) == [32, 64, 128, 256, 512, 1024]
    assert list(null_looks(5)) == [5]
    spent = null_looks(2**60)
    assert sum(spent.values()) + null_looks(5)[5] <= 1  # even after a try with very few samples
    for num in (32, 100, 300, 2000):  # more samples keep the looks that fewer have
        assert null_looks(num).items() <= spent.items()
        assert next_look(max(null_looks(num))) > num
    assert next_look(5) == 32 and next_look(256) == 512
    test = EffectTest(1, 1, NullGeometry.unknown(1, 4, (1,)), 2000, 0.1, 0.01)
    assert sum(test.look_levels.values()) < 0.05


def test_more_samples_can_show_what_fewer_left_open():
    # Five times what random directions do, of which the first samples happen to show three times.
    world = World([[0.05, 0.0], [0.3, 0.0]], spread=0.1, null=0.01, num_null=32, num=4096)
    settled = 0.05 * np.sqrt(np.square(world.null[:, :, 0].mean(axis=0)).mean() / 0.01**2)
    for part, mean in ((slice(256), 0.7), (slice(256, 512), 0.64), (slice(512, None), 1.05)):
        world.own[part, 0, 0] += mean * settled - world.own[part, 0, 0].mean()
    few = world.decide("effect", max_samples=600).verdict()
    assert few.undecided.tolist() == [True, False] and few.has_effect.tolist() == [False, True]
    assert few.tested_on[0] == 512 == few.samples[0, 0]  # there is no look left, so that nothing is measured
    assert few.p_required[0] < few.p_adjusted[0] < 0.01
    more = world.decide("effect", max_samples=4096).verdict()
    assert more.has_effect.all() and not more.undecided.any()
    assert more.p_adjusted[0] <= more.p_required[0]
    assert more.tested_on[0] > 512
    assert more.tested_on[1] == few.tested_on[1]  # what was decided before is decided alike


def test_too_few_samples_leave_open_what_more_would_give_up():
    world = World(PROFILES)
    few = world.decide("effect", max_samples=100).verdict()
    assert few.undecided.tolist() == [False, False, False, True, False]
    assert few.tested_on[3] == 64
    assert not world.decide("effect").verdict().undecided.any()


def test_holm_counts_boundaries_that_fell():
    test = EffectTest(3, 1, NullGeometry.unknown(1, 8, (3,)), 32, 3.2, 0.01)  # one look, at a level of 0.05
    random = np.random.default_rng(0)
    null = random.normal(size=(32, 8, 3))
    scale = np.sqrt(np.square(null.mean(axis=0)).mean(axis=0))
    # A p-value of 0.03: alone it would pass, and with Holm's factor of 3 it does not.
    own = -scipy.special.stdtrit(8, 0.03) * scale
    effects = StudentSequence(3)
    effects.update(np.tile(own, (32, 1)))
    test.falls[:2] = True
    test.update(effects, 32, null)
    assert test.p_required[2] == pytest.approx(0.05)
    assert test.p_values[2] == pytest.approx(0.03)
    assert not test.beyond.any()


def test_of_two_sides_either_is_claimed():
    """Effects of 1, −1 and 0 beside random directions of 0.1: given as sums over rounds, without samples."""
    random = np.random.default_rng(0)
    sizes = 0.1 * random.normal(size=(16, 3))  # of the random directions
    noise, true = 0.3 * random.normal(size=(512, 3)), np.array([1.0, -1.0, 0.0])
    one, two = (
        EffectTest(3, 1, NullGeometry.unknown(1, 16, (3,)), 512, 0.1, 0.05, two_sided=sides)
        for sides in (0, 1)
    )
    for test in (one, two):
        effects, start = StudentSequence(3), 0
        for stop in (32, 64, 128, 256):
            effects.update(noise[start:stop] + true)
            test.update_with_sums(effects, stop, (stop - start) * sizes if test.open.any() else None)
            start = stop
    assert one.has_effect.tolist() == [True, False, False] and one.falls[1]
    assert two.has_effect.tolist() == [True, True, False]
    assert two.given_up.tolist() == [False, False, True] and not two.open.any()
    assert two.p_values[0] == pytest.approx(2 * one.p_values[0]) and two.undecided.sum() == 0
