import copy
import json
from dataclasses import asdict

import pytest
import torch
import torch.nn.functional as F

from higan_fast.generators import stylegan
from higan_fast.generators.progressive_layers import upsampling_kernel
from higan_fast.generators.stylegan import StyleGAN, StyleGANConfig
from tests.generators.draw_checks import check_draws

CONFIG = StyleGANConfig({4: 12, 8: 10, 16: 7}, latent_dim=16, code_dim=20, mapping_depth=3, hidden_dim=18)
NUM_LAYERS = 6


def random_stylegan(config):
    """A generator in which nothing is zero or one, so that nothing can be forgotten unseen."""
    torch.manual_seed(0)
    generator = StyleGAN(config).double().eval().requires_grad_(False)
    for name, tensor in (*generator.named_parameters(), *generator.named_buffers()):
        if name.endswith(("bias", "noise_strength", "w_avg", "const")):
            tensor.add_(0.3 * torch.randn_like(tensor))
    return generator


@pytest.fixture(scope="module")
def generator():
    return random_stylegan(CONFIG)


def plain_forward(generator, codes, weights):
    """The network as the paper draws it, from the 3×3 weights of all convolutions (None for the constant)."""
    x = generator.synthesis.const.expand(len(codes), -1, -1, -1)
    for index, (layer, weight) in enumerate(zip(generator.synthesis.layers, weights, strict=True)):
        if index and index % 2 == 0:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        if weight is not None:
            x = F.conv2d(x, weight, padding=1)
        if index and index % 2 == 0:
            taps = torch.tensor([1.0, 2, 1]).double() / 4
            x = F.conv2d(x, (taps[:, None] * taps).expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])
        x = x + layer.noise_const * layer.noise_strength[:, None, None] + layer.bias[:, None, None]
        x = F.instance_norm(F.leaky_relu(x, 0.2), eps=1e-8)
        style = codes[:, index] @ layer.affine.weight.T + layer.affine.bias
        scale, shift = style[:, :, None, None].chunk(2, 1)
        x = x * (scale + 1) + shift
    rgb = generator.synthesis.rgb
    return torch.einsum("nchw,oc->nohw", x, rgb.weight[:, :, 0, 0]) + rgb.bias[:, None, None]


def test_equals_a_plain_forward(generator):
    network = copy.deepcopy(generator)
    weights = []
    for layer in network.synthesis.layers:
        weights.append(None)
        if layer.conv is not None and layer.conv.up:
            weights[-1] = torch.randn(layer.conv.weight.shape[1], layer.conv.weight.shape[0], 3, 3).double()
            layer.conv.weight.copy_(upsampling_kernel(weights[-1]))
        elif layer.conv is not None:
            weights[-1] = layer.conv.weight
    codes = torch.randn(3, NUM_LAYERS, 20).double()
    expected = plain_forward(network, codes, weights)
    torch.testing.assert_close(network.synthesize(codes), expected, atol=1e-10, rtol=1e-10)


def test_the_mapping_normalises_and_truncation_goes_to_the_average(generator):
    z = torch.randn(4, 16).double()
    w, mapping = generator.mapping(z), generator.mapping_network
    x = z / z.square().mean(1, keepdim=True).sqrt()
    for fc in mapping.fc:
        x = F.leaky_relu(x @ fc.weight.T + fc.bias, 0.2)
    torch.testing.assert_close(w, x, atol=1e-7, rtol=1e-7)  # but for the epsilon
    codes = generator.map(z, truncation_psi=0.5, truncation_layers=2)
    torch.testing.assert_close(codes[:, 1], mapping.w_avg + 0.5 * (w - mapping.w_avg))
    assert torch.equal(codes[:, 2], w)
    torch.testing.assert_close(generator.map(z, truncation_psi=0.0)[3, 5], mapping.w_avg)


def test_classes_are_embedded_beside_the_latent_and_normalised_with_it():
    generator = random_stylegan(
        StyleGANConfig({4: 5}, latent_dim=6, code_dim=7, mapping_depth=1, label_dim=3)
    )
    z, label = torch.randn(2, 6).double(), torch.tensor([2, 0])
    mapping = generator.mapping_network
    x = torch.cat([z, mapping.embed.weight.T[label]], 1)
    x = x / x.square().mean(1, keepdim=True).sqrt()
    expected = F.leaky_relu(x @ mapping.fc[0].weight.T + mapping.fc[0].bias, 0.2)
    torch.testing.assert_close(generator.mapping(z, label), expected, atol=1e-7, rtol=1e-7)
    one_hot = torch.tensor([[0.0, 0, 1], [1, 0, 0]])
    assert torch.equal(generator.map(z, one_hot), generator.map(z, label))
    with pytest.raises(ValueError, match="label: this generator has 3 classes and got none"):
        generator.map(z)


def test_layers_are_described(generator):
    assert [layer.name for layer in generator.layers] == [
        "b4.const", "b4.conv1", "b8.conv0", "b8.conv1", "b16.conv0", "b16.conv1",
    ]  # fmt: skip
    assert [layer.resolution for layer in generator.layers] == [4, 4, 8, 8, 16, 16]
    sizes = (generator.num_layers, generator.resolution, generator.latent_dim, generator.code_dim)
    assert sizes == (NUM_LAYERS, 16, 16, 20)


def test_groups_are_higans_at_its_own_size():
    config = StyleGANConfig({2**power: 4 for power in range(2, 9)}, mapping_depth=1)
    groups = [layer.group for layer in StyleGAN(config).layers]
    assert groups == ["bottom"] * 2 + ["lower"] * 4 + ["upper"] * 6 + ["top"] * 2


def test_a_layers_code_changes_nothing_below_it(generator):
    codes = torch.randn(2, NUM_LAYERS, 20).double()
    for changed in range(NUM_LAYERS):
        other = codes.clone()
        other[:, changed] += 1
        one = two = generator.start(2)
        for index in range(NUM_LAYERS):
            one = generator.layer(index, one, codes[:, index])
            two = generator.layer(index, two, other[:, index])
            assert torch.equal(one.features, two.features) == (index < changed)


@pytest.mark.parametrize("dtype, share", [(None, 1e-9), (torch.float16, 1e-2), (torch.bfloat16, 6e-2)])
def test_what_is_drawn_from_a_layer_on_is_a_walk(generator, dtype, share):
    check_draws(generator if dtype is None else copy.deepcopy(generator).float(), dtype, share)


def test_the_style_keeps_the_layout_of_its_features(generator):
    layer = generator.synthesis.layers[3]
    style = layer.affine(torch.randn(2, 20).double())
    x = torch.randn(2, 10, 8, 8).double().contiguous(memory_format=torch.channels_last)
    normalized = layer.normalized(x)
    assert layer.styled(normalized, style).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(layer.styled(normalized, style), layer(x, style))


def test_perturbations_of_a_sample_share_all_before_the_style(generator, monkeypatch):
    """What enters a layer is convolved and normalised already, so that a draw from there does neither."""
    codes, layers, ran = torch.randn(2, NUM_LAYERS, 20).double(), generator.synthesis.layers, []
    activation = generator.start(2)
    for index in range(3):
        activation = generator.layer(index, activation, codes[:, index])
    plain = type(layers[0])._convolved

    def convolved(layer, x):
        ran.append(list(layers).index(layer))
        return plain(layer, x)

    monkeypatch.setattr(type(layers[0]), "_convolved", convolved)
    found = generator.draw(codes, 3, activation)
    assert ran == [4, 5]
    torch.testing.assert_close(found, generator.synthesize(codes))


def test_slices_change_nothing(generator, monkeypatch):
    codes = torch.randn(5, NUM_LAYERS, 20).double()
    whole = generator.synthesize(codes)
    monkeypatch.setattr("higan_fast.generators.base.CACHE_BYTES", 2 * 7 * 16**2 * 8)
    assert [generator.samples_at_once(index) for index in (0, 2, 3)] == [18, 5, 2]
    torch.testing.assert_close(generator.synthesize(codes), whole, atol=1e-12, rtol=1e-12)
    assert generator.synthesize(codes[:0]).shape == (0, 3, 16, 16)


def test_gradients_reach_the_codes_and_the_weights(generator):
    network = copy.deepcopy(generator).float().requires_grad_()
    codes = torch.randn(2, NUM_LAYERS, 20, requires_grad=True)
    network.synthesize(codes).square().sum().backward()
    assert (codes.grad.abs().sum([0, 2]) > 0).all()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.synthesis.parameters())


def test_its_configuration_goes_through_json():
    assert StyleGANConfig.from_json(json.loads(json.dumps(asdict(CONFIG)))) == CONFIG
    assert stylegan.StyleGAN.family == "stylegan"
