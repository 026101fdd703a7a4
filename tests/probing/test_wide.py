"""Intervals that can say nothing are said to be so, and no others."""

from dataclasses import replace

import numpy as np
import pytest

from higan_fast.probing.wide import narrowest, too_wide_in_words
from higan_fast.statistics.dose import Means


def test_none_is_narrower_than_that_of_samples_that_agree():
    reach, random = np.array([0.5, 40.0]), np.random.default_rng(0)
    least = narrowest(reach, 128, 0.99)
    for spread in (0.0, 0.01, 0.2):
        values = np.clip(random.normal(0.1, spread, (128, 2)), -0.5, 0.5)
        low, high = Means(values, reach, keep=True).bounds(0.005)
        assert ((high - low) / 2 >= least * (1 - 1e-6)).all()
    assert least[0] < 0.05 and least[1] > 1
    assert (narrowest(reach, 4096, 0.99) < least).all()


def test_a_verification_says_so_too(verification):
    assert "too wide" not in repr(verification)
    column = [semantic.name for semantic in verification.semantics].index("bed")
    deviation, ranges = verification.deviation.copy(), verification.ranges.copy()
    deviation[column], ranges[column] = 1e-3, (0, 1)
    wide = repr(replace(verification, deviation=deviation, ranges=ranges))
    assert "Intervals of bed are too wide to say anything" in wide and "500 times the spread" in wide


def test_what_is_too_wide_is_named_with_what_to_do():
    assert too_wide_in_words({"bed": 2.0, "free": np.inf, "still": 0.0}, 128, 0.99) == []
    (text,) = too_wide_in_words({"bed": 2.0, "view": 300.0}, 128, 0.99)
    half = float(narrowest(np.array([300.0]), 128, 0.99)[0])
    assert text.startswith("Intervals of view are too wide to say anything: ") and f"±{half:.2g} SD" in text
    assert "300 times the spread" in text and "More samples or a tighter range" in text
    (both,) = too_wide_in_words({"view": 300.0, "depth": 100.0}, 128, 0.99)
    assert "view and depth" in both and "up to 300 times" in both
    assert half == pytest.approx(float(narrowest(np.array([300.0, 100.0]), 128, 0.99)[0]))
