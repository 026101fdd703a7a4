"""Pictures as targets: what is one, of which size, and what is said of others."""

import numpy as np
import pytest
import torch
from PIL import Image

from higan_fast.inversion import picture_files, read_pictures

RGB = (3, 16, 16)


@pytest.fixture
def folder(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "b.png")
    Image.fromarray(pixels[::-1].copy()).save(tmp_path / "a.PNG")
    (tmp_path / "._b.png").write_bytes(b"of macOS")
    (tmp_path / "notes.txt").write_text("none")
    return tmp_path, pixels


def test_a_folder_stands_for_its_pictures(folder):
    path, pixels = folder
    files = picture_files([path])
    assert [file.name for file in files] == ["a.PNG", "b.png"]
    found = read_pictures(files, RGB)
    assert found.shape == (2, 3, 16, 16)
    assert torch.equal(((found[1] + 1) * 127.5).round().byte().permute(1, 2, 0), torch.from_numpy(pixels))
    with pytest.raises(ValueError, match=r"b.png: another picture has the name b.png too"):
        picture_files([path, path / "b.png"])
    (path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: has no picture in it, expected files that end in .png"):
        picture_files([path / "empty"])


def test_what_is_no_such_picture_is_refused(folder):
    path, pixels = folder
    cases = {
        "wide.png": (
            Image.fromarray(pixels[:8]),
            "has 16 by 8 pixels, and the generator draws 16 by 16; --crop",
        ),
        "alpha.png": (
            Image.fromarray(pixels).convert("RGBA"),
            r"has alpha, and the generator's images have 3 channels \(RGB\); --crop lays it over white",
        ),
    }
    for name, (picture, message) in cases.items():
        picture.save(path / name)
        with pytest.raises(ValueError, match=f"{name}: {message}"):
            read_pictures([path / name], RGB)
        assert read_pictures([path / name], RGB, crop=True).shape == (1, 3, 16, 16)
    Image.fromarray(pixels[..., 0].astype(np.float32) / 255).save(path / "floats.tif")
    with pytest.raises(ValueError, match=r"floats.tif: has numbers of 32 bits, expected 8 or 16; save it"):
        read_pictures([path / "floats.tif"], RGB, crop=True)
    Image.fromarray(pixels).save(path / "printed.eps")
    (path / "printed.eps").rename(path / "printed.png")  # Pillow would have Ghostscript draw it
    with pytest.raises(
        ValueError, match=r"printed.png: is no picture .* formats: PNG, JPEG, WEBP, BMP, TIFF"
    ):
        read_pictures([path / "printed.png"], RGB)
    frames = [Image.new("RGB", (16, 16), (shade, 0, 0)) for shade in (0, 90)]
    for name in ("moving.png", "moving.webp", "pages.tif"):
        frames[0].save(path / name, save_all=True, append_images=frames[1:])
        with pytest.raises(ValueError, match=f"{name}: has 2 pictures in it .*, expected one; save the one"):
            read_pictures([path / name], RGB)
    whole = (path / "b.png").read_bytes()
    (path / "half.png").write_bytes(whole[: len(whole) // 2])
    for name in ("notes.txt", "half.png"):
        with pytest.raises(ValueError, match=f"{name}: is no picture that can be read"):
            read_pictures([path / name], RGB)
    with pytest.raises(FileNotFoundError, match=r"none.png: there is no such file"):
        read_pictures([path / "none.png"], RGB)


def test_pictures_take_the_channels_of_the_generator(folder):
    path, pixels = folder
    half = np.dstack([pixels, np.full((16, 16), 51, np.uint8)])
    for name, picture in {
        "color": Image.fromarray(pixels),
        "gray": Image.fromarray(pixels[..., 0]),
        "deep": Image.fromarray(pixels[..., 0].astype(np.uint16) * 257),
        "alpha": Image.fromarray(half),
    }.items():
        picture.save(path / f"{name}.png")

    def read(name, channels, crop=False):
        (found,) = read_pictures([path / f"{name}.png"], (channels, 16, 16), crop)
        return ((found + 1) * 127.5).round().int().permute(1, 2, 0).numpy()

    luma = pixels @ (0.299, 0.587, 0.114)
    assert np.abs(read("color", 1)[..., 0] - luma).max() <= 1
    assert (read("gray", 3) == pixels[..., :1]).all()
    assert (read("deep", 3, crop=True) == pixels[..., :1]).all(), "of 16 bits"
    assert (read("color", 4) == np.dstack([pixels, np.full((16, 16), 255)])).all(), "it is opaque"
    assert (read("alpha", 4) == half).all() and (read("gray", 2)[..., 1] == 255).all()
    assert np.abs(read("alpha", 3, crop=True) - (0.2 * pixels + 0.8 * 255)).max() <= 1, "over white"
    assert np.abs(read("alpha", 1, crop=True)[..., 0] - (0.2 * luma + 0.8 * 255)).max() <= 2
    for channels in (5, 7):
        with pytest.raises(
            ValueError, match=f"pictures: the generator's images have {channels} channels, and"
        ):
            read("color", channels)


def test_pictures_that_are_not_square(folder):
    path, pixels = folder
    Image.fromarray(pixels[:, 4:12]).save(path / "tall.png")
    found = read_pictures([path / "tall.png"], (3, 16, 8))
    assert torch.equal(
        ((found[0] + 1) * 127.5).round().byte().permute(1, 2, 0), torch.tensor(pixels[:, 4:12])
    )
    assert torch.equal(read_pictures([path / "b.png"], (3, 16, 8), crop=True), found), "the middle"
    with pytest.raises(
        ValueError, match=r"b.png: has 16 by 16 pixels, and the generator draws 8 by 16; --crop"
    ):
        read_pictures([path / "b.png"], (3, 16, 8))
