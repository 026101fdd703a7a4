import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from higan_fast.checkpoints import load_generator
from higan_fast.generators import prepared
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.ops import setup_filter, upfirdn2d
from tests.generators.draw_checks import check_draws
from tests.ops.implementations import EMULATED

CONFIG = StyleGAN2Config(channels={4: 12, 8: 10, 16: 8}, latent_dim=16, code_dim=20, mapping_depth=2)


# As it is embedded here, and with all that checkpoints in the wild may have; the clamps cut something.
KINDS = {
    "skip": {},
    "orig, conditional": {"architecture": "orig", "label_dim": 3, "embed_dim": 6, "hidden_dim": 9},
    "resnet, clamped": {"architecture": "resnet", "conv_clamp": 4.0},
    "skip, clamped": {"conv_clamp": 4.0},
}


@pytest.fixture(scope="module", params=KINDS)
def any_generator(request):
    """Of every architecture."""
    return random_generator(replace(CONFIG, **KINDS[request.param]))


@pytest.fixture(scope="module")
def generator():
    return random_generator(CONFIG)


def random_generator(config):
    """Random weights in which nothing is zero, so that nothing can be forgotten unseen."""
    torch.manual_seed(0)
    generator = StyleGAN2(config).double().eval().requires_grad_(False)
    for name, parameter in generator.named_parameters():
        if name.endswith(("bias", "noise_strength")):
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    generator.mapping_network.w_avg.copy_(torch.randn(20))
    return generator


def plain_forward(generator, codes):
    """The network block by block, with weights made for every sample: another road to the same image."""
    synthesis, config, num = generator.synthesis, generator.config, len(codes)
    x, rgb, index, clamp = synthesis.const.expand(num, -1, -1, -1), None, 0, config.conv_clamp or torch.inf
    residual = config.architecture == "resnet"

    def upsampled(x):
        return upfirdn2d(x, setup_filter(), up=2, padding=[2, 1, 2, 1], gain=4)

    def convolved(x, conv, code):
        images = []
        for sample, style in zip(x, conv.affine(code), strict=True):
            weight = conv.weight * style[None, :, None, None]
            weight = weight / (weight.square().sum([1, 2, 3], keepdim=True) + 1e-8).sqrt()
            if conv.up == 2:
                y = F.conv_transpose2d(sample[None], weight.transpose(0, 1), stride=2)
                images.append(upfirdn2d(y, setup_filter(), padding=1, gain=4))
            else:
                images.append(F.conv2d(sample[None], weight, padding=1))
        x = torch.cat(images) + conv.noise_const * conv.noise_strength + conv.bias[:, None, None]
        return (F.leaky_relu(x, 0.2) * 2**0.5).clamp(-clamp, clamp)

    num_blocks = len(config.channels)
    for block in range(num_blocks):
        before = x
        for conv in synthesis.convs[:1] if block == 0 else synthesis.convs[2 * block - 1 : 2 * block + 1]:
            x = convolved(x, conv, codes[:, index])
            index += 1
        if residual and block > 0:
            skip = synthesis.skips[block - 1].weight / before.shape[1] ** 0.5
            x = (x + upsampled(F.conv2d(before, skip))) / 2**0.5
        if config.architecture != "skip" and block < num_blocks - 1:
            continue
        to_rgb = synthesis.rgbs[block if config.architecture == "skip" else 0]
        styles = to_rgb.affine(codes[:, index]) / x.shape[1] ** 0.5  # the next block's first code
        new = torch.einsum("nchw,nc,oc->nohw", x, styles, to_rgb.weight[:, :, 0, 0])
        new = (new + to_rgb.bias[:, None, None]).clamp(-clamp, clamp)
        rgb = new if rgb is None else new + upsampled(rgb)
    return rgb


def test_equals_a_plain_forward(any_generator):
    codes = torch.randn(3, 6, 20).double()
    torch.testing.assert_close(
        any_generator.synthesize(codes), plain_forward(any_generator, codes), atol=1e-10, rtol=1e-10
    )


@pytest.mark.parametrize("dtype, share", [(torch.float32, 1e-5), (torch.float16, 0.01)])
@pytest.mark.parametrize("kind", ["skip, clamped", "orig, conditional", "resnet, clamped"])
def test_the_kernels_of_gpus_draw_the_same(kind, dtype, share):
    """From several layers on, with channels that fill vectors; the share is that of some ten roundings."""
    exact = random_generator(replace(CONFIG, channels={4: 16, 8: 16, 16: 8}, **KINDS[kind]))
    network, codes = copy.deepcopy(exact).float(), torch.randn(2, 6, 20)
    network.activation_dtype = dtype

    def images(generator, dtype):
        found, activation = [], generator.start(2)
        for index in range(6):
            found.append(generator.draw(codes.to(dtype), index, activation))
            activation = generator.layer(index, activation, codes[:, index].to(dtype))
        return torch.stack(found)

    with EMULATED.active():
        found = images(network, torch.float32)
    expected = images(exact, torch.float64)
    assert (found - expected).abs().max() < share * expected.abs().max()


def test_classes_reach_the_codes():
    network = random_generator(replace(CONFIG, **KINDS["orig, conditional"]))
    z = torch.randn(2, 16).double()
    w = network.mapping(z, torch.tensor([0, 2]))
    one_hot = torch.tensor([[1.0, 0, 0], [0, 0, 1.0]])
    assert torch.equal(network.mapping(z, one_hot), w)

    def normalized(x):
        return x / x.square().mean(1, keepdim=True).sqrt()

    mapping = network.mapping_network
    embedded = one_hot.double() @ mapping.embed.weight.T / 3**0.5 + mapping.embed.bias
    x = torch.cat([normalized(z), normalized(embedded)], 1)
    for fc in mapping.fc:
        x = F.leaky_relu(x @ fc.weight.T * 0.01 / fc.weight.shape[1] ** 0.5 + fc.bias * 0.01, 0.2) * 2**0.5
    torch.testing.assert_close(w, x, atol=1e-6, rtol=1e-6)
    for bad, message in (
        (None, "has 3 classes and got none"),
        (torch.tensor([0, 3]), "got classes 0 to 3, expected class indices"),
        (torch.tensor([0.0, 1.0]), "of torch.float32, expected class indices"),
        (torch.tensor([0]), r"got shape \[1\]"),
    ):
        with pytest.raises(ValueError, match=message):
            network.mapping(z, bad)


def test_layers_are_described(generator):
    assert [layer.name for layer in generator.layers] == [
        "b4.conv1", "b8.conv0", "b8.conv1", "b16.conv0", "b16.conv1", "b16.torgb",
    ]  # fmt: skip
    assert [layer.index for layer in generator.layers] == list(range(6))
    assert (generator.num_layers, generator.resolution, generator.latent_dim, generator.code_dim) == (
        6,
        16,
        16,
        20,
    )


def test_groups_are_higans_at_its_own_size():
    channels = {2**power: 4 for power in range(2, 9)}
    groups = [layer.group for layer in StyleGAN2(StyleGAN2Config(channels=channels, mapping_depth=1)).layers]
    assert groups == ["bottom"] * 2 + ["lower"] * 4 + ["upper"] * 6 + ["top"] * 2


def test_a_layers_code_changes_nothing_below_it(generator):
    codes = torch.randn(2, 6, 20).double()
    for changed in range(6):
        other = codes.clone()
        other[:, changed] += 1
        one, two = generator.start(2), generator.start(2)
        for index in range(6):
            one, two = (
                generator.layer(index, one, codes[:, index]),
                generator.layer(index, two, other[:, index]),
            )
            assert torch.equal(one.features, two.features) == (index < changed or index == changed == 5)
        assert not torch.equal(generator.image(one), generator.image(two))


def test_mapping_normalises_and_truncation_goes_to_the_average(generator):
    z = torch.randn(4, 16).double()
    torch.testing.assert_close(generator.mapping(z), generator.mapping(z * 7), atol=1e-6, rtol=1e-6)
    w, center = generator.mapping(z), generator.mapping_network.w_avg
    codes = generator.map(z, truncation_psi=0.5, truncation_layers=2)
    torch.testing.assert_close(codes[:, 1], center + 0.5 * (w - center))
    assert torch.equal(codes[:, 2], w)
    assert torch.equal(generator.map(z)[:, 0], w)
    torch.testing.assert_close(generator.map(z, truncation_psi=0.0)[3, 5], center)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"truncation_psi": float("nan")}, "truncation_psi.*got nan, expected a finite number"),
        ({"truncation_psi": torch.ones(2)}, "truncation_psi.*expected a finite number"),
        ({"truncation_layers": 99}, "truncation_layers.*got 99, expected 0 to 6"),
        ({"z": [[0.0] * 16]}, r"z: got a list, expected a tensor \[N, 16\]"),
    ],
)
def test_what_cannot_be_mapped_is_told(generator, wrong, message):
    with pytest.raises(ValueError, match=message):
        generator.map(**{"z": torch.randn(2, 16).double()} | wrong)


def test_noise_modes(generator):
    codes = torch.randn(2, 6, 20).double()
    generator.noise_mode = "random"
    assert not torch.equal(generator.synthesize(codes), generator.synthesize(codes))
    try:
        generator.noise_mode = "off"
        with pytest.raises(ValueError, match="noise_mode: got 'off', expected one of const, random, none"):
            generator.synthesize(codes)
    finally:
        generator.noise_mode = "const"
    assert torch.equal(generator.synthesize(codes), generator.synthesize(codes))


def test_bfloat16_features_stay_near(generator):
    import copy

    rough = copy.deepcopy(generator).float()
    rough.activation_dtype = torch.bfloat16
    codes = torch.randn(2, 6, 20)
    exact = generator.synthesize(codes.double())
    # five layers with 8 bits each, of images whose values are of order 1 to 10
    assert (rough.synthesize(codes).double() - exact).abs().max() < 0.03 * exact.abs().max()


def test_bad_input_is_named(generator):
    with pytest.raises(ValueError, match=r"z: got shape \(2, 20\), expected \[N, 16\]"):
        generator.map(torch.zeros(2, 20).double())
    with pytest.raises(ValueError, match="codes: got shape"):
        generator.synthesize(torch.zeros(2, 5, 20).double())
    with pytest.raises(ValueError, match="label: this generator is unconditional"):
        generator.map(torch.zeros(2, 16).double(), label=torch.zeros(2))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_forwarded_styles_and_slices_change_nothing(any_generator, dtype, monkeypatch):
    """``synthesize`` forwards styles within a block and walks few samples at once; layer by layer not."""
    network = copy.deepcopy(any_generator).to(dtype)
    codes = torch.randn(5, 6, 20).to(dtype)
    activation = network.start(5)
    for index in range(network.num_layers):
        activation = network.layer(index, activation, codes[:, index])
    exact = 1e-10 if dtype == torch.float64 else 2e-5  # float32: another order of factors
    torch.testing.assert_close(network.synthesize(codes), activation.rgb, atol=exact, rtol=exact)
    monkeypatch.setattr("higan_fast.generators.base.CACHE_BYTES", 2 * 8 * 16**2 * dtype.itemsize)
    assert [network.samples_at_once(index) for index in (0, 3, 5)] == [21, 2, 2]
    torch.testing.assert_close(network.synthesize(codes), activation.rgb, atol=exact, rtol=exact)
    assert network.synthesize(codes[:0]).shape == (0, 3, 16, 16)


@pytest.mark.parametrize("dtype, share", [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
def test_16_bit_features_stay_near(generator, dtype, share):
    """Six layers, each with three roundings of 2^-11 or 2^-8 that mostly cancel; RGB is float32."""
    network = copy.deepcopy(generator).float()
    codes = torch.randn(3, 6, 20)
    exact = generator.synthesize(codes.double())
    network.activation_dtype = dtype
    found = network.synthesize(codes)
    assert found.dtype is torch.float32
    assert (found - exact).abs().max() < share * exact.abs().max()


def test_float16_does_not_overflow_on_large_weights_and_styles(generator):
    """Both times 300: demodulation cancels it, but raw products of float16 would pass 65504."""
    network = copy.deepcopy(generator).float()
    codes = torch.randn(2, 6, 20)
    for conv in network.synthesis.convs:
        conv.weight.mul_(300)
        for parameter in conv.affine.parameters():
            parameter.mul_(300)
    exact = network.synthesize(codes)
    network.activation_dtype = torch.float16
    found = network.synthesize(codes)
    assert found.isfinite().all()
    assert (found - exact).abs().max() < 5e-3 * exact.abs().max()


def test_a_changed_weight_is_noticed(generator):
    network = copy.deepcopy(generator).float()
    codes = torch.randn(1, 6, 20)
    before = network.synthesize(codes)
    network.synthesis.convs[2].weight[0].add_(1)  # in place: the same tensor, another version
    after = network.synthesize(codes)
    assert not torch.equal(before, after)
    network.load_state_dict(copy.deepcopy(generator).float().state_dict())
    assert torch.equal(network.synthesize(codes), before)
    network.activation_dtype = torch.bfloat16
    network.synthesize(codes)
    network.activation_dtype = None
    assert torch.equal(network.synthesize(codes), before)


def test_gradients_reach_the_weights(generator):
    network = copy.deepcopy(generator).float().requires_grad_()
    network.synthesize(torch.randn(2, 6, 20)).square().sum().backward()
    gradients = [p.grad for p in network.synthesis.parameters()]
    assert all(g is not None and g.abs().sum() > 0 for g in gradients)


@pytest.mark.parametrize("dtype, share", [(None, 1e-10), (torch.float16, 5e-3), (torch.bfloat16, 4e-2)])
@pytest.mark.parametrize("noise_mode", ["const", "none"])
def test_what_is_drawn_from_a_layer_on_is_a_walk(any_generator, dtype, share, noise_mode):
    network = copy.deepcopy(any_generator)
    network.noise_mode = noise_mode
    check_draws(network if dtype is None else network.float(), dtype, share)


def test_random_noise_is_each_samples_own(generator):
    network = copy.deepcopy(generator)
    network.noise_mode = "random"
    images = network.draw(torch.randn(1, 6, 20).double().expand(2, -1, -1))
    assert not torch.equal(images[0], images[1])


def test_weights_that_are_loaded_and_moved_in_inference_mode_are_prepared_once(monkeypatch):
    calls = []
    monkeypatch.setattr(
        prepared, "prepare", lambda *given, made=prepared.prepare: calls.append(1) or made(*given)
    )
    with torch.inference_mode():
        generator = load_generator("scenes").to(torch.float64)
        codes = generator.map(torch.randn(2, generator.latent_dim, dtype=torch.float64))
        assert not any(parameter.is_inference() for parameter in generator.parameters())
        calls.clear()
        first = generator.synthesize(codes)
        assert len(calls) == len(generator.synthesis.convs)
        assert torch.equal(generator.synthesize(codes), first) and len(calls) == len(
            generator.synthesis.convs
        )
        generator.synthesis.convs[0].weight.mul_(2)  # which is seen
        assert not torch.equal(generator.synthesize(codes), first)
        assert len(calls) == len(generator.synthesis.convs) + 1
