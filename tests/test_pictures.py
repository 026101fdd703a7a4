import numpy as np
import pytest
import torch
from PIL import Image

from higan_fast.pictures import image_grid, save_png, to_uint8


def test_levels():
    assert to_uint8(torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0])).tolist() == [0, 0, 128, 255, 255]


def test_a_grid_has_its_images_in_place_with_white_between():
    images = torch.arange(6, dtype=torch.uint8).reshape(2, 3, 1, 1, 1).expand(2, 3, 3, 4, 5)
    grid = image_grid(images, padding=1)
    assert grid.shape == (9, 17, 3)
    assert grid[0, 0, 0] == 0 and grid[0, 6, 0] == 1 and grid[5, 12, 2] == 5
    assert (grid[4] == 255).all() and (grid[:, 5] == 255).all()
    with pytest.raises(ValueError, match="images: got shape"):
        image_grid(torch.zeros(2, 3, 4, 5))


def test_png_holds_the_same_pixels(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    save_png(tmp_path / "new" / "picture.png", picture)
    with Image.open(tmp_path / "new" / "picture.png") as read:
        assert np.array_equal(np.asarray(read), picture)
