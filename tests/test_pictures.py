import numpy as np
import pytest
import torch
from PIL import Image

from higan_fast.pictures import check_picture_name, image_grid, labelled_grid, save_picture, to_uint8


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
    save_picture(tmp_path / "new" / "picture.png", picture)
    with Image.open(tmp_path / "new" / "picture.png") as read:
        assert np.array_equal(np.asarray(read), picture)


@pytest.mark.parametrize(("size", "shown"), [(16, 64), (64, 64), (80, 80)])
def test_labels_stand_beside_the_pixels_and_change_none(size, shown):
    images = torch.randint(1, 250, (2, 3, 3, size, size), dtype=torch.uint8)
    picture = labelled_grid(images, ["sample 3", "sample 17"], ["-3", "0", "+3"], "bed on all layers", "step")
    factor, tile = shown // size, images[1, 2].permute(1, 2, 0).repeat_interleave(shown // size, 0)
    tile = tile.repeat_interleave(factor, 1).numpy()
    places = np.lib.stride_tricks.sliding_window_view(picture, (shown, shown, 3))[:, :, 0]
    ((top, left),) = np.argwhere(
        (places[..., 0, 0, :] == tile[0, 0]).all(-1) & (places == tile).all((2, 3, 4))
    )
    beside, above = picture[top : top + shown, : left - 2 * (shown + 4)], picture[: top - shown - 4, left:]
    assert (beside.min(), above.min()) < (60, 60), "ink on the left and on top"
    assert (picture[-4:] == 255).all() and (picture[:, -4:] == 255).all()


@pytest.mark.parametrize("name", ["a.png", "a.JPG", "a.jpeg", "a.webp"])
def test_the_name_says_the_format(tmp_path, name):
    save_picture(tmp_path / name, np.full((9, 9, 3), 90, np.uint8))
    with Image.open(tmp_path / name) as read:
        assert read.format in {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP"}[name.lower()[2:]]
        assert (np.asarray(read) == 90).all()


@pytest.mark.parametrize("name", ["a.tiff", "a", "a.png.txt"])
def test_other_names_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"pictures end in \.png, \.jpg, \.jpeg, \.webp"):
        check_picture_name(tmp_path / name)
    with pytest.raises(ValueError, match="pictures end in"):
        save_picture(tmp_path / name, np.zeros((9, 9, 3), np.uint8))
    assert not list(tmp_path.iterdir())
