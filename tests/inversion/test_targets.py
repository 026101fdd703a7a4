"""Pictures as targets: what is one, of which size, and what is said of others."""

import numpy as np
import pytest
import torch
from PIL import Image

from higan_fast.inversion import picture_files, read_pictures


@pytest.fixture
def folder(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "b.png")
    Image.fromarray(pixels[::-1].copy()).save(tmp_path / "a.PNG")
    (tmp_path / "notes.txt").write_text("none")
    return tmp_path, pixels


def test_a_folder_stands_for_its_pictures(folder):
    path, pixels = folder
    files = picture_files([path])
    assert [file.name for file in files] == ["a.PNG", "b.png"]
    found = read_pictures(files, 16)
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
        "grey.png": (
            Image.fromarray(pixels[..., 0]),
            r"has one channel \(grey\), expected three, RGB; --crop",
        ),
        "alpha.png": (Image.fromarray(pixels).convert("RGBA"), r"has four channels \(RGBA\)"),
        "palette.png": (Image.fromarray(pixels).convert("P"), "has a palette, expected three"),
    }
    for name, (picture, message) in cases.items():
        picture.save(path / name)
        with pytest.raises(ValueError, match=f"{name}: {message}"):
            read_pictures([path / name], 16)
        assert read_pictures([path / name], 16, crop=True).shape == (1, 3, 16, 16)
    whole = (path / "b.png").read_bytes()
    (path / "half.png").write_bytes(whole[: len(whole) // 2])
    for name in ("notes.txt", "half.png"):
        with pytest.raises(ValueError, match=f"{name}: is no picture that can be read"):
            read_pictures([path / name], 16)
    with pytest.raises(FileNotFoundError, match=r"none.png: there is no such file"):
        read_pictures([path / "none.png"], 16)
