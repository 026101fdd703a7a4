import pytest
import torch
import torch.nn.functional as F

from higan_fast.generators.progressive_layers import Conv, ToRGB, pixel_norm, upsampling_kernel


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (3, 5)])
def test_the_upsampling_kernel_doubles_pixels_and_convolves(size):
    weight, x = torch.randn(5, 3, 3, 3).double(), torch.randn(2, 3, *size).double()
    expected = F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), weight, padding=1)
    found = F.conv_transpose2d(x, upsampling_kernel(weight), stride=2, padding=1)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


def test_new_convolutions_keep_the_variance_of_what_a_leaky_relu_lets_through():
    torch.manual_seed(0)
    x = torch.randn(4, 64, 16, 16)
    for up in (False, True):
        assert Conv(64, 32, up)(x)[..., 2:-2, 2:-2].std().item() == pytest.approx(2**0.5, rel=0.1)
    assert ToRGB(64)(x).std().item() == pytest.approx(1, rel=0.2)


def test_pixel_norm_has_unit_second_moment_and_does_not_overflow():
    x = torch.randn(2, 50, 3, 3)
    assert pixel_norm(x).square().mean(1).sub(1).abs().max() < 1e-5
    half = pixel_norm((300 * x).half())  # whose squares pass 65504
    assert half.dtype is torch.float16
    assert (half.float() - pixel_norm(x)).abs().max() < 5e-3
    assert torch.equal(pixel_norm(torch.zeros(1, 4, 2, 2)), torch.zeros(1, 4, 2, 2))
