"""Functions with the signatures of public code: arguments as their callers write them, results as defined."""

import inspect
from itertools import product

import pytest
import torch
import torch.nn.functional as F

from higan_fast import compat
from higan_fast.compat import nvlabs_sg2, nvlabs_sg3, rosinality
from higan_fast.compat.filters import taps_of
from higan_fast.compat.tally import Tally, counting

SIGNATURES = {
    (nvlabs_sg2, "modulated_conv2d"): "x weight styles noise=None up=1 down=1 padding=0 resample_filter=None "
    "demodulate=True flip_weight=True fused_modconv=True",
    (nvlabs_sg3, "modulated_conv2d"): "x w s demodulate=True padding=0 input_gain=None",
    (nvlabs_sg3, "filtered_lrelu"): "x fu=None fd=None b=None up=1 down=1 padding=0 gain=1.4142135623730951 "
    "slope=0.2 clamp=None flip_filter=False impl='cuda'",
    (nvlabs_sg2, "bias_act"): "x b=None dim=1 act='linear' alpha=None gain=None clamp=None impl='cuda'",
    (nvlabs_sg2, "upfirdn2d"): "x f up=1 down=1 padding=0 flip_filter=False gain=1 impl='cuda'",
    (nvlabs_sg2, "filter2d"): "x f padding=0 flip_filter=False gain=1 impl='cuda'",
    (nvlabs_sg2, "upsample2d"): "x f up=2 padding=0 flip_filter=False gain=1 impl='cuda'",
    (nvlabs_sg2, "downsample2d"): "x f down=2 padding=0 flip_filter=False gain=1 impl='cuda'",
    (nvlabs_sg2, "conv2d_resample"): "x w f=None up=1 down=1 padding=0 groups=1 flip_weight=True "
    "flip_filter=False",
    (nvlabs_sg2, "fma"): "a b c",
    (rosinality, "fused_leaky_relu"): "input bias=None negative_slope=0.2 scale=1.4142135623730951",
    (rosinality, "FusedLeakyReLU"): "channel bias=True negative_slope=0.2 scale=1.4142135623730951",
    (rosinality, "upfirdn2d"): "input kernel up=1 down=1 pad=(0, 0)",
}


@pytest.mark.parametrize(("place", "expected"), SIGNATURES.items(), ids=lambda value: str(value)[:60])
def test_signatures_are_theirs(place, expected):
    module, name = place
    parameters = inspect.signature(getattr(module, name)).parameters.values()
    found = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters]
    assert " ".join(found) == expected


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def resampled(x, w, f, up, down, padding):
    """``downsample(conv(upsample(x)))`` step by step, as the original documents it."""
    num, channels, height, width = x.shape
    taps = f.shape[0]
    before = padding + ((taps + up - 1) // 2 if up > 1 else 0) + ((taps - down + 1) // 2 if down > 1 else 0)
    after = padding + ((taps - up) // 2 if up > 1 else 0) + ((taps - down) // 2 if down > 1 else 0)
    y = x.new_zeros(num, channels, height * up, width * up)
    y[:, :, ::up, ::up] = x
    y = F.pad(y, [before, after, before, after])
    if up > 1:
        y = blurred(y, f * up**2)
    y = F.conv2d(y, w)
    return blurred(y, f)[:, :, ::down, ::down] if down > 1 else y


def blurred(x, f):
    kernel = f.flip(0, 1).expand(x.shape[1], 1, *f.shape).to(x)
    return F.conv2d(x, kernel, groups=x.shape[1])


FILTERS = {
    "of 4 taps": [1, 3, 3, 1],
    "odd": [1, 4, 6, 4, 1],
    "not separable": [[0.0, 1.0, 0.5], [0.3, 2.0, 1.0], [0.1, 0.2, 0.3]],
}


@pytest.mark.parametrize(
    ("size", "taps"),
    [(1, "of 4 taps"), (2, "of 4 taps"), (3, "of 4 taps"), (3, "odd"), (3, "not separable"), (5, "odd")],
)
def test_modulated_convolutions_of_every_kind(size, taps):
    f = nvlabs_sg2.setup_filter(FILTERS[taps])
    x, weight, styles = randn(2, 3, 6, 7), randn(4, 3, size, size, seed=1), randn(2, 3, seed=2)
    for up, down, padding, flip, demodulate in product(
        (1, 2, 3), (1, 2), (0, size // 2), *[(False, True)] * 2
    ):
        own = (weight if flip else weight.flip(2, 3)) * styles[:, None, :, None, None]  # [N, O, I, k, k]
        if demodulate:
            own = own * (own.square().sum([2, 3, 4], keepdim=True) + 1e-8).rsqrt()
        expected = torch.cat(
            [resampled(x[i : i + 1], own[i], f.double(), up, down, padding) for i in range(2)]
        )
        for noise in (None, randn(*expected.shape[2:]), randn(*expected.shape)):
            found = nvlabs_sg2.modulated_conv2d(
                x, weight, styles, noise, up, down, padding, f, demodulate, flip, fused_modconv=demodulate
            )
            wanted = expected if noise is None else expected + noise
            torch.testing.assert_close(found, wanted, atol=1e-11, rtol=1e-11)


def test_groups_of_a_resampled_convolution():
    f = nvlabs_sg2.setup_filter([1, 3, 3, 1])
    x, w = randn(2, 4, 5, 6), randn(6, 2, 3, 3, seed=1)
    found = nvlabs_sg2.conv2d_resample(x, w, f, up=2, padding=1, groups=2)
    parts = [resampled(x[:, 2 * i : 2 * i + 2], w[3 * i : 3 * i + 3], f.double(), 2, 1, 1) for i in range(2)]
    torch.testing.assert_close(found, torch.cat(parts, 1), atol=1e-12, rtol=1e-12)


def test_factors_and_paddings_of_each_axis():
    x, f = randn(2, 3, 5, 6), torch.tensor([[1.0, 2], [3, 4], [5, 6]])
    zeros = x.new_zeros(2, 3, 15, 12)
    zeros[:, :, ::3, ::2] = x
    expected = blurred(F.pad(zeros, [1, 2, 3, 4]), f.double())[:, :, ::2]
    found = nvlabs_sg2.upfirdn2d(x, f, up=[2, 3], down=[1, 2], padding=[1, 2, 3, 4])
    torch.testing.assert_close(found, expected)
    with pytest.raises(ValueError, match=r"up: got \[2, 0\], expected one number or \[x, y\], at least 1"):
        nvlabs_sg2.upfirdn2d(x, f, up=[2, 0])
    with pytest.raises(ValueError, match="padding: got "):
        nvlabs_sg2.upfirdn2d(x, f, padding=[1, 2, 3])


def test_sizes_after_resampling():
    x = randn(1, 2, 6, 8)
    for taps in ([1, 3, 3, 1], [1, 2, 1], None):
        f = None if taps is None else nvlabs_sg2.setup_filter(taps)
        assert nvlabs_sg2.filter2d(x, f).shape == x.shape
        assert nvlabs_sg2.upsample2d(x, f).shape == (1, 2, 12, 16)
        assert nvlabs_sg2.downsample2d(x, f).shape == (1, 2, 3, 4)
    f = nvlabs_sg2.setup_filter([1, 3, 3, 1])
    recorded = nvlabs_sg2.upsample2d(x.requires_grad_(), f)  # in one pass instead of two
    torch.testing.assert_close(recorded, nvlabs_sg2.upsample2d(x.detach(), f), atol=1e-12, rtol=1e-12)
    flat = nvlabs_sg2.upsample2d(torch.ones(1, 1, 9, 9), nvlabs_sg2.setup_filter([1, 3, 3, 1]))
    torch.testing.assert_close(flat[:, :, 3:-3, 3:-3], torch.ones(1, 1, 12, 12))  # gain included


def test_activations_are_known_or_named():
    x = randn(2, 3, 4)
    found = nvlabs_sg2.bias_act(x, randn(4), 2, "lrelu", 0.1, 2.0, 0.5)
    torch.testing.assert_close(found, (F.leaky_relu(x + randn(4), 0.1) * 2).clamp(-0.5, 0.5))
    with pytest.raises(ValueError, match=r"activation: got 'gelu', expected one of \['elu', 'linear'"):
        nvlabs_sg2.bias_act(x, act="gelu")
    with pytest.raises(ValueError, match=r"impl: got 'fast', expected one of \['cuda', 'ref'\]"):
        nvlabs_sg2.bias_act(x, impl="fast")


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("demodulate", [False, True])
def test_the_convolution_of_stylegan3(size, demodulate):
    x, w, s, gain = randn(2, 3, 6, 7), randn(4, 3, size, size, seed=1), randn(2, 3, seed=2), randn(3, seed=3)
    own = w * w.square().mean([1, 2, 3], keepdim=True).rsqrt() if demodulate else w
    own = own * (s * s.square().mean().rsqrt() if demodulate else s)[:, None, :, None, None]
    if demodulate:
        own = own * (own.square().sum([2, 3, 4], keepdim=True) + 1e-8).rsqrt()
    own = own * gain[:, None, None]
    for padding in (0, size - 1, [1, 2]):
        expected = [F.conv2d(x[i : i + 1], own[i], padding=padding) for i in range(2)]
        found = nvlabs_sg3.modulated_conv2d(x, w, s, demodulate, padding, gain)
        torch.testing.assert_close(found, torch.cat(expected), atol=1e-12, rtol=1e-12)


def test_filtered_leaky_relu():
    x, b, taps = randn(2, 3, 6, 6), randn(3), torch.tensor([1.0, 3, 3, 1]) / 8
    y = F.pad(x + b[:, None, None], [0, 0])
    y = nvlabs_sg3.upfirdn2d(y, taps, up=2, padding=[2, 1, 2, 1], gain=4)
    y = (F.leaky_relu(y, 0.3) * 1.5).clamp(-0.8, 0.8)
    expected = blurred(y, torch.outer(taps, taps).double())[:, :, ::2, ::2]
    found = nvlabs_sg3.filtered_lrelu(x, taps, taps, b, 2, 2, [2, 1, 2, 1], 1.5, 0.3, 0.8)
    torch.testing.assert_close(found, expected)


def test_rosinalitys_functions():
    x, bias = randn(2, 3, 5, 5), randn(3)
    found = rosinality.fused_leaky_relu(x, bias, 0.1, 3.0)
    torch.testing.assert_close(found, F.leaky_relu(x + bias[:, None, None], 0.1) * 3)
    layer = rosinality.FusedLeakyReLU(3)
    assert list(layer.state_dict()) == ["bias"]
    torch.testing.assert_close(layer(x[:, :, 0, 0]), F.leaky_relu(x[:, :, 0, 0], 0.2) * 2**0.5)
    kernel = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 16
    # (before, after) on both axes, where NVlabs' pair is [x, y]
    expected = blurred(F.pad(x, [2, 1, 2, 1]), kernel.double())
    torch.testing.assert_close(rosinality.upfirdn2d(x, kernel, pad=(2, 1)), expected)


def test_filters_that_are_products_are_found():
    f = nvlabs_sg2.setup_filter([1, 3, 3, 1])
    assert f.shape == (4, 4)
    torch.testing.assert_close(taps_of(f), torch.tensor([1.0, 3, 3, 1]) / 8)
    torch.testing.assert_close(taps_of(4 * f), torch.tensor([1.0, 3, 3, 1]) / 4)
    assert taps_of(torch.outer(torch.tensor([1.0, 2, 1]), torch.tensor([1.0, 1, 1]))) is None
    assert taps_of(torch.tensor([[1.0, 0], [0, -1]])) is None
    f[0, 0] = 1  # what is known of a filter ends when it changes
    assert taps_of(f) is None
    assert nvlabs_sg2.setup_filter([1] * 8).shape == (8,)
    with pytest.raises(ValueError, match=r"separable: got True for f of shape \(2, 2\)"):
        nvlabs_sg2.setup_filter([[1, 2], [3, 4]], separable=True)


def test_calls_are_counted_with_the_reason():
    tally, f = Tally(), nvlabs_sg2.setup_filter([1, 2, 1])
    x, weight, styles = randn(1, 2, 4, 4).float(), randn(3, 2, 3, 3).float(), randn(1, 2).float()
    with counting(tally):
        nvlabs_sg2.modulated_conv2d(x, weight, styles, padding=1)
        nvlabs_sg2.modulated_conv2d(x, weight, styles, padding=1)
        nvlabs_sg2.modulated_conv2d(x, weight, styles, up=2, padding=1, resample_filter=f)
        nvlabs_sg2.modulated_conv2d(x, weight.requires_grad_(), styles, padding=1)
        nvlabs_sg2.bias_act(x, impl="ref")
    lines = tally.report()
    assert {line[:3] for line in lines if line.what != "modulated_conv2d"} == {
        ("bias_act", "reference", "impl='ref' was asked for")
    }
    reasons = {line.reason: (line.served, line.calls) for line in lines if line.what == "modulated_conv2d"}
    assert reasons[""] == ("kernel", 2)
    assert reasons["a filter that is not 4 taps for both axes"] == ("reference", 1)
    assert reasons["a gradient is needed"] == ("reference", 1)
    assert lines.fallbacks == 3
    assert "modulated_conv2d  kernel     2" in str(lines)
    assert isinstance(compat.report(), compat.Report)


def test_a_changed_weight_is_prepared_anew():
    """Also where ``.data`` was changed, which leaves a tensor's version as it is."""
    x, styles = randn(1, 2, 4, 4).float(), randn(1, 2).float()
    weight = torch.nn.Parameter(randn(3, 2, 3, 3).float())
    with torch.no_grad():
        before = nvlabs_sg2.modulated_conv2d(x, weight, styles, padding=1)
        assert torch.equal(before, nvlabs_sg2.modulated_conv2d(x, weight, styles, padding=1))
        version = weight._version
        weight.data.mul_(0.5).add_(1)
        assert weight._version == version
        after = nvlabs_sg2.modulated_conv2d(x, weight, styles, padding=1)
        fresh = nvlabs_sg2.modulated_conv2d(x, weight.clone(), styles, padding=1)
    assert torch.equal(after, fresh)
    assert not torch.allclose(before, after)


def test_half_precision_does_not_overflow():
    x = 100 * randn(1, 64, 4, 4).half()
    weight, styles = 10 * randn(5, 64, 5, 5).float(), 100 * randn(1, 64).float()
    for demodulate in (True, False):
        found = nvlabs_sg2.modulated_conv2d(x, weight, styles / 1e4 ** (not demodulate), padding=2,
                                            demodulate=demodulate)  # fmt: skip
        exact = nvlabs_sg2.modulated_conv2d(
            x.double(), weight.double(), (styles / 1e4 ** (not demodulate)).double(), padding=2,
            demodulate=demodulate,
        )  # fmt: skip
        assert found.dtype == torch.float16
        assert (found.double() - exact).abs().max() < 0.01 * exact.abs().max()
