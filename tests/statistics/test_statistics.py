"""Intervals cover, the null is right, and the correction holds the family-wise error."""

import numpy as np
import pytest
import scipy.stats
import torch

from higan_fast.statistics.corrections import holm
from higan_fast.statistics.effects import Moments, higan_rise, paired_effect, standard_error, student_interval
from higan_fast.statistics.nulls import random_directions


def merge_all(parts):
    moments = parts[0]
    for part in parts[1:]:
        moments = moments.merge(part)
    return moments


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_merged_moments_are_those_of_the_whole(offset):
    values = torch.randn(103, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + offset
    merged = merge_all([Moments.of(part, dim=0) for part in values.split(10)])
    whole = values - offset
    assert merged.count == 103
    # At 1e6 a double leaves 1e-10 of each value; the naive Σx² − (Σx)²/n would leave 1e-4.
    torch.testing.assert_close(merged.mean - offset, whole.mean(0), rtol=0, atol=1e-9)
    torch.testing.assert_close(merged.m2, (whole - whole.mean(0)).square().sum(0), rtol=1e-8, atol=0)
    error = standard_error(103, merged.m2.numpy())
    np.testing.assert_allclose(error, scipy.stats.sem(whole.numpy()), rtol=1e-8)


def test_moments_are_taken_along_the_chosen_dimension():
    values = torch.randn(2, 3, 7, 4)
    moments = Moments.of(values, dim=2)
    assert moments.mean.dtype == torch.float64
    torch.testing.assert_close(moments.mean, values.double().mean(2))
    torch.testing.assert_close(moments.m2, values.double().var(2, correction=0) * 7)


def test_the_interval_is_students():
    values = np.random.default_rng(0).normal(size=20)
    low, high = student_interval(values.mean(), scipy.stats.sem(values), 20, 0.9)
    expected = scipy.stats.t.interval(0.9, 19, loc=values.mean(), scale=scipy.stats.sem(values))
    np.testing.assert_allclose((low, high), expected)


def test_effects_and_rises_of_known_scores():
    plus, minus, base = torch.tensor([3.0, 0.0]), torch.tensor([1.0, 4.0]), torch.tensor([1.0, 1.0])
    assert paired_effect(plus, minus).tolist() == [1.0, -2.0]
    assert higan_rise(plus, base).tolist() == [2.0, 0.0]


def test_intervals_cover_at_their_confidence():
    random = np.random.default_rng(0)
    plus = random.normal(0.3, 1.0, size=(4000, 30)) + random.exponential(size=(4000, 30))
    minus = plus - 2 * random.normal(0.25, 0.5, size=plus.shape)  # paired: the noise of the sample cancels
    moments = Moments.of(paired_effect(torch.tensor(plus), torch.tensor(minus)), dim=1)
    low, high = student_interval(moments.mean.numpy(), standard_error(30, moments.m2.numpy()), 30, 0.95)
    covered = np.mean((low <= 0.25) & (high >= 0.25))
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4000)


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([[0.5, 0.9], [0.6, 0.01]]), [[1, 1], [1, 0.04]])
    assert holm(np.empty((3, 0))).shape == (3, 0)


def test_random_directions_are_as_long_as_boundaries():
    noise = np.random.default_rng(0).normal(size=(1000, 16))
    directions = random_directions(np.eye(16)[:3], noise)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    np.testing.assert_allclose(directions, noise / np.linalg.norm(noise, axis=1, keepdims=True))


def test_random_directions_of_layers_are_as_related_as_the_boundaries():
    random = np.random.default_rng(0)
    shared = np.repeat(np.eye(32)[:2, None], 3, axis=1)  # [2, 3, 32], the same normal on all layers
    directions = random_directions(shared, random.normal(size=(50, 3, 32)))
    # An eigenvalue of 0 comes out as 1e-17, and its root is 3e-9.
    np.testing.assert_allclose(directions, directions[:, :1].repeat(3, axis=1), atol=1e-7)
    apart = np.eye(32)[:6].reshape(2, 3, 32)  # orthogonal from layer to layer
    directions = random_directions(apart, random.normal(size=(4000, 3, 32)))
    np.testing.assert_allclose(np.linalg.norm(directions, axis=-1), 1)
    cosines = np.einsum("rd,rd->r", directions[:, 0], directions[:, 1])
    assert abs(cosines.mean()) < 4 / np.sqrt(32 * 4000)
