"""Latents and codes depend on (seed, index) alone."""

import numpy as np
import pytest
import torch

from higan_fast.sampling.latents import (
    BLOCK,
    JITTER,
    NULL,
    SAMPLING,
    VERIFICATION,
    codes_of,
    labelled_latents,
    labels,
    latents,
    make_codes,
    map_labelled_latents,
)
from tests.toy_families import NUM_CLASSES, chunked_toy, conditional_toy


def test_a_sample_is_the_same_in_every_range():
    whole = latents(3, 0, 300, 24)
    assert whole.shape == (300, 24)
    assert whole.dtype == np.float32
    for start, stop in ((0, 1), (17, 90), (299, 300), (64, 128)):
        np.testing.assert_array_equal(latents(3, start, stop, 24), whole[start:stop])
    assert latents(3, 5, 5, 24).shape == (0, 24)


def test_a_shorter_latent_is_the_beginning_of_a_longer_one():
    np.testing.assert_array_equal(latents(0, 0, 5, 512)[:, :8], latents(0, 0, 5, 8))


def test_latents_are_standard_normal_and_unrelated():
    z = latents(0, 0, 2000, 64).astype(np.float64)
    # 128,000 values: the standard error of the mean is 0.0028 and that of the variance 0.004.
    assert abs(z.mean()) < 5 * 0.0028
    assert abs(z.var() - 1) < 5 * 0.004
    # Samples must not share numbers, as counters that overlap would make them do.
    flat = np.sort(z.ravel())
    repeated = np.mean(np.diff(flat) == 0)
    assert repeated < 0.01  # float32 itself repeats a few
    neighbours = np.mean(z[1:] * z[:-1], axis=1)
    assert np.abs(neighbours).max() < 6 / np.sqrt(64)
    shifted = np.mean(z[1:, :-4] * z[:-1, 4:])
    assert abs(shifted) < 5 / np.sqrt(z[1:, 4:].size)


def test_seeds_and_streams_differ():
    draws = [latents(seed, 0, 1, 8, stream).tobytes() for seed in (0, 1) for stream in range(4)]
    assert len(set(draws)) == 8
    assert sorted([SAMPLING, VERIFICATION, NULL, JITTER]) == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "0", True, None])
def test_a_bad_seed_is_named(seed):
    with pytest.raises(ValueError, match=r"seed \(--seed\): got"):
        latents(seed, 0, 1, 4)


def test_a_range_that_runs_backwards_is_refused():
    with pytest.raises(ValueError, match="range 5 to 3"):
        latents(0, 5, 3, 4)


@torch.inference_mode()
def test_codes_are_equal_to_the_bit_in_every_range(generator):
    whole = make_codes(generator, 0, 0, 3 * BLOCK + 10, truncation_psi=0.7, truncation_layers=2)
    for start, stop in ((0, 1), (BLOCK - 1, BLOCK + 1), (100, 190), (3 * BLOCK, 3 * BLOCK + 10)):
        part = make_codes(generator, 0, start, stop, truncation_psi=0.7, truncation_layers=2)
        for name in ("z", "w", "codes"):
            assert torch.equal(getattr(part, name), getattr(whole, name)[start:stop]), name
    torch.testing.assert_close(whole.codes, generator.map(whole.z, None, 0.7, 2))


def test_classes_are_drawn_evenly_each_for_its_own_sample():
    whole = labels(3, 0, 20_000, 5)
    assert whole.dtype == np.int64 and whole.shape == (20_000,)
    for start, stop in ((0, 1), (17, 90), (64, 128)):
        np.testing.assert_array_equal(labels(3, start, stop, 5), whole[start:stop])
    # A class has 4,000 of 20,000 samples; the standard deviation of that is 57.
    assert np.abs(np.bincount(whole) - 4000).max() < 5 * 57
    assert labels(3, 0, 50, 1).max() == 0 and labels(3, 0, 5, 1000).max() < 1000
    draws = {
        labels(seed, 0, 40, 9, stream).tobytes() for seed in (0, 1) for stream in (SAMPLING, VERIFICATION)
    }
    assert len(draws) == 4
    # The same on every machine and for every version of NumPy: a store may be continued years later.
    assert labels(0, 0, 12, 10).tolist() == [6, 0, 4, 4, 9, 0, 2, 3, 3, 3, 5, 9]


def test_classes_have_nothing_to_do_with_latents():
    of_class = labels(0, 0, 20_000, 2)
    first = latents(0, 0, 20_000, 4)
    difference = first[of_class == 1].mean(axis=0) - first[of_class == 0].mean(axis=0)
    assert np.abs(difference).max() < 5 * 2 / np.sqrt(20_000)


@torch.inference_mode()
@pytest.mark.parametrize("toy", [conditional_toy, chunked_toy])
def test_codes_of_classes_are_equal_to_the_bit_in_every_range(toy):
    generator, _ = toy()
    whole = make_codes(generator, 2, 0, 2 * BLOCK + 10)
    assert whole.label.tolist() == labels(2, 0, 2 * BLOCK + 10, NUM_CLASSES).tolist()
    for start, stop in ((0, 1), (BLOCK - 1, BLOCK + 1), (100, 110)):
        part = make_codes(generator, 2, start, stop)
        for name in part._fields:
            assert torch.equal(getattr(part, name), getattr(whole, name)[start:stop]), name
    torch.testing.assert_close(whole.codes, generator.map(whole.z, whole.label))
    torch.testing.assert_close(
        map_labelled_latents(generator, labelled_latents(generator, whole), 0.5, 2),
        generator.map(whole.z, whole.label, 0.5, 2),
    )
    of_one = make_codes(generator, 2, 60, 70, label=1)
    assert of_one.label.tolist() == [1] * 10
    assert torch.equal(of_one.z, whole.z[60:70])


def test_a_class_that_there_is_not_is_named(generator):
    with pytest.raises(ValueError, match=r"label \(--class\): got 0, but this generator is unconditional"):
        make_codes(generator, 0, 0, 4, label=0)
    for label in (NUM_CLASSES, -1, 1.0, True):
        with pytest.raises(ValueError, match=f"label .*: got {label}, expected 0 to {NUM_CLASSES - 1}"):
            make_codes(conditional_toy()[0], 0, 0, 4, label=label)


@torch.inference_mode()
def test_codes_follow_the_precision_of_the_generator(generator):
    single, double = make_codes(generator, 0, 0, 4), make_codes(generator.double(), 0, 0, 4)
    assert double.codes.dtype == torch.float64
    torch.testing.assert_close(double.codes.float(), single.codes)


@torch.inference_mode()
def test_a_code_that_is_not_finite_is_named_by_its_sample(generator):
    healthy = generator.mapping
    generator.mapping = lambda z, label: torch.where(
        torch.arange(len(z))[:, None] == 6, torch.nan, healthy(z)
    )
    with pytest.raises(ValueError, match=f"sample {BLOCK + 6} to a code that is not finite"):
        make_codes(generator, 0, BLOCK + 2, BLOCK + 9)


@pytest.mark.parametrize("toy", [conditional_toy, chunked_toy])
def test_chosen_samples_are_those_of_their_range_in_any_order(toy):
    generator, _ = toy()
    chosen = [70, 3, 130, 64, 5, 3]
    whole, some = make_codes(generator, 2, 0, 140), codes_of(generator, 2, chosen)
    for part, expected in zip(some, whole, strict=True):
        assert torch.equal(part, expected[chosen])
    assert codes_of(generator, 2, [7], label=1).label.tolist() == [1]
