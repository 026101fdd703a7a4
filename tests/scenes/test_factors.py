"""Factors: pure functions of (seed, index), with the promised frequencies, and faithful labels."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from higan_fast.scenes.factors import (
    CONTINUOUS,
    FURNITURE,
    RANGES,
    SEMANTICS,
    Factors,
    labels,
    sample_factors,
    with_factor,
)

NAMES = [semantic.name for semantic in SEMANTICS]
NUM = 20_000


@pytest.fixture(scope="module")
def many() -> Factors:
    return sample_factors(7, range(NUM))


def same(a: Factors, b: Factors) -> bool:
    return all(np.array_equal(getattr(a, field.name), getattr(b, field.name)) for field in fields(Factors))


def test_a_sample_depends_on_seed_and_index_alone(many: Factors) -> None:
    picked = [19_999, 3, 3, 0, 512]
    assert same(sample_factors(7, picked), many[np.array(picked)])
    assert not same(sample_factors(8, picked), many[np.array(picked)])


def test_neighbouring_samples_and_seeds_are_independent(many: Factors) -> None:
    other = sample_factors(8, range(NUM))
    for a, b in ((many.view[1:], many.view[:-1]), (many.view, other.view), (many.view, many.pitch)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(NUM)  # five standard errors


def test_continuous_factors_fill_their_range_evenly(many: Factors) -> None:
    for name in CONTINUOUS:
        low, high = RANGES[name]
        values = getattr(many, name)
        assert low <= values.min() and values.max() <= high
        shares = np.histogram(values, bins=10, range=(low, high))[0] / NUM
        assert np.all(np.abs(shares - 0.1) < 5 * np.sqrt(0.09 / NUM)), name


def test_binary_factors_have_their_frequencies(many: Factors) -> None:
    shares = labels(many).mean(axis=0)
    for name, share in zip(NAMES, shares, strict=True):
        if name in CONTINUOUS:
            continue
        expected = 1 / 3 if name in FURNITURE else 1 / 2
        assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / NUM), name


def test_semantics_are_uncorrelated_but_for_the_furniture(many: Factors) -> None:
    correlation = np.asarray(np.corrcoef(labels(many).T))
    for i, a in enumerate(NAMES):
        for j, b in enumerate(NAMES):
            if i < j and not (a in FURNITURE and b in FURNITURE):
                assert abs(correlation[i, j]) < 5 / np.sqrt(NUM), (a, b)


def test_labels_are_in_range_with_one_piece_of_furniture_each(many: Factors) -> None:
    values = labels(many)
    assert values.shape == (NUM, 14) and values.dtype == np.float32
    assert values.min() >= 0 and values.max() <= 1
    assert np.all(values[:, [NAMES.index(name) for name in FURNITURE]].sum(axis=1) == 1)
    assert [semantic.level for semantic in SEMANTICS].count("layout") == 3


@pytest.mark.parametrize("name", NAMES)
def test_with_factor_sets_one_label_and_keeps_the_others(name: str, many: Factors) -> None:
    rooms = many[slice(0, 200)]
    column = NAMES.index(name)
    before = labels(rooms)
    for value in (0, 0.25, 1) if name in CONTINUOUS else (0, 1):
        after = labels(with_factor(rooms, name, value))
        np.testing.assert_allclose(after[:, column], value, atol=1e-6)
        kept = [i for i, other in enumerate(NAMES) if i != column and not {name, other} <= set(FURNITURE)]
        assert np.array_equal(after[:, kept], before[:, kept])
        assert np.all(after[:, [NAMES.index(kind) for kind in FURNITURE]].sum(axis=1) == 1)
    assert np.array_equal(labels(rooms), before)


def test_bad_input_is_refused_in_words(many: Factors) -> None:
    with pytest.raises(ValueError, match=r"indices: got -1, expected non-negative"):
        sample_factors(0, [3, -1])
    with pytest.raises(ValueError, match=r"indices: got shape \(2,\) of float64"):
        sample_factors(0, [0.5, 1.0])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"indices: got shape \(1, 2\)"):
        sample_factors(0, np.array([[0, 1]]))
    with pytest.raises(ValueError, match="seed: got -2"):
        sample_factors(-2, [0])
    with pytest.raises(ValueError, match="name: got 'chandelier', expected one of"):
        with_factor(many, "chandelier", 1)
    with pytest.raises(ValueError, match=r"value: got 1\.5 for 'view', expected a value in \[0, 1\]"):
        with_factor(many, "view", 1.5)
    with pytest.raises(ValueError, match=r"value: got 0\.5 for 'lamp', expected 0 or 1"):
        with_factor(many, "lamp", 0.5)


def test_no_indices_give_no_rooms() -> None:
    assert len(sample_factors(0, [])) == 0
    assert labels(sample_factors(0, [])).shape == (0, 14)
