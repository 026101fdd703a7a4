"""StyleGAN3 beside a plain forward of the paper's equations, and the geometry that it promises."""

import copy
import json
import math
from dataclasses import asdict, replace

import pytest
import scipy.signal
import torch
import torch.nn.functional as F

from higan_fast.fingerprint import fingerprint
from higan_fast.generators.lowpass import lowpass
from higan_fast.generators.stylegan3 import StyleGAN3
from higan_fast.generators.stylegan3_config import StyleGAN3Config
from tests.generators.draw_checks import check_draws

CONFIG = StyleGAN3Config(
    16, (9, 8, 8, 7, 6), latent_dim=10, code_dim=12, label_dim=3, first_cutoff=1.5, first_stopband=3.0,
    margin=3, conv_clamp=0.5, output_scale=0.5,
)  # fmt: skip
KINDS = {"t": CONFIG, "r": replace(CONFIG, kernel=1, radial=True)}
NUM_LAYERS = 7


def random_stylegan3(config, dtype=torch.float64):
    """A generator in which nothing is zero or one, so that nothing can be forgotten unseen."""
    torch.manual_seed(0)
    generator = StyleGAN3(config).to(dtype).eval().requires_grad_(False)
    for name, tensor in (*generator.named_parameters(), *generator.named_buffers()):
        if name.endswith(("bias", "w_avg", "input.affine.weight")):
            tensor.add_(0.3 * torch.randn_like(tensor))
        elif name.endswith("magnitude_ema"):
            tensor.uniform_(0.5, 2.0)
    return generator


@pytest.fixture(scope="module", params=KINDS)
def generator(request):
    return random_stylegan3(KINDS[request.param])


def codes_for(generator, num):
    return torch.randn(num, generator.num_layers, generator.code_dim).to(next(generator.parameters()))


def affine(layer, code):
    weight, bias = layer.affine.weight, layer.affine.bias
    return code @ weight.T / math.sqrt(weight.shape[1]) + bias


def plain_input(layer, pose):
    """Wave by wave, at the place on the plane of each pixel."""
    signal = layer.signal
    pose = pose / pose[:2].norm()
    rotation = torch.stack([torch.stack([pose[0], -pose[1]]), torch.stack([pose[1], pose[0]])])
    place = (torch.arange(signal.size).double() + 0.5 - signal.size / 2) / signal.rate
    points = torch.stack(torch.meshgrid(place, place, indexing="xy"))  # x, y
    linear, shift = layer.transform[:2, :2], layer.transform[:2, 2]
    points = torch.einsum("ij,jhw->ihw", linear, points) + (shift - pose[2:])[:, None, None]
    points = torch.einsum("ij,jhw->ihw", rotation, points)
    waves = torch.sin(
        2 * math.pi * (torch.einsum("cj,jhw->chw", layer.freqs, points) + layer.phases[:, None, None])
    )
    reach = (layer.freqs @ rotation @ linear).norm(dim=1)
    fading = 1 - (reach - signal.cutoff) / (signal.rate / 2 - signal.cutoff)
    waves = waves * fading.clamp(0, 1)[:, None, None]
    return torch.einsum("oc,chw->ohw", layer.weight, waves) / math.sqrt(signal.channels)


def fir(x, taps):
    """A convolution of every channel; ``taps`` of one axis stand for both."""
    taps = taps if taps.ndim == 2 else torch.outer(taps, taps)
    return F.conv2d(x[:, None], taps.flip(0, 1)[None, None])[:, 0]


def plain_conv(layer, x, style, clamp):
    weight = layer.weight * style[:, None, None]
    weight = weight / weight.square().sum([1, 2, 3], keepdim=True).sqrt() / layer.magnitude_ema.sqrt()
    x = F.conv2d(x[None], weight, padding=weight.shape[-1] - 1)[0] + layer.bias[:, None, None]
    spread = x.new_zeros(len(x), x.shape[1] * layer.up, x.shape[2] * layer.up)
    spread[:, :: layer.up, :: layer.up] = x
    x = fir(F.pad(spread, layer.padding), layer.up_filter) * layer.up**2
    x = (F.leaky_relu(x, 0.2) * math.sqrt(2)).clamp(-clamp, clamp)
    return fir(x, layer.down_filter)[:, :: layer.down, :: layer.down]


def plain_image(generator, codes):
    synthesis, config = generator.synthesis, generator.config
    x = plain_input(synthesis.input, affine(synthesis.input, codes[0]))
    for layer, code in zip(synthesis.convs, codes[1:-1], strict=True):
        x = plain_conv(layer, x, affine(layer, code), config.conv_clamp)
    style = affine(synthesis.rgb, codes[-1]) / math.sqrt(len(x)) / synthesis.rgb.magnitude_ema.sqrt()
    rgb = torch.einsum("chw,oc->ohw", x, synthesis.rgb.weight[:, :, 0, 0] * style)
    rgb = rgb + synthesis.rgb.bias[:, None, None]
    return rgb.clamp(-config.conv_clamp, config.conv_clamp) * config.output_scale


def test_equals_a_plain_forward(generator):
    network, codes = copy.deepcopy(generator), codes_for(generator, 3)
    network.move_image(25, (0.1, -0.2))
    expected = torch.stack([plain_image(network, one) for one in codes])
    assert expected.shape == (3, 3, 16, 16)
    torch.testing.assert_close(network.synthesize(codes), expected, atol=1e-6, rtol=0)
    for layer in (*network.synthesis.convs, network.synthesis.rgb):
        before, layer.clamp = network.synthesize(codes), None
        assert layer is network.synthesis.rgb or not torch.equal(network.synthesize(codes), before), "clamped"


@pytest.mark.parametrize("dtype, share", [(None, 1e-9), (torch.float16, 2e-2), (torch.bfloat16, 1e-1)])
def test_what_is_drawn_from_a_layer_on_is_a_walk(generator, dtype, share):
    check_draws(generator if dtype is None else copy.deepcopy(generator).float(), dtype, share)


def test_a_layers_code_changes_nothing_below_it(generator):
    codes = codes_for(generator, 2)
    for changed in range(NUM_LAYERS):
        other = codes.clone()
        other[:, changed] += 1
        one = two = generator.start(2)
        for index in range(NUM_LAYERS):
            one = generator.layer(index, one, codes[:, index])
            two = generator.layer(index, two, other[:, index])
            assert torch.equal(one.features, two.features) == (index < changed)


def test_samples_do_not_depend_on_each_other(generator):
    """NVlabs' code scales the styles of a batch together, which demodulation cancels but for its epsilon."""
    codes = codes_for(generator, 3)
    codes[2] *= 1e3
    together = generator.synthesize(codes)
    torch.testing.assert_close(generator.synthesize(codes[:1]), together[:1], atol=1e-12, rtol=0)


def test_the_image_turns_and_moves_with_the_plane():
    """R is equivariant; a quarter of a turn, and whole pixels, leave nothing to interpolate."""
    network = random_stylegan3(KINDS["r"])
    codes = codes_for(network, 2)
    before = network.synthesize(codes)
    network.move_image(rotate=90)
    torch.testing.assert_close(network.synthesize(codes), before.rot90(1, (2, 3)), atol=1e-6, rtol=0)
    first, code = network.synthesis.input, network.synthesis.input.affine(codes[:, 0])
    network.move_image()
    still = first(code)
    network.move_image(translate=(1 / first.signal.rate, -2 / first.signal.rate))
    moved = first(code)
    torch.testing.assert_close(moved[..., :-2, 1:], still[..., 2:, :-1], atol=1e-6, rtol=0)


def test_how_images_are_moved_is_part_of_the_fingerprint(generator):
    network, before = copy.deepcopy(generator), fingerprint(generator)
    network.move_image(rotate=3)
    assert fingerprint(network) != before
    network.move_image()
    assert fingerprint(network) == before


def test_published_layers():
    """As NVlabs' networks name them at 256²."""
    config = StyleGAN3Config.of("t", 256, latent_dim=8, code_dim=8)
    layers = [f"L{i}_{signal.size}_{signal.channels}" for i, signal in enumerate(config.signals)]
    assert layers == [
        *("L0_36_512", "L1_36_512", "L2_36_512", "L3_52_512", "L4_52_512", "L5_84_512", "L6_84_512"),
        *("L7_148_512", "L8_148_512", "L9_148_362", "L10_276_256", "L11_276_181", "L12_276_128"),
        *("L13_256_128", "L14_256_3"),
    ]  # fmt: skip
    rotating = StyleGAN3Config.of("r", 1024)
    assert (rotating.kernel, rotating.radial, rotating.channels[0], rotating.channels[-1]) == (
        1,
        True,
        1024,
        64,
    )
    small = StyleGAN3(KINDS["r"])
    assert [layer.name for layer in small.layers][:2] == ["input", "L0_14_9"]
    assert [layer.resolution for layer in small.layers] == [8, 8, 16, 16, 16, 16, 16]
    assert [conv.down_filter.ndim for conv in small.synthesis.convs] == [2, 2, 2, 1, 1]
    assert [layer.group for layer in small.layers][::6] == ["bottom", "top"]


def test_filters():
    taps = scipy.signal.firwin(24, 10.0, width=6.0, fs=64.0)
    torch.testing.assert_close(lowpass(24, 10.0, 3.0, 64.0), torch.tensor(taps).float())
    radial = lowpass(24, 10.0, 3.0, 64.0, radial=True)
    torch.testing.assert_close(radial, radial.rot90())
    torch.testing.assert_close(radial.sum(), torch.tensor(1.0))
    # In all directions the response is 1 far below the cutoff, a half there, and nothing far above.
    x = (torch.arange(24) - 11.5) / 64
    for angle in (0.0, 0.4, math.pi / 4):
        along = x * math.cos(angle) + x[:, None] * math.sin(angle)
        low, middle, high = (
            float((radial * (2 * math.pi * frequency * along).cos()).sum()) for frequency in (3, 10, 20)
        )
        assert low == pytest.approx(1, abs=0.02) and middle == pytest.approx(0.5, abs=0.05)
        assert high == pytest.approx(0, abs=0.02)
    centre = lowpass(5, 10.0, 3.0, 64.0, radial=True)
    assert centre.argmax() == 12 and centre.isfinite().all()


def test_slices_change_nothing(generator, monkeypatch):
    codes = codes_for(generator, 5)
    whole = generator.synthesize(codes)
    monkeypatch.setattr("higan_fast.generators.base.CACHE_BYTES", 2 * 8 * 22**2 * 8)
    assert generator.samples_at_once(2) == 2 and generator.features_of(0) == 9 * 14**2
    torch.testing.assert_close(generator.synthesize(codes), whole, atol=1e-12, rtol=1e-12)
    assert generator.synthesize(codes[:0]).shape == (0, 3, 16, 16)


def test_gradients_reach_the_codes_and_the_weights(generator):
    network = copy.deepcopy(generator).float().requires_grad_()
    codes = codes_for(network, 2).requires_grad_()
    network.synthesize(codes).square().sum().backward()
    assert (codes.grad.abs().sum([0, 2]) > 0).all()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.synthesis.parameters())


def test_changes_of_weights_and_magnitudes_are_seen(generator):
    network, codes = copy.deepcopy(generator), codes_for(generator, 2)
    images = [network.synthesize(codes)]
    for change in (
        lambda s: s.convs[1].magnitude_ema.mul_(2),
        lambda s: s.convs[2].weight.add_(1),
        lambda s: s.rgb.magnitude_ema.mul_(2),
        lambda s: s.convs[0].affine.bias.mul_(1.5),
    ):
        change(network.synthesis)
        images.append(network.synthesize(codes))
        assert (images[-1] - images[-2]).abs().max() > 1e-3
        torch.testing.assert_close(images[-1], copy.deepcopy(network).synthesize(codes), atol=1e-12, rtol=0)


def test_its_configuration():
    assert StyleGAN3Config.from_json(json.loads(json.dumps(asdict(KINDS["r"])))) == KINDS["r"]
    for message, changes in {
        "kernel: got 2, expected 1 or 3": {"kernel": 2},
        "resolution: got 24, expected 4, 8, 16 and so on up to 2048": {"resolution": 24},
        "first_cutoff: got 8, expected less than half of the resolution, 8": {"first_cutoff": 8.0},
        "first_stopband: got 1.5, expected more than first_cutoff, 1.5,": {"first_stopband": 1.5},
        "first_stopband: got 12, expected .* less than the end of the last": {"first_stopband": 12.0},
        "last_stopband: got 1, expected more than 1": {"last_stopband": 1.0},
        "num_critical: got 5, expected 0 to 4": {"num_critical": 5},
        r"channels\[1\]: got 8.0, expected a whole number": {"channels": (9, 8.0)},
    }.items():
        with pytest.raises(ValueError, match=message):
            replace(CONFIG, **changes)
