import pytest
import torch

from higan_fast.ops import setup_filter, to_rgb, upfirdn2d


def tensors():
    torch.manual_seed(0)
    shapes = [(2, 5, 4, 6), (3, 5, 1, 1), (2, 5), (3,), (2, 3, 2, 3)]
    return [torch.randn(shape, dtype=torch.float64) for shape in shapes]


def by_definition(x, weight, styles, bias):
    return torch.einsum("nihw,ni,oi->nohw", x, styles, weight[:, :, 0, 0]) + bias[:, None, None]


def test_adds_the_upsampled_image():
    x, weight, styles, bias, rgb = tensors()
    taps = setup_filter().double()
    upsampled = upfirdn2d(rgb, torch.outer(taps, taps), up=2, padding=[2, 1, 2, 1], gain=4)
    found = to_rgb(x, weight, styles, bias=bias, rgb=rgb, resample_filter=setup_filter())
    expected = upsampled + by_definition(x, weight, styles, bias)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


def test_the_clamp_bounds_the_new_term_alone():
    x, weight, styles, bias, _ = tensors()
    rgb = torch.full((2, 3, 4, 6), 10.0).double()
    found = to_rgb(x, weight, styles, bias=bias, rgb=rgb, clamp=0.5)
    expected = rgb + by_definition(x, weight, styles, bias).clamp(-0.5, 0.5)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)
    assert expected.max() == 10.5


def test_rgb_stays_in_float32():
    x, weight, styles, _, _ = tensors()
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert to_rgb(x.to(dtype), weight, styles).dtype is torch.float32


@pytest.mark.parametrize(
    "change, message",
    [
        ({"weight": torch.zeros(3, 4, 1, 1)}, "x, weight: got shapes"),
        ({"weight": torch.zeros(0, 5, 1, 1)}, "x, weight: got shapes"),
        ({"styles": torch.zeros(2, 4)}, "styles: got shape"),
        ({"rgb": torch.zeros(2, 3, 3, 3)}, "rgb: got shape"),
        ({"rgb": torch.zeros(2, 3, 2, 3)}, "resample_filter: needed"),
    ],
)
def test_bad_input_is_named(change, message):
    x, weight, styles, _, _ = tensors()
    with pytest.raises(ValueError, match=message):
        to_rgb(**{"x": x, "weight": weight, "styles": styles, **change})
