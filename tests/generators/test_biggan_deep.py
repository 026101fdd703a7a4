import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from higan_fast.generators.biggan_deep import BigGANDeep, BigGANDeepConfig
from higan_fast.generators.biggan_layers import Statistics, position_of
from tests.generators.biggan_checks import check_16_bits, check_draws, check_gradients, codes_for, make
from tests.generators.plain_biggan import (
    attended,
    convolved,
    doubled,
    first_features,
    image,
    normed,
)

CONFIG = BigGANDeepConfig(
    channels=(64, 64, 32, 32, 16),
    up=(False, True, False, True),
    latent_dim=6,
    label_dim=4,
    embed_dim=5,
    attention=(0, 2),
    num_statistics=11,
    epsilon=1e-3,
    last_epsilon=1e-2,
)


@pytest.fixture(scope="module")
def generator():
    return make(BigGANDeep, CONFIG)


def plain_forward(generator, codes, *ats):
    """Images of codes, with the statistics at the same place in all layers, or at one in each."""
    ats = ats * (5 // len(ats))
    x = first_features(generator, codes[:, 0])
    for index in range(len(CONFIG.channels)):
        if index:
            block, y = generator.blocks[index - 1], x
            for norm, conv in zip(block.norms, block.convs, strict=True):
                y = convolved(conv, normed(norm, y, codes[:, index], ats[index]))
            x = x[:, : CONFIG.channels[index]]
            x = y + (doubled(x) if CONFIG.up[index - 1] else x)
        if index in CONFIG.attention:
            x = attended(generator.attention[str(index)], x)
    return image(generator.last, x, ats[-1])


def weights(**shares):
    """Of the eleven statistics."""
    at = torch.zeros(11).double()
    for index, share in shares.items():
        at[int(index[1:])] = share
    return at


@pytest.mark.parametrize(
    "psi, at",
    [
        (1.0, weights(_10=1)),
        (0.0, weights(_0=1)),
        (0.5, weights(_5=1)),
        # The nearer gets less, as in the code with which the published weights run.
        (0.42, weights(_4=0.2, _5=0.8)),
    ],
)
def test_equals_a_plain_forward_at_every_truncation(generator, psi, at):
    codes = codes_for(generator, 3, psi)
    expected = plain_forward(generator, codes, at)
    assert expected.std() > 0.1
    torch.testing.assert_close(generator.synthesize(codes), expected, atol=1e-10, rtol=1e-10)


def test_two_truncations_in_turn_and_in_one_batch(generator):
    """Codes of both are made before the first image."""
    high, low = codes_for(generator, 2, 0.8), codes_for(generator, 2, 0.42)
    at_high, at_low = weights(_8=1), weights(_4=0.2, _5=0.8)
    expected = torch.cat([plain_forward(generator, high, at_high), plain_forward(generator, low, at_low)])
    wrong = plain_forward(generator, low, at_high)
    assert (expected[2:] - wrong).abs().max() > 0.1, "the statistics would make no difference"
    for codes, own in ((high, slice(0, 2)), (low, slice(2, 4)), (torch.cat([high, low]), slice(0, 4))):
        torch.testing.assert_close(generator.synthesize(codes), expected[own], atol=1e-10, rtol=1e-10)
        activation = generator.start(len(codes))
        for index in range(5):
            activation = generator.layer(index, activation, codes[:, index])
        torch.testing.assert_close(generator.image(activation), expected[own], atol=1e-10, rtol=1e-10)


def test_layers_above_the_truncated_ones_have_the_statistics_of_truncation_1(generator):
    z, label = torch.randn(2, 6).double(), torch.tensor([3, 1])
    codes = generator.map(z, label, 0.5, 2)
    at = [weights(_5=1)] * 2 + [weights(_10=1)] * 3
    torch.testing.assert_close(
        generator.synthesize(codes), plain_forward(generator, codes, *at), atol=1e-10, rtol=1e-10
    )
    assert torch.equal(generator.map(z, label, 0.5, 0), generator.map(z, label))


@pytest.mark.parametrize("num", [2, 11, 50, 51, 94])
def test_the_statistics_are_those_of_the_published_code(num):
    """Also 50 and 94, for which rounding puts the truncation 1 above the last row and below it."""
    statistics = Statistics(3, num).double()
    torch.nn.init.normal_(statistics.mean)
    for psi in (*np.linspace(0, 1, 2 * num - 1), *np.random.default_rng(0).random(20)):
        share, row = math.modf(psi / (1.0 / (num - 1)))
        expected = statistics.mean[int(row)]
        if share:
            expected = expected * share + statistics.mean[min(int(row) + 1, num - 1)] * (1 - share)
        code = torch.tensor([[9, position_of(psi, num)]], dtype=torch.float64)
        torch.testing.assert_close(statistics(code)[0][0], expected, atol=1e-11, rtol=0)


def test_rows_are_exact_in_float32():
    statistics = Statistics(3, 51)
    torch.nn.init.normal_(statistics.mean)
    for psi, row in ((0.7, 35), (0.58, 28), (0.14, 8), (1.0, 50), (0.0, 0)):
        code = torch.tensor([[position_of(psi, 51)]])
        assert torch.equal(statistics(code)[0][0], statistics.mean[row])


def test_positions_outside_the_tables_are_clamped(generator):
    codes = codes_for(generator, 2)
    for beyond, last in ((-3.5, 0), (10.2, 10), (1e30, 10), (-math.inf, 0)):
        one, two = codes.clone(), codes.clone()
        one[..., -1], two[..., -1] = beyond, last
        assert torch.equal(generator.synthesize(one), generator.synthesize(two))
    codes[0, 2, -1] = math.nan
    images = generator.synthesize(codes)
    assert images[0].isnan().any() and images[1].isfinite().all()


def test_a_step_in_w_leaves_the_statistics(generator):
    moves = torch.randn(3, generator.w_dim)
    found = generator.layer_moves(moves, 0.42, 2)
    assert (found[..., -1] == 0).all()
    torch.testing.assert_close(found[:, :2, :6], 0.42 * moves[:, None, :6].double().expand(3, 2, 6))


def test_statistics_that_hold_for_all_truncations():
    generator = make(BigGANDeep, replace(CONFIG, num_statistics=1))
    codes = codes_for(generator, 2, 1.7)
    assert codes.shape == (2, 5, 11) and generator.w_dim == generator.code_dim == 11
    expected = plain_forward(generator, codes, torch.ones(1).double())
    torch.testing.assert_close(generator.synthesize(codes), expected, atol=1e-10, rtol=1e-10)


def test_a_truncation_without_statistics_is_named(generator):
    for psi in (1.01, -0.1):
        message = rf"truncation_psi \(--trunc\): got {psi}, expected 0 to 1, the range of this generator's"
        for refused in (generator.check_truncation, lambda psi: codes_for(generator, 1, psi)):
            with pytest.raises(ValueError, match=message):
                refused(psi)
    with pytest.raises(ValueError, match=r"truncation_layers \(--trunc-layers\): got 6, expected 0 to 5"):
        generator.map(torch.zeros(1, 6).double(), torch.tensor([0]), 0.5, 6)


def test_codes_are_the_latent_and_the_class(generator):
    z, label = torch.randn(2, 6).double(), torch.tensor([3, 1])
    w = generator.mapping(z, label)
    torch.testing.assert_close(w, torch.cat([z, generator.embedding.weight.T[label]], 1))
    assert torch.equal(generator.map(z, label)[..., :-1], w[:, None].expand(2, 5, 11))
    truncated = generator.map(z, label, 0.5, 3)
    assert torch.equal(truncated[:, :3, :6], 0.5 * z[:, None].expand(2, 3, 6))
    assert torch.equal(truncated[:, 3:, :6], z[:, None].expand(2, 2, 6))
    assert torch.equal(truncated[:, :, 6:-1], w[:, None, 6:].expand(2, 5, 5))
    assert generator.shares_code


def test_layers_are_described(generator):
    assert [(layer.index, layer.name, layer.resolution) for layer in generator.layers] == [
        (0, "linear", 4),
        (1, "b4.block0", 4),
        (2, "b8.block0", 8),
        (3, "b8.block1", 8),
        (4, "b16.block0", 16),
    ]
    assert (generator.resolution, generator.code_dim, generator.w_dim) == (16, 12, 11)


def test_a_layers_code_changes_nothing_below_it(generator):
    codes = codes_for(generator, 2)
    for changed in range(5):
        other = codes.clone()
        other[:, changed] += 1
        one, two = generator.start(2), generator.start(2)
        for index in range(5):
            one = generator.layer(index, one, codes[:, index])
            two = generator.layer(index, two, other[:, index])
            assert torch.equal(one.features, two.features) == (index < changed)


def test_what_is_drawn_from_a_layer_on_is_a_forward(generator):
    check_draws(generator, 0.42)


@pytest.mark.parametrize("dtype, share", [(torch.float16, 1e-2), (torch.bfloat16, 8e-2)])
def test_16_bit_features_stay_near(generator, dtype, share):
    """Four blocks with some thirty roundings of 2^-11 or 2^-8 that mostly cancel; images are at most 1."""
    check_16_bits(generator, dtype, share)


def test_gradients_reach_codes_and_weights(generator):
    check_gradients(generator)


def test_an_architecture_survives_json():
    assert BigGANDeepConfig.from_json(json.loads(json.dumps(asdict(CONFIG)))) == CONFIG


def test_bad_architectures_are_named():
    with pytest.raises(ValueError, match="up: got 2 entries, expected 4, one for each block"):
        replace(CONFIG, up=(True, False))
    with pytest.raises(ValueError, match="channels: block 1 has 64 inputs and 96 outputs; expected"):
        replace(CONFIG, channels=(64, 64, 96, 32, 16))
    with pytest.raises(ValueError, match="channels: block 3 has 3 inputs and 3 outputs; expected at least 4"):
        replace(CONFIG, channels=(64, 64, 32, 3, 3))
    with pytest.raises(ValueError, match="latent_dim: got -1, expected at least 1"):
        replace(CONFIG, latent_dim=-1)
