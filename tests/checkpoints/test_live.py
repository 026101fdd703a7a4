"""Live networks of public code, here their stand-ins, as generators of ours."""

from dataclasses import replace

import pytest
import torch

import higan_fast as hf
from higan_fast.checkpoints import from_model
from tests.checkpoints.stylegan3_writer import stylegan3_tree
from tests.compat.stand_ins import ada, genforce, rosinality, shaken
from tests.generators.test_stylegan3 import CONFIG, random_stylegan3


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@torch.no_grad()
def images(generator, network, draw):
    z = torch.randn(2, generator.latent_dim, generator=torch.Generator().manual_seed(0))
    return generator(z), draw(network, z)


def assert_same(generator, network, draw):
    found, expected = images(generator, network, draw)
    torch.testing.assert_close(found, expected, atol=1e-5 * expected.abs().max().item(), rtol=0)


def draw_ada(network, z):
    return network(z, noise_mode="const")


def test_weights_are_shared_with_stylegan2_ada():
    network = shaken(ada.Generator(clamp=2.0))
    generator = hf.generators.from_model(torch.nn.DataParallel(network))
    assert generator.family == "stylegan2"
    assert generator.num_layers == network.num_ws == 6
    assert_same(generator, network, draw_ada)
    shared = network.synthesis.b8.conv0.weight
    assert generator.synthesis.convs[1].weight.data_ptr() == shared.data_ptr()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1)  # as an optimiser does
    assert_same(generator, network, draw_ada)
    with hf.patch(network):
        assert_same(hf.generators.from_model(network), network, draw_ada)
    assert hf.generators.from_model(generator) is generator


class Module(torch.nn.Module):
    """A live module of a tree, as ``stylegan3_tree`` gives it."""

    def __init__(self, tree):
        super().__init__()
        _, attributes, tensors, modules = tree
        for name, value in attributes.items():
            setattr(self, name, value)
        for name, tensor in tensors.items():
            if name.endswith(("weight", "bias")):
                self.register_parameter(name, torch.nn.Parameter(tensor.clone(), False))
            else:
                self.register_buffer(name, tensor.clone())
        for name, module in modules.items():
            self.add_module(name, Module(module))


@torch.no_grad()
def test_weights_are_shared_with_stylegan3():
    expected = random_stylegan3(replace(CONFIG, image_channels=4), torch.float32)
    network = Module(stylegan3_tree(expected))
    network.num_ws, network.img_resolution = expected.num_layers, CONFIG.resolution
    generator = from_model(network)
    assert generator.family == "stylegan3"
    z, label = torch.randn(2, CONFIG.latent_dim), torch.tensor([0, 2])
    assert torch.equal(generator(z, label), expected(z, label))
    first = network.synthesis.L1_22_8
    for tensor, own in (
        (first.weight, expected.synthesis.convs[1].weight),
        (first.magnitude_ema, expected.synthesis.convs[1].magnitude_ema),
        (network.synthesis.input.transform, expected.synthesis.input.transform),
    ):
        tensor.mul_(1.5)  # as training, or its user, does
        own.mul_(1.5)
        assert torch.equal(generator(z, label), expected(z, label))
    network.mapping.embed_proj = torch.nn.Identity()  # as StyleGAN-XL has it
    with pytest.raises(ValueError, match="map: could not be called"):
        from_model(network)


def test_rosinalitys_is_copied_as_a_whole():
    network = shaken(rosinality.Generator())

    def draw(network, z):
        return network([z], randomize_noise=False)[0]

    generator = from_model(network)
    assert_same(generator, network, draw)
    before, _ = images(generator, network, draw)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5)
    assert torch.equal(images(generator, network, draw)[0], before)
    assert_same(from_model(network), network, draw)


def test_refusals():
    with pytest.raises(TypeError, match=r"model: got the path 'network\.pkl', expected a network"):
        from_model("network.pkl")
    with pytest.raises(ValueError, match="model: got a HiganSynthesis, which is no generator that is known"):
        from_model(genforce.HiganSynthesis())
    network = shaken(ada.Generator(activation="swish"))
    with pytest.raises(
        ValueError, match=r"<live model>: synthesis\.b4\.conv1\.activation is 'swish', expected lrelu"
    ):
        from_model(network)
    network = shaken(ada.Generator())
    network.synthesis.b4.const[0] = torch.inf
    with pytest.raises(
        ValueError, match=r"<live model>: synthesis\.b4\.const has values that are not finite"
    ):
        from_model(network)
