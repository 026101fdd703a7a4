import pytest
import torch
import torch.nn.functional as F

from higan_fast.ops import bias_act, modulated_conv2d, setup_filter, upfirdn2d
from higan_fast.ops.modulated_conv2d import normalize_weight, square_weight


def tensors(kernel=3, num=2, inputs=3, outputs=5, height=4, width=6):
    torch.manual_seed(0)
    shapes = [(num, inputs, height, width), (outputs, inputs, kernel, kernel), (num, inputs), (outputs,)]
    return [torch.randn(shape, dtype=torch.float64) for shape in shapes]


def by_definition(x, weight, styles, demodulate, up):
    """With weights made for every sample, as the paper writes it."""
    images = []
    for sample, style in zip(x, styles, strict=True):
        own = weight * style[None, :, None, None]
        if demodulate:
            own = own / (own.square().sum([1, 2, 3], keepdim=True) + 1e-8).sqrt()
        if up == 1:
            images.append(F.conv2d(sample[None], own, padding=weight.shape[-1] // 2))
        else:
            y = F.conv_transpose2d(sample[None], own.transpose(0, 1), stride=2)
            taps = setup_filter().double()
            pad = 1 if weight.shape[-1] == 3 else 2
            images.append(upfirdn2d(y, torch.outer(taps, taps), padding=pad, gain=4))
    return torch.cat(images)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("demodulate", [False, True])
@pytest.mark.parametrize("up", [1, 2])
def test_equals_the_definition(kernel, demodulate, up):
    x, weight, styles, _ = tensors(kernel)
    found = modulated_conv2d(
        x, weight, styles, demodulate=demodulate, up=up, resample_filter=setup_filter() if up == 2 else None
    )
    assert found.shape == (2, 5, 4 * up, 6 * up)
    torch.testing.assert_close(
        found, by_definition(x, weight, styles, demodulate, up), atol=1e-12, rtol=1e-12
    )


@pytest.mark.parametrize("demodulate", [False, True])
@pytest.mark.parametrize("activation", ["linear", "lrelu", "swish"])
@pytest.mark.parametrize("gain", [None, 0.7, -1.5])
def test_the_tail_comes_in_order(demodulate, activation, gain):
    x, weight, styles, bias = tensors()
    noise, next_styles = torch.randn(2, 1, 4, 6).double(), torch.randn(2, 5).double()
    plain = by_definition(x, weight, styles, demodulate, 1)
    expected = bias_act(plain + noise, bias, activation=activation, gain=gain, clamp=0.8)
    found = modulated_conv2d(
        x, weight, styles, demodulate=demodulate, noise=noise, bias=bias, activation=activation, gain=gain,
        clamp=0.8, next_styles=next_styles,
    )  # fmt: skip
    torch.testing.assert_close(found, expected * next_styles[:, :, None, None], atol=1e-12, rtol=1e-12)


def test_a_forwarded_style_and_a_given_square_change_nothing():
    x, weight, styles, _ = tensors()
    plain = modulated_conv2d(x, weight, styles)
    scaled = x * styles[:, :, None, None]
    for found in (
        modulated_conv2d(scaled, weight, styles, modulated=True),
        modulated_conv2d(x, weight, styles, weight_square=square_weight(weight)),
    ):
        torch.testing.assert_close(found, plain, atol=1e-13, rtol=1e-13)


def test_gradients():
    x, weight, styles, bias = (tensor.requires_grad_() for tensor in tensors(height=3, width=2))

    def op(*args):
        return modulated_conv2d(
            *args[:3], bias=args[3], up=2, resample_filter=setup_filter(), activation="lrelu"
        )

    assert torch.autograd.gradcheck(op, (x, weight, styles, bias))


def test_half_precision_stays_near():
    x, weight, styles, _ = tensors(inputs=64)
    exact = modulated_conv2d(x, weight, styles)
    rough = modulated_conv2d(x.bfloat16(), weight.float(), styles.float())
    assert rough.dtype is torch.bfloat16
    # bfloat16 keeps 8 bits: each product errs by 2^-8, and their sum of unit variance by a few times that.
    assert (rough.double() - exact).abs().max() < 0.05


@pytest.mark.parametrize(
    "change, message",
    [
        ({"x": torch.zeros(2, 4, 4, 6)}, "x, weight: got shapes"),
        ({"weight": torch.zeros(5, 3, 5, 5)}, "weight: got a 5×5 kernel"),
        ({"styles": torch.zeros(2, 4)}, "styles: got shape"),
        ({"next_styles": torch.zeros(2, 3)}, "next_styles: got shape"),
        ({"up": 4}, "up: got 4"),
        ({"up": 2}, "resample_filter: needed"),
        ({"impl": "cuda"}, "impl: got 'cuda'"),
        ({"styles": torch.zeros(3, 3)}, "styles: got shape"),
        ({"convolution": "own"}, "convolution: got 'own'"),
    ],
)
def test_bad_input_is_named(change, message):
    x, weight, styles, _ = tensors()
    with pytest.raises(ValueError, match=message):
        modulated_conv2d(**{"x": x, "weight": weight, "styles": styles, **change})


def test_one_sample_feeds_several_styles():
    x, weight, _, _ = tensors()
    styles = torch.randn(6, 3, dtype=torch.float64)
    found = modulated_conv2d(x, weight, styles)
    expected = by_definition(x.repeat_interleave(3, 0), weight, styles, True, 1)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("demodulate", [False, True])
def test_a_normalised_weight_with_its_gain_changes_nothing(demodulate):
    x, weight, styles, _ = tensors()
    small, gain = normalize_weight(weight * 1000)
    assert small.abs().amax([1, 2, 3]).allclose(torch.tensor(27.0).double().rsqrt())
    found = modulated_conv2d(x, small, styles, weight_gain=gain, demodulate=demodulate)
    expected = by_definition(x, weight * 1000, styles, demodulate, 1)
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("impl", ["reference", "native"])
def test_float16_does_not_overflow(impl):
    """Products of these weights and styles reach 1e6; what leaves is of size 1."""
    x, weight, styles, _ = tensors(inputs=64)
    exact = modulated_conv2d(x, weight * 1000, styles * 1000)
    found = modulated_conv2d(x.half(), (weight * 1000).float(), (styles * 1000).float(), impl=impl)
    assert found.dtype is torch.float16
    assert (found.double() - exact).abs().max() < 0.01 * exact.abs().max()


@pytest.mark.parametrize("shape", [(2, 16, 0, 8), (2, 16, 8, 0), (2, 0, 8, 8)])
@pytest.mark.parametrize("impl", ["reference", "native"])
def test_an_image_without_pixels_or_channels_is_refused(shape, impl):
    x, styles = torch.zeros(shape), torch.zeros(shape[:2])
    with pytest.raises(ValueError, match=r"x: got shape .*, expected at least one channel and 1×1 pixels"):
        modulated_conv2d(x, torch.zeros(16, shape[1], 3, 3), styles, impl=impl)
