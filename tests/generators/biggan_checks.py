"""What holds for both BigGANs, and how their tests make them."""

import copy

import torch

from tests.generators.plain_biggan import randomize


def make(family, config):
    """A generator of float64 with random weights, always the same."""
    torch.manual_seed(0)
    return randomize(family(config).double())


def codes_for(generator, num, truncation_psi=1.0):
    random = torch.Generator().manual_seed(1)
    z = torch.randn(num, generator.latent_dim, dtype=torch.float64, generator=random)
    return generator.map(z, torch.arange(num) % 4, truncation_psi)


def check_draws(generator, truncation_psi=1.0):
    """What is drawn from a layer on, for codes that moved there, is a forward with them."""
    codes, samples = codes_for(generator, 2, truncation_psi), torch.tensor([1, 0, 1])
    moves = torch.randn(3, *codes.shape[1:]).double()
    activation = generator.start(2)
    for index in range(generator.num_layers):
        moves[:, :index] = 0
        moved = codes[samples] + moves
        found = generator.draw(moved, index, activation.each(lambda tensor: tensor[samples]))
        torch.testing.assert_close(found, generator.synthesize(moved), atol=1e-12, rtol=1e-12)
        activation = generator.layer(index, activation, codes[:, index])


def check_16_bits(generator, dtype, share):
    """With features of 16 bits the images, which are at most 1, stay as near as ``share``."""
    network, codes = copy.deepcopy(generator).float(), codes_for(generator, 3)
    exact = generator.synthesize(codes)
    network.activation_dtype = dtype
    found = network.synthesize(codes.float())
    assert found.dtype is torch.float32
    assert network.layer(0, network.start(3), codes[:, 0].float()).features.dtype is dtype
    assert (found - exact).abs().max() < share


def check_gradients(generator):
    """They reach every code and all weights that make an image of codes; gives the codes, with theirs."""
    network, codes = copy.deepcopy(generator).requires_grad_(), codes_for(generator, 2).requires_grad_()
    network.synthesize(codes).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for name, p in network.named_parameters() if name != "embedding.weight")
    assert all(codes.grad[:, index].abs().sum() > 0 for index in range(generator.num_layers))
    return codes
