"""Latents and codes depend on (seed, index) alone."""

import numpy as np
import pytest
import torch

from higan_fast.probing.latents import BLOCK, JITTER, NULL, SAMPLING, VERIFICATION, latents, make_codes


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
    with pytest.raises(ValueError, match="seed: got"):
        latents(seed, 0, 1, 4)


def test_a_range_that_runs_backwards_is_refused():
    with pytest.raises(ValueError, match="range 5 to 3"):
        latents(0, 5, 3, 4)


@torch.inference_mode()
def test_codes_are_equal_to_the_bit_in_every_range(generator):
    whole = make_codes(generator, 0, 0, 3 * BLOCK + 10, truncation_psi=0.7, truncation_layers=2)
    for start, stop in ((0, 1), (BLOCK - 1, BLOCK + 1), (100, 190), (3 * BLOCK, 3 * BLOCK + 10)):
        part = make_codes(generator, 0, start, stop, truncation_psi=0.7, truncation_layers=2)
        for name in part._fields:
            assert torch.equal(getattr(part, name), getattr(whole, name)[start:stop]), name
    torch.testing.assert_close(whole.codes, generator.map(whole.z, None, 0.7, 2))


@torch.inference_mode()
def test_codes_follow_the_precision_of_the_generator(generator):
    single, double = make_codes(generator, 0, 0, 4), make_codes(generator.double(), 0, 0, 4)
    assert double.codes.dtype == torch.float64
    torch.testing.assert_close(double.codes.float(), single.codes)


@torch.inference_mode()
def test_a_code_that_is_not_finite_is_named_by_its_sample(generator):
    healthy = generator.mapping
    generator.mapping = lambda z: torch.where(torch.arange(len(z))[:, None] == 6, torch.nan, healthy(z))
    with pytest.raises(ValueError, match=f"sample {BLOCK + 6} to a code that is not finite"):
        make_codes(generator, 0, BLOCK + 2, BLOCK + 9)
