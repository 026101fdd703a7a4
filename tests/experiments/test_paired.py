"""What boundaries move and what else they change, paired."""

import numpy as np
import pytest

from higan_fast.experiments.paired import Changes, Paired, signs_of
from higan_fast.experiments.subject import Walk
from higan_fast.predictors.base import Semantic

SEMANTICS = (Semantic("a", "layout"), Semantic("b", "object"), Semantic("c", "color"))


def walk(forth, back, noise=0.0, seed=0, num=64):
    """Mean changes ``[C, S]`` by a step forth and one back, with noise."""
    random = np.random.default_rng(seed)
    base = random.normal(size=(num, 3))
    moved = base[:, None, None] + np.stack([forth, back], axis=1)
    moved = moved + noise * random.normal(size=moved.shape)
    unknown = np.tile([-np.inf, np.inf], (3, 1))
    return Walk([], np.array([1.0, -1.0]), base, moved, SEMANTICS, unknown, np.ones(3), {})


def test_changes_have_an_odd_part_and_an_even_one():
    # The first boundary in two ways, then the second one in two.
    forth = np.array([[1.0, 0.6, 0.2], [1.0, 0.0, 0.0], [0.0, 1.0, 0.4], [0.0, 2.0, 0.8]])
    back = np.array([[-1.0, 0.2, -0.2], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.4], [0.0, -2.0, -0.8]])
    changes = Changes.of([walk(forth, back)], ["a", "b"], ways=2)
    found = Paired.of(changes, np.array([np.inf, np.inf]), 0.05)
    np.testing.assert_allclose(found.target.mean, [[1, 1], [1, 2]])
    # b changes by 0.6 and 0.2: odd 0.2, even 0.4; c by 0.2 and −0.2: odd 0.2, even 0.
    np.testing.assert_allclose(found.odd.mean[0, 0], np.sqrt((0.2**2 + 0.2**2) / 2))
    np.testing.assert_allclose(found.even.mean[0, 0], np.sqrt(0.4**2 / 2))
    np.testing.assert_allclose(found.off.mean[0, 0], np.sqrt((0.6**2 + 0.2**2 + 0.2**2 + 0.2**2) / 4))
    np.testing.assert_allclose(found.off.mean[:, 1], [np.sqrt(0.4**2 / 2), np.sqrt(0.8**2 / 2)])
    np.testing.assert_allclose(found.relative[:, 1], found.off.mean[:, 1] / [1, 2])


@pytest.mark.parametrize("walks", [1, 2])
def test_ways_come_from_one_walk_or_several(walks):
    forth = np.array([[1.0, 0.3, 0.0], [0.5, 0.3, 0.0], [0.0, 1.0, 0.2], [0.0, 1.0, 0.6]])
    if walks == 1:
        changes = Changes.of([walk(forth, -forth, 0.1)], ["a", "b"], ways=2)
    else:
        changes = Changes.of([walk(forth[way::2], -forth[way::2], 0.1, way) for way in range(2)], ["a", "b"])
    found = Paired.of(changes, np.array([np.inf, np.inf]), 0.05)
    assert signs_of(found.target_less, 1, ["a", "b"]) == (["a"], [], ["b"])
    assert signs_of(found.off_less, 1, ["a", "b"]) == ([], ["b"], ["a"])
    assert signs_of(found.relative_less, 1, ["a", "b"]) == ([], ["a", "b"], [])


def test_all_together_are_means_over_boundaries():
    forth = np.array([[1.0, 0.3, 0.0], [0.0, 0.5, 0.4]])
    joined = Changes.of([walk(forth, -forth)] * 2, ["a", "b"]).joined()
    found = Paired.of(joined, np.array([np.inf]), 0.05)
    np.testing.assert_allclose(found.target.mean, 0.75)
    np.testing.assert_allclose(found.off.mean, np.sqrt((0.3**2 + 0.4**2) / 4))
    assert found.values(0, 0)["target_difference"] is None, "the first differs from itself by nothing"
