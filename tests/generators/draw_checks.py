"""What style-based generators draw from a layer on, in their own order, beside layer after layer."""

import copy

import torch

from higan_fast.generators.base import Generator


def check_draws(generator, dtype, share):
    """With features of ``dtype``, from each layer on, for other codes than those of the samples below it.

    The images are of 16².
    """
    network, exact = copy.deepcopy(generator), copy.deepcopy(generator)
    parameters = next(network.parameters())
    shape, samples = (generator.num_layers, generator.code_dim), torch.tensor([1, 0, 1, 1, 0])
    codes = torch.randn(2, *shape).to(parameters)
    network.activation_dtype = dtype
    for index in range(shape[0]):
        moved = codes[samples]
        moved[:, index:] += torch.randn(5, shape[0] - index, shape[1]).to(parameters)
        states = []
        for one in (network, exact):
            activation = one.start(2)
            for layer in range(index):
                activation = one.layer(layer, activation, codes[:, layer])
            states.append(activation.each(lambda tensor: tensor[samples]))
        found, expected = (
            network.draw(moved, index, states[0]),
            Generator.draw(exact, moved, index, states[1]),
        )
        assert found.shape == expected.shape == (5, 3, 16, 16)
        assert found.dtype is expected.dtype
        assert (found - expected).abs().max() < share * expected.abs().max()
        whole = Generator.draw(exact, moved)
        torch.testing.assert_close(expected, whole, rtol=0, atol=1e-5 * float(whole.abs().max()))
