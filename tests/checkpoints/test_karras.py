import math

import pytest
import torch
import torch.nn.functional as F

from higan_fast.checkpoints.conversion import taken
from higan_fast.checkpoints.formats.karras import acting, check_grown, fused_sizes, pggan


def test_weights_have_the_gain_in_them():
    weight = torch.randn(5, 4, 3, 3)
    torch.testing.assert_close(acting(weight), weight * math.sqrt(2) / 6)
    torch.testing.assert_close(acting(weight, 1), weight / 6)


def test_fused_sizes(tmp_path):
    sizes = [4, 64, 128, 256]
    assert fused_sizes(tmp_path, "auto", sizes) == [128, 256]
    assert fused_sizes(tmp_path, True, sizes) == sizes
    assert fused_sizes(tmp_path, False, sizes) == []
    with pytest.raises(ValueError, match="fused_scale is None, expected true, false"):
        fused_sizes(tmp_path, None, sizes)


def test_only_networks_that_have_grown_are_read(tmp_path):
    check_grown(tmp_path, 0)
    check_grown(tmp_path, torch.zeros(1))
    for lod in (torch.tensor(0.5), 3, torch.zeros(2)):
        with pytest.raises(ValueError, match="saved before it had grown"):
            check_grown(tmp_path, lod)
    with pytest.raises(ValueError, match="lod is a str, expected a tensor"):
        check_grown(tmp_path, "none")


@pytest.mark.parametrize("fused", [True, False])
def test_a_fused_layer_is_a_transposed_convolution_with_a_sum_of_four_shifts(tmp_path, fused):
    """As the networks run it, beside what becomes of it here."""
    raw = torch.randn(4, 6, 3, 3)  # [O, I, 3, 3]
    tensors = {
        "dense.weight": torch.randn(96, 5), "dense.bias": torch.zeros(96), "first": torch.randn(6, 6, 3, 3),
        "up": raw, "last": torch.randn(4, 4, 3, 3), "rgb": torch.randn(3, 4, 1, 1), "six": torch.zeros(6),
        "four": torch.zeros(4), "three": torch.zeros(3),
    }  # fmt: skip
    parts = {
        "dense.weight": "dense.weight", "dense.bias": "dense.bias", "blocks.0.conv.weight": "first",
        "blocks.1.conv.weight": "up", "blocks.2.conv.weight": "last", "blocks.0.bias": "six",
        "blocks.1.bias": "four", "blocks.2.bias": "four", "rgb.weight": "rgb", "rgb.bias": "three",
    }  # fmt: skip
    file = tmp_path / "network.pkl"
    file.write_bytes(bytes(4 * sum(tensor.numel() for tensor in tensors.values())))
    generator = pggan(file, tensors, {k: taken(v) for k, v in parts.items()}, [8] if fused else [])
    x, weight = torch.randn(2, 6, 4, 4), raw * math.sqrt(2 / 54)
    if fused:
        padded = F.pad(weight, [1, 1, 1, 1])
        shifts = [padded[..., i : i + 4, j : j + 4] for i in (0, 1) for j in (0, 1)]
        expected = F.conv_transpose2d(x, sum(shifts).transpose(0, 1), stride=2, padding=1)
    else:
        expected = F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), weight, padding=1)
    torch.testing.assert_close(generator.blocks[1].conv(x), expected, atol=1e-5, rtol=1e-5)
