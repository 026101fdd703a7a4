"""The style space: what is drawn from styles is what is drawn from codes, and a channel moves as its bias."""

import copy

import numpy as np
import pytest
import torch

from higan_fast.fingerprint import fingerprint
from higan_fast.generators.pggan import PGGAN
from higan_fast.generators.style_space import StyleSpace
from tests.generators.draw_checks import check_draws
from tests.generators.test_stylegan import CONFIG as CONFIG_1
from tests.generators.test_stylegan import StyleGAN
from tests.generators.test_stylegan2 import CONFIG, KINDS, random_generator, replace
from tests.generators.test_stylegan3 import CONFIG as CONFIG_3
from tests.generators.test_stylegan3 import StyleGAN3, random_stylegan3


def random_stylegan():
    torch.manual_seed(0)
    generator = StyleGAN(CONFIG_1).double().eval().requires_grad_(False)
    for name, parameter in generator.named_parameters():
        if name.endswith(("bias", "noise_strength")):
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return generator


def codes_for(generator, num):
    torch.manual_seed(1)
    z = torch.randn(num, generator.latent_dim).double()
    label = torch.arange(num) % generator.label_dim if generator.label_dim else None
    return generator.map(z, label, truncation_psi=0.7, truncation_layers=2)


@pytest.fixture(scope="module", params=[*KINDS, "stylegan", "stylegan3"])
def network(request):
    if request.param == "stylegan3":
        return random_stylegan3(CONFIG_3)
    if request.param == "stylegan":
        return random_stylegan()
    return random_generator(replace(CONFIG, **KINDS[request.param]))


@pytest.fixture(scope="module")
def space(network):
    return StyleSpace.of(network, codes_for(network, 40).numpy())


def test_what_is_drawn_is_what_the_network_draws(network, space):
    codes = codes_for(network, 3)
    styles = space.codes_of(codes)
    torch.testing.assert_close(space.draw(styles), network.draw(codes), rtol=0, atol=1e-10)
    torch.testing.assert_close(space.synthesize(styles), network.draw(codes), rtol=0, atol=1e-10)
    z = torch.randn(3, network.latent_dim).double()
    label = torch.arange(3) if network.label_dim else None
    torch.testing.assert_close(
        space.map(z, label, 0.5, 3), space.codes_of(network.map(z, label, 0.5, 3)), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("dtype, share", [(None, 1e-9), (torch.float16, 2e-2), (torch.bfloat16, 1e-1)])
def test_what_is_drawn_from_a_layer_on_is_a_walk(space, dtype, share):
    check_draws(space if dtype is None else copy.deepcopy(space).float(), dtype, share)


def test_codes_are_in_standard_deviations(network, space):
    styles = space.codes_of(codes_for(network, 40)).numpy()
    for reader, own in zip(space.readers, styles.swapaxes(0, 1), strict=True):
        np.testing.assert_allclose(own[:, : reader.channels].mean(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(own[:, : reader.channels].std(axis=0), 1, rtol=1e-9)
        assert not own[:, reader.channels :].any()


def test_a_step_is_what_the_bias_of_the_affine_adds(network, space):
    """Every reader's, by hand: 1.5 standard deviations of the channel, over the bias's own gain."""
    codes = codes_for(network, 2)
    before, affines = 0, affines_of(network)
    for reader in space.readers:
        channel = reader.channels // 2
        moved = space.codes_of(codes)
        moved[:, reader.layer.index, channel] += 1.5
        by_hand = copy.deepcopy(network)
        affine, gain = affines_of(by_hand)[reader.layer.index], affines[reader.layer.index][1]
        distance = 1.5 * space.deviation[before + channel]
        affine[0].bias[channel] += distance / gain
        torch.testing.assert_close(space.draw(moved), by_hand.draw(codes), rtol=0, atol=1e-9)
        assert not torch.equal(space.draw(moved), network.draw(codes))
        before += reader.channels


def affines_of(network):
    """The affine of each reader, and by what its bias is multiplied before it is a style."""
    synthesis = network.synthesis
    if isinstance(network, StyleGAN):
        return [(layer.affine, 1.0) for layer in synthesis.layers]
    if isinstance(network, StyleGAN3):
        return [(one.affine, getattr(one, "weight_gain", 1.0)) for one in synthesis.readers]
    layers = [(synthesis.convs if p.is_conv else synthesis.rgbs)[p.number] for p in synthesis.places()]
    return [(one.affine, one.affine.bias_gain * getattr(one, "weight_gain", 1.0)) for one in layers]


def test_readers_are_in_the_order_of_the_paper():
    """RGB layers stand at 1, 4, 7, … as in published lists of channels."""
    generator = random_generator(CONFIG)
    names = [reader.layer.name for reader in generator.style_readers]
    assert names == [
        *("b4.conv1", "b4.torgb", "b8.conv0", "b8.conv1", "b8.torgb"),
        *("b16.conv0", "b16.conv1", "b16.torgb"),
    ]  # fmt: skip
    assert [reader.channels for reader in generator.style_readers] == [12, 12, 12, 10, 10, 10, 8, 8]
    assert [reader.layer.resolution for reader in generator.style_readers] == [4, 4, 8, 8, 8, 16, 16, 16]


def test_a_channel_that_never_varies_stays():
    generator = random_generator(CONFIG)
    generator.synthesis.convs[0].affine.weight[3] = 0
    space = StyleSpace.of(generator, codes_for(generator, 40).numpy())
    codes = codes_for(generator, 2)
    styles = space.codes_of(codes)
    assert space.deviation[3] == 0 and not styles[:, 0, 3].any()
    torch.testing.assert_close(space.draw(styles), generator.draw(codes), rtol=0, atol=1e-10)
    styles[:, 0, 3] = 5.0
    torch.testing.assert_close(space.draw(styles), generator.draw(codes), rtol=0, atol=1e-10)


def test_the_spread_is_part_of_the_fingerprint_and_modes_are_shared(space):
    other = StyleSpace(space.network, space.mean, 2 * space.deviation)
    assert fingerprint(space).complete and fingerprint(space) != fingerprint(other)
    space.activation_dtype = torch.bfloat16
    assert space.network.activation_dtype == torch.bfloat16
    space.activation_dtype = None


def test_what_has_no_styles_is_refused(network):
    with pytest.raises(ValueError, match=r"stylespace \(--stylespace\): needs a generator whose layers have"):
        StyleSpace.of(PGGAN(), np.zeros((4, 1, 512), np.float32))
    with pytest.raises(ValueError, match="got 1, expected at least 2"):
        StyleSpace.of(network, codes_for(network, 1).numpy())
    with pytest.raises(TypeError, match="expected a Generator"):
        StyleSpace.of(torch.nn.Identity(), codes_for(network, 2).numpy())
