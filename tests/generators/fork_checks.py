"""Forks of style-based generators, which share work, beside the generic one."""

import copy

import torch

from higan_fast.generators.base import Generator


def check_forks(generator, dtype, share):
    """With features of ``dtype``, at each layer; the generic fork copies the activation and moves the codes.

    The generator has 6 layers with codes of length 20, and images of 16².
    """
    network, exact = copy.deepcopy(generator), copy.deepcopy(generator)
    parameters = next(network.parameters())
    codes, moves = torch.randn(2, 6, 20).to(parameters), torch.randn(3, 6, 20).to(parameters)
    steps = torch.tensor([2.0, -2.0, 0.0]).to(parameters)
    network.activation_dtype = dtype
    for index in range(6):
        moves[:, :index] = 0
        states = []
        for one in (network, exact):
            activation = one.start(2)
            for layer in range(index):
                activation = one.layer(layer, activation, codes[:, layer])
            states.append(activation)
        found = network.fork(index, states[0], codes, moves, steps)
        expected = Generator.fork(exact, index, states[1], codes, moves, steps)
        assert found.shape == expected.shape == (2 * 3 * 3, 3, 16, 16)
        assert found.dtype is expected.dtype
        assert (found - expected).abs().max() < share * expected.abs().max()
