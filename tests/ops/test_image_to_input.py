import numpy as np
import pytest
import torch
from PIL import Image

from higan_fast.ops import image_to_input


def test_normalises_after_clipping():
    images = torch.tensor([-2.0, -1.0, 0.0, 1.0]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    found = image_to_input(images, mean=(0.5, 0.5, 0.25), std=(0.5, 0.25, 1.0))
    assert found[0, 0].flatten().tolist() == [-1, -1, 0, 1]
    assert found[0, 1].flatten().tolist() == [-2, -2, 0, 2]
    assert found[0, 2].flatten().tolist() == [-0.25, -0.25, 0.25, 0.75]


def test_rounds_to_the_levels_of_a_png_as_higan_does():
    images = torch.linspace(-1, 1, 3 * 64).reshape(1, 3, 8, 8)
    expected = np.clip((images.numpy() + 1) * 255 / 2 + 0.5, 0, 255).astype(np.uint8) / np.float32(255)
    np.testing.assert_allclose(image_to_input(images, round_to_uint8=True).numpy(), expected, atol=1e-7)


@pytest.mark.parametrize("size", [24, 96])
def test_resizes_as_pillow_does(size):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))
    images = torch.tensor(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
    found = image_to_input(images, size)[0].permute(1, 2, 0).numpy() * 255
    # Pillow rounds to whole levels after each of its two passes.
    np.testing.assert_allclose(found, expected, atol=1.01)


def test_without_antialias_it_reads_four_neighbours():
    images = torch.zeros(1, 3, 64, 64)
    images[:, :, 1, 1] = 1
    assert image_to_input(images, 8, antialias=False).unique().tolist() == [0.5]
    assert len(image_to_input(images, 8).unique()) > 1


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="images: got shape"):
        image_to_input(torch.zeros(3, 8, 8))
    with pytest.raises(ValueError, match="std: got 3 numbers, expected one for each of 4 channels"):
        image_to_input(torch.zeros(1, 4, 8, 8), std=(1.0, 1.0, 1.0))
