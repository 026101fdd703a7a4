"""Perturbed codes and paired scores: the shared prefix changes nothing but the work."""

import numpy as np
import pytest
import torch

from higan_fast.probing.engine import (
    as_codes,
    offset,
    paired_scores,
    paired_scores_of_latents,
    score,
    strengths,
)
from tests.toy import CODE_DIM, NUM_LAYERS


@pytest.fixture
def doubles(generator, predictor):
    return generator.double(), predictor.double()


@torch.inference_mode()
def test_paired_scores_equal_plain_forward_passes(doubles):
    generator, predictor = doubles
    random = torch.Generator().manual_seed(0)
    codes = generator.map(torch.randn(6, generator.latent_dim, generator=random, dtype=torch.float64))
    offsets = torch.randn(3, NUM_LAYERS, CODE_DIM, generator=random, dtype=torch.float64)
    counted = []
    scores = paired_scores(generator, predictor, codes, offsets, counted.append)

    def plain(moved):
        return predictor(generator.synthesize(moved))

    assert scores.plus.shape == scores.minus.shape == (3, 1 + NUM_LAYERS, 6, 5)
    torch.testing.assert_close(scores.base, plain(codes), rtol=0, atol=1e-12)
    for direction, move in enumerate(offsets):
        torch.testing.assert_close(scores.plus[direction, 0], plain(codes + move), rtol=0, atol=1e-12)
        torch.testing.assert_close(scores.minus[direction, 0], plain(codes - move), rtol=0, atol=1e-12)
        for layer in range(NUM_LAYERS):
            alone = torch.zeros_like(move)
            alone[layer] = move[layer]
            row = scores.plus[direction, 1 + layer], scores.minus[direction, 1 + layer]
            torch.testing.assert_close(row[0], plain(codes + alone), rtol=0, atol=1e-12)
            torch.testing.assert_close(row[1], plain(codes - alone), rtol=0, atol=1e-12)
    assert sum(counted) == 2 * 6 * 3 * (1 + NUM_LAYERS)


@torch.inference_mode()
def test_the_prefix_is_walked_once_and_batches_stay_bounded(generator, predictor):
    runs, sizes = [], []
    plain_layer, plain_image = generator.layer, generator.image

    def layer(index, activation, code):
        runs.append(index)
        sizes.append(len(code))
        return plain_layer(index, activation, code)

    generator.layer = layer
    generator.image = lambda activation: plain_image(activation)
    codes = generator.map(torch.randn(4, generator.latent_dim))
    paired_scores(generator, predictor, codes, torch.ones(2, NUM_LAYERS, CODE_DIM))
    # Base walk 5; per direction: all layers 5, layer l alone 5 - l.
    assert len(runs) == 5 + 2 * (5 + 5 + 4 + 3 + 2 + 1)
    assert max(sizes) == 2 * len(codes)


@torch.inference_mode()
def test_latents_are_mapped_anew(doubles):
    generator, predictor = doubles
    random = torch.Generator().manual_seed(0)
    z = torch.randn(5, generator.latent_dim, generator=random, dtype=torch.float64)
    offsets = torch.randn(2, generator.latent_dim, generator=random, dtype=torch.float64)
    scores = paired_scores_of_latents(generator, predictor, z, offsets, generator.map)
    assert scores.plus.shape == (2, 1, 5, 5)
    torch.testing.assert_close(scores.base, predictor(generator(z)))
    torch.testing.assert_close(scores.plus[1, 0], predictor(generator(z + offsets[1])))
    torch.testing.assert_close(scores.minus[0, 0], predictor(generator(z - offsets[0])))


def test_strengths_shrink_steps_in_w_on_truncated_layers():
    assert strengths("w", 4, 0.7, 2).tolist() == [0.7, 0.7, 1, 1]
    assert strengths("w", 4, 0.5, None).tolist() == [0.5] * 4
    assert strengths("w", 4, 0.5, 0).tolist() == [1] * 4
    assert strengths("layers", 4, 0.5, 2).tolist() == [1] * 4


def test_a_step_in_w_moves_codes_as_a_moved_w_would(generator):
    w = generator.mapping(torch.randn(3, generator.latent_dim))
    normal = torch.nn.functional.normalize(torch.randn(CODE_DIM), dim=0)
    moved = generator.layer_codes(w, 0.6, 3) + offset(
        normal, range(NUM_LAYERS), 2.0, strengths("w", NUM_LAYERS, 0.6, 3), w
    )
    torch.testing.assert_close(moved, generator.layer_codes(w + 2.0 * normal, 0.6, 3))


def test_offsets_leave_other_layers_alone():
    normal = np.random.default_rng(0).normal(size=(4, 3))
    moves = offset(normal, (1, 3), -2.0, strengths("layers", 4), torch.zeros(1, dtype=torch.float64))
    expected = np.zeros((4, 3))
    expected[[1, 3]] = -2.0 * normal[[1, 3]]
    np.testing.assert_allclose(moves.numpy(), expected)


def test_a_predictor_of_another_width_is_named(predictor):
    predictor.forward = lambda images: torch.zeros(len(images), 3)
    with pytest.raises(ValueError, match=r"scores of shape \(2, 3\) for 2 images, expected \[2, 5\]"):
        score(predictor, torch.zeros(2, 3, 16, 16))


def test_codes_come_from_numpy_and_torch_and_are_checked(generator):
    codes = np.zeros((2, NUM_LAYERS, CODE_DIM))
    assert as_codes(codes, generator).dtype == torch.float32
    assert as_codes(torch.from_numpy(codes), generator).shape == codes.shape
    with pytest.raises(ValueError, match=r"codes: got shape \(2, 32\), expected \[N, 5, 32\]"):
        as_codes(codes[:, 0], generator)
    codes[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="sample 1 has a code that is not finite"):
        as_codes(codes, generator)
