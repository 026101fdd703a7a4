"""The layers of genforce and higan as functions in the place of their ``forward``."""

import copy

import pytest
import torch

from higan_fast import compat
from tests.compat.stand_ins import genforce as theirs
from tests.compat.stand_ins import shaken

ours = compat.genforce
CODES = torch.randn(2, 6, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def replaced(monkeypatch):
    """Puts ours into the classes."""

    def replace():
        monkeypatch.setattr(theirs.ModulateConvBlock, "forward", ours.modulate_conv_block)
        monkeypatch.setattr(theirs.HiganConvBlock, "forward", ours.higan_modulate_conv_block)
        monkeypatch.setattr(theirs.UpsamplingLayer, "forward", ours.upsampling_layer)

    return replace


@torch.no_grad()
def test_the_same_images_and_styles(replaced):
    network, other = shaken(theirs.SynthesisModule()), shaken(theirs.HiganSynthesis())

    def drawn(network, codes, **options):
        torch.manual_seed(0)
        return network(codes, **options)

    expected = [drawn(network, CODES, randomize_noise=noise) for noise in (False, True)]
    expected_higan, before = drawn(other, CODES[:, 0]), sum(line.calls for line in compat.report())
    replaced()
    found = [drawn(network, CODES, randomize_noise=noise) for noise in (False, True)]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(drawn(other, CODES[:, 0]), expected_higan, atol=1e-5, rtol=1e-5)
    assert sum(line.calls for line in compat.report()) - before == 2 * (8 + 2) + 2  # one for each layer
    copied = copy.deepcopy(network)
    copied.layer0.weight.mul_(-1)  # a copy has weights of its own
    assert not torch.allclose(drawn(copied, CODES)["image"], expected[0]["image"])
    torch.testing.assert_close(drawn(network, CODES), expected[0], atol=1e-5, rtol=1e-5)


def test_gradients(replaced):
    network = shaken(theirs.SynthesisModule()).double().requires_grad_()

    def gradients():
        image = network(CODES.double())["image"]
        return torch.autograd.grad(image.square().mean(), [network.layer1.weight, network.output2.bias])

    expected = gradients()
    replaced()
    torch.testing.assert_close(gradients(), expected, atol=1e-9, rtol=1e-9)


def test_refusals():
    block = theirs.ModulateConvBlock(4, 4, 8, 12)
    x, w = torch.ones(2, 4, 8, 8), CODES[:, 0]
    with pytest.raises(ValueError, match="layer: got a HiganConvBlock, expected a ModulateConvBlock as"):
        ours.modulate_conv_block(theirs.HiganConvBlock(4, 4, 8, 12), x, w)
    with pytest.raises(ValueError, match="layer: got a str, expected a UpsamplingLayer"):
        ours.upsampling_layer("layer", x)
    with pytest.raises(ValueError, match="Block: ours do not take arguments that the original refuses; "):
        ours.modulate_conv_block(block, x[:, :3], w)
    block.noise_type = "channel"
    with pytest.raises(ValueError, match="do not take noise that differs between channels; leave this layer"):
        ours.modulate_conv_block(block, x, w)
