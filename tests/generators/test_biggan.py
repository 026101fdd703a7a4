import copy
import json
from dataclasses import asdict, replace

import pytest
import torch
import torch.nn.functional as F

from higan_fast.generators.biggan import BigGAN, BigGANConfig
from higan_fast.generators.biggan_layers import Conv, SelfAttention, doubling_kernel
from higan_fast.predictors.base import Predictor, Semantic
from higan_fast.probing import fit_boundaries, sample, verify
from higan_fast.probing.screening import screen
from tests.generators.biggan_checks import check_16_bits, check_draws, check_gradients, codes_for, make
from tests.generators.plain_biggan import (
    attended,
    convolved,
    doubled,
    first_features,
    image,
    normed,
)

CONFIG = BigGANConfig((9, 8, 6), latent_dim=15, label_dim=4, embed_dim=3, attention=(1,), epsilon=1e-3)
VARIANTS = {
    "hierarchical": CONFIG,
    "not hierarchical": replace(CONFIG, hierarchical=False, latent_dim=6),
    "one-hot classes": replace(CONFIG, hierarchical=False, embed_dim=None, bottom_width=3),
}
AT = torch.ones(1).double()


@pytest.fixture(scope="module", params=VARIANTS)
def generator(request):
    return make(BigGAN, VARIANTS[request.param])


@pytest.fixture(scope="module")
def hierarchical():
    return make(BigGAN, CONFIG)


def plain_forward(generator, codes):
    x = first_features(generator, codes[:, 0])
    for index, block in enumerate(generator.blocks, start=1):
        code = codes[:, index]
        y = convolved(block.convs[0], normed(block.norms[0], x, code, AT))
        y = convolved(block.convs[1], normed(block.norms[1], y, code, AT))
        x = y + convolved(block.shortcut, doubled(x))
        if index in generator.config.attention:
            x = attended(generator.attention[str(index)], x)
    return image(generator.last, x, AT)


def test_equals_a_plain_forward(generator):
    codes = codes_for(generator, 3)
    expected = plain_forward(generator, codes)
    assert expected.std() > 0.1 and expected.shape[2] == generator.resolution
    torch.testing.assert_close(generator.synthesize(codes), expected, atol=1e-10, rtol=1e-10)


def test_codes_of_hierarchical_latents(hierarchical):
    z, label = torch.randn(2, 15).double(), torch.tensor([3, 1])
    embedded = hierarchical.embedding.weight.T[label]
    codes = hierarchical.map(z, label)
    assert (hierarchical.num_layers, hierarchical.code_dim) == (3, 5 + 3)
    assert torch.equal(codes[:, 0], torch.cat([z[:, :5], torch.zeros(2, 3)], 1))
    for index in (1, 2):
        assert torch.equal(codes[:, index, :5], z[:, 5 * index : 5 * index + 5])
        torch.testing.assert_close(codes[:, index, 5:], embedded)
    one_hot = F.one_hot(label, 4)
    assert torch.equal(hierarchical.map(z, one_hot), codes)


def test_codes_without_hierarchical_latents():
    z, label = torch.randn(2, 6), torch.tensor([3, 1])
    embedded = BigGAN(VARIANTS["not hierarchical"])
    codes = embedded.map(z, label)
    assert torch.equal(codes[:, 0], z)
    expected = F.pad(embedded.embedding.weight.T[label], (0, 3)).expand(2, 2, 6)
    torch.testing.assert_close(codes[:, 1:].transpose(0, 1), expected)
    one_hot = BigGAN(replace(VARIANTS["one-hot classes"], latent_dim=3))
    assert one_hot.code_dim == 4  # the classes are longer than the latent
    codes = one_hot.map(z[:, :3], label)
    assert torch.equal(codes[:, 0], F.pad(z[:, :3], (0, 1)))
    assert torch.equal(codes[:, 2], F.one_hot(label, 4).float())


def test_truncation_scales_the_latent_and_leaves_the_class(hierarchical):
    z, label = torch.randn(2, 15).double(), torch.tensor([3, 1])
    codes, plain = hierarchical.map(z, label, 0.6, 2), hierarchical.map(z, label)
    assert torch.equal(codes[:, :2, :5], 0.6 * plain[:, :2, :5])
    assert torch.equal(codes[:, 2], plain[:, 2])
    assert torch.equal(codes[:, :, 5:], plain[:, :, 5:])
    everywhere = hierarchical.map(z * 0.6, label)
    torch.testing.assert_close(hierarchical.map(z, label, 0.6), everywhere, atol=1e-15, rtol=1e-15)


def test_layers_are_described(generator):
    width = generator.config.bottom_width
    assert [(layer.index, layer.name, layer.resolution) for layer in generator.layers] == [
        (0, "linear", width),
        (1, f"b{2 * width}", 2 * width),
        (2, f"b{4 * width}", 4 * width),
    ]
    assert not generator.shares_code and generator.label_dim == 4
    groups = [layer.group for layer in BigGAN(replace(CONFIG, channels=(8,) * 7, latent_dim=7)).layers]
    assert groups == ["bottom", "lower", "lower", "upper", "upper", "upper", "top"]


def test_a_layers_code_changes_nothing_below_it_and_padding_nothing_at_all(generator):
    codes = codes_for(generator, 2)
    read = (generator.config.chunk_dim, *[generator.config.block_dim] * 2)
    for changed in range(3):
        other = codes.clone()
        other[:, changed, read[changed] :] += 1
        assert torch.equal(generator.synthesize(other), generator.synthesize(codes))
        for entry in range(read[changed]):
            other = codes.clone()
            other[:, changed, entry] += 1
            one, two = generator.start(2), generator.start(2)
            for index in range(3):
                one = generator.layer(index, one, codes[:, index])
                two = generator.layer(index, two, other[:, index])
                assert torch.equal(one.features, two.features) == (index < changed)


def test_what_is_drawn_from_a_layer_on_is_a_forward(generator):
    check_draws(generator)


def test_slices_change_nothing(hierarchical, monkeypatch):
    network, codes = copy.deepcopy(hierarchical), codes_for(hierarchical, 5)
    whole = network.synthesize(codes)
    monkeypatch.setattr("higan_fast.generators.base.CACHE_BYTES", 2 * 8 * 8**2 * 8)
    assert [network.samples_at_once(index) for index in range(3)] == [7, 2, 1]
    torch.testing.assert_close(network.synthesize(codes), whole, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("dtype, share", [(torch.float16, 4e-3), (torch.bfloat16, 4e-2)])
def test_16_bit_features_stay_near(generator, dtype, share):
    """Two blocks with some ten roundings of 2^-11 or 2^-8 that mostly cancel; images are at most 1."""
    check_16_bits(generator, dtype, share)


def test_gradients_reach_codes_and_weights(generator):
    codes = check_gradients(generator)
    step = torch.randn_like(codes) * 1e-7  # so small that hardly a ReLU changes sides
    with torch.no_grad():
        plus, minus = (generator.synthesize(codes + sign * step).square().sum() for sign in (1, -1))
    assert (plus - minus).item() / 2 == pytest.approx((codes.grad * step).sum().item(), rel=1e-4)


def test_upsampling_is_in_the_kernel():
    x, weight = torch.randn(2, 5, 4, 3).double(), torch.randn(7, 5, 3, 3).double()
    conv = Conv(5, 7, 3, up=True).double()
    conv.weight.data, conv.bias.data = doubling_kernel(weight), torch.randn(7).double()
    expected = F.conv2d(doubled(x), weight, conv.bias, padding=1)
    torch.testing.assert_close(conv(x), expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_attention(layout):
    attention, x = SelfAttention(16).double(), torch.randn(2, 16, 8, 6).double()
    attention.gain.data.fill_(0.8)
    found = attention(x.to(memory_format=layout))
    torch.testing.assert_close(found, attended(attention, x), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)
def test_an_architecture_survives_json(config):
    assert BigGANConfig.from_json(json.loads(json.dumps(asdict(config)))) == config


def test_bad_architectures_are_named():
    with pytest.raises(ValueError, match="latent_dim: got 16, expected a multiple of 3"):
        replace(CONFIG, latent_dim=16)
    with pytest.raises(ValueError, match="attention: got layer 3, expected 0 to 2"):
        replace(CONFIG, attention=(3,))
    with pytest.raises(ValueError, match="attention: layer 2 has 6 channels, expected at least 8"):
        replace(CONFIG, attention=(2,))
    with pytest.raises(ValueError, match="number of channels: got 1, expected at least 2"):
        replace(CONFIG, channels=(9,), attention=())


def test_bad_input_is_named(hierarchical):
    with pytest.raises(ValueError, match=r"z: got shape \(2, 16\), expected \[N, 15\]"):
        hierarchical.map(torch.zeros(2, 16).double(), torch.zeros(2).long())
    with pytest.raises(ValueError, match="label: this generator has 4 classes and got none"):
        hierarchical.map(torch.zeros(2, 15).double())
    with pytest.raises(ValueError, match="label: got classes 0 to 4, expected class indices"):
        hierarchical.map(torch.zeros(2, 15).double(), torch.tensor([0, 4]))


class Brightness(Predictor):
    """How bright an image is, above and below."""

    semantics = (Semantic("above", "color"), Semantic("below", "color"))

    def forward(self, images):
        half = images.shape[2] // 2
        return torch.stack([part.mean([1, 2, 3]) for part in (images[:, :, :half], images[:, :, half:])], 1)


@pytest.mark.parametrize("label", [None, 1])
def test_a_probe_runs_end_to_end(hierarchical, label):
    generator, predictor = copy.deepcopy(hierarchical).float(), Brightness()
    samples = sample(generator, predictor, 256, label=label, truncation_psi=0.8, progress=False)
    boundaries = fit_boundaries(samples, chosen_num=60, progress=False)
    assert boundaries["above"].space == "layers" and boundaries["above"].normal.shape == (3, 8)
    assert not boundaries["above"].normal[0, 5:].any()  # what the first layer does not read
    options = {"num": 20, "num_null": 2, "label": label, "truncation_psi": 0.8, "progress": False}
    verification = verify(generator, predictor, boundaries, **options)
    own = [verification.effect[verification.row(name), 0, i] for i, name in enumerate(boundaries)]
    assert min(own) > 0
    profiles = screen(generator, predictor, samples.codes[:16], boundaries, progress=False)
    assert profiles.shape == (2, 3) and (profiles.sum(1) > 0).all()
