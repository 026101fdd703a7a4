import copy
import json
from dataclasses import asdict

import pytest
import torch
import torch.nn.functional as F

from higan_fast.generators.pggan import PGGAN, PGGANConfig
from higan_fast.generators.progressive_layers import upsampling_kernel

CONFIG = PGGANConfig({4: 12, 8: 10, 16: 7}, latent_dim=15)


def random_pggan(config):
    """A generator in which nothing is zero, so that nothing can be forgotten unseen."""
    torch.manual_seed(0)
    generator = PGGAN(config).double().eval().requires_grad_(False)
    for name, parameter in generator.named_parameters():
        if name.endswith("bias"):
            parameter.copy_(0.3 * torch.randn_like(parameter))
    return generator


@pytest.fixture(scope="module")
def generator():
    return random_pggan(CONFIG)


def normalised(x):
    return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


def plain_forward(generator, code, weights):
    """The network as the paper draws it, from the 3×3 weights of all convolutions."""
    x = normalised(code) @ generator.dense.weight.T + generator.dense.bias
    x = normalised(F.leaky_relu(x, 0.2).reshape(len(code), -1, 4, 4))
    for index, (block, weight) in enumerate(zip(generator.blocks, weights, strict=True)):
        if index % 2 == 1:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = normalised(F.leaky_relu(F.conv2d(x, weight, block.bias, padding=1), 0.2))
    return F.conv2d(x, generator.rgb.weight, generator.rgb.bias)


def test_equals_a_plain_forward(generator):
    network = copy.deepcopy(generator)
    weights = []
    for block in network.blocks:
        weights.append(block.conv.weight)
        if block.conv.up:
            weights[-1] = torch.randn(block.bias.shape[0], block.conv.weight.shape[0], 3, 3).double()
            block.conv.weight.copy_(upsampling_kernel(weights[-1]))
    code = torch.randn(3, 15).double()
    expected = plain_forward(network, code, weights)
    torch.testing.assert_close(network.synthesize(code[:, None]), expected, atol=1e-10, rtol=1e-10)
    squashed = PGGAN(PGGANConfig(CONFIG.channels, CONFIG.latent_dim, tanh=True)).double()
    squashed.load_state_dict(network.state_dict())
    torch.testing.assert_close(squashed.synthesize(code[:, None]).detach(), expected.tanh())


def test_its_one_code_is_the_latent(generator):
    z = torch.randn(4, 15).double()
    assert torch.equal(generator.mapping(z), z)
    assert torch.equal(generator.map(z), z[:, None])
    described = [(layer.name, layer.resolution, layer.group) for layer in generator.layers]
    assert described == [("z", 16, "all")]
    assert (generator.num_layers, generator.code_dim, generator.resolution) == (1, 15, 16)
    with pytest.raises(ValueError, match="label: this generator is unconditional"):
        generator.map(z, torch.zeros(4).long())


def test_truncation_scales_the_latent_and_leaves_the_class():
    generator = random_pggan(PGGANConfig({4: 6, 8: 5}, latent_dim=4, label_dim=3))
    z, label = torch.randn(2, 4).double(), torch.tensor([2, 0])
    codes = generator.map(z, label, truncation_psi=0.5)
    assert torch.equal(codes[:, 0, :4], 0.5 * z)
    assert torch.equal(codes[:, 0, 4:], torch.eye(3).double()[label])
    assert torch.equal(generator.map(z, label, 0.5, 0), generator.map(z, label))
    assert not torch.equal(generator.synthesize(codes), generator.synthesize(generator.map(z, label)))


def test_without_classes_only_the_direction_of_the_latent_counts(generator):
    codes = generator.map(torch.randn(2, 15).double())
    torch.testing.assert_close(
        generator.synthesize(7 * codes), generator.synthesize(codes), atol=1e-6, rtol=1e-6
    )


@pytest.mark.parametrize("dtype, share", [(torch.float16, 1e-2), (torch.bfloat16, 6e-2)])
def test_16_bit_features_stay_near(generator, dtype, share):
    network, codes = copy.deepcopy(generator).float(), torch.randn(3, 1, 15)
    exact = generator.synthesize(codes.double())
    network.activation_dtype = dtype
    found = network.synthesize(codes)
    assert found.dtype is torch.float32
    assert (found - exact).abs().max() < share * exact.abs().max()


def test_slices_change_nothing(generator, monkeypatch):
    codes = torch.randn(5, 1, 15).double()
    whole = generator.synthesize(codes)
    monkeypatch.setattr("higan_fast.generators.base.CACHE_BYTES", 2 * 7 * 16**2 * 8)
    assert generator.samples_at_once(0) == 2
    torch.testing.assert_close(generator.synthesize(codes), whole, atol=1e-12, rtol=1e-12)


def test_gradients_reach_the_code_and_the_weights(generator):
    network, codes = copy.deepcopy(generator).float().requires_grad_(), torch.randn(2, 1, 15)
    network.synthesize(codes.requires_grad_()).square().sum().backward()
    assert all(tensor.grad.abs().sum() > 0 for tensor in (codes, *network.parameters()))


def test_its_configuration_goes_through_json():
    assert PGGANConfig.from_json(json.loads(json.dumps(asdict(CONFIG)))) == CONFIG
