import copy
import json
from dataclasses import asdict, replace

import pytest
import torch

from higan_fast.generators.biggan_deep import BigGANDeep, BigGANDeepConfig
from tests.generators.biggan_checks import check_16_bits, check_forks, check_gradients, codes_for, make
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


def plain_forward(generator, codes, at):
    x = first_features(generator, codes[:, 0])
    for index in range(len(CONFIG.channels)):
        if index:
            block, y = generator.blocks[index - 1], x
            for norm, conv in zip(block.norms, block.convs, strict=True):
                y = convolved(conv, normed(norm, y, codes[:, index], at))
            x = x[:, : CONFIG.channels[index]]
            x = y + (doubled(x) if CONFIG.up[index - 1] else x)
        if index in CONFIG.attention:
            x = attended(generator.attention[str(index)], x)
    return image(generator.last, x, at)


def weights(**shares):
    """Of the eleven statistics."""
    at = torch.zeros(11).double()
    for index, share in shares.items():
        at[int(index[1:])] = share
    return at


@pytest.mark.parametrize(
    "psi, at",
    [
        (None, weights(_10=1)),
        (1.0, weights(_10=1)),
        (0.0, weights(_0=1)),
        (0.5, weights(_5=1)),
        # The nearer gets less, as in the code with which the published weights run.
        (0.42, weights(_4=0.2, _5=0.8)),
    ],
)
def test_equals_a_plain_forward_at_every_truncation(generator, psi, at):
    network, codes = copy.deepcopy(generator), codes_for(generator, 3)
    if psi is not None:
        network.use_truncation(0.9)
        network.use_truncation(psi)
    expected = plain_forward(generator, codes, at)
    assert expected.std() > 0.1
    torch.testing.assert_close(network.synthesize(codes), expected, atol=1e-10, rtol=1e-10)


def test_statistics_that_hold_for_all_truncations():
    generator = make(BigGANDeep, replace(CONFIG, num_statistics=1))
    codes = codes_for(generator, 2)
    expected = generator.synthesize(codes)
    generator.use_truncation(1.7)
    assert torch.equal(generator.synthesize(codes), expected)


def test_a_truncation_without_statistics_is_named(generator):
    for psi in (1.01, -0.1):
        with pytest.raises(ValueError, match=rf"truncation_psi \(--trunc\): got {psi}, expected 0 to 1"):
            generator.use_truncation(psi)


def test_codes_are_the_latent_and_the_class(generator):
    z, label = torch.randn(2, 6).double(), torch.tensor([3, 1])
    w = generator.mapping(z, label)
    torch.testing.assert_close(w, torch.cat([z, generator.embedding.weight.T[label]], 1))
    assert torch.equal(generator.map(z, label), w[:, None].expand(2, 5, 11))
    truncated = generator.map(z, label, 0.5, 3)
    assert torch.equal(truncated[:, :3, :6], 0.5 * z[:, None].expand(2, 3, 6))
    assert torch.equal(truncated[:, 3:, :6], z[:, None].expand(2, 2, 6))
    assert torch.equal(truncated[:, :, 6:], w[:, None, 6:].expand(2, 5, 5))
    assert generator.shares_code


def test_layers_are_described(generator):
    assert [(layer.index, layer.name, layer.resolution) for layer in generator.layers] == [
        (0, "linear", 4),
        (1, "b4.block0", 4),
        (2, "b8.block0", 8),
        (3, "b8.block1", 8),
        (4, "b16.block0", 16),
    ]
    assert (generator.resolution, generator.code_dim, generator.latent_dim) == (16, 11, 6)


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


def test_a_fork_is_a_forward_for_every_perturbation(generator):
    network = copy.deepcopy(generator)
    network.use_truncation(0.42)
    check_forks(network)


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
