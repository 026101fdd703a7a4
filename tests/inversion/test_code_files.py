"""Codes in the files that other projectors write, and in ours."""

import io
import zipfile

import numpy as np
import pytest
import torch

import higan_fast as hf
from higan_fast.inversion import read_codes
from tests.toy import toy


@pytest.fixture(scope="module")
def codes():
    return np.random.default_rng(0).standard_normal((3, 5, 32)).astype(np.float32)


def test_files_of_others_are_read(codes, tmp_path):
    generator, _ = toy()
    np.savez(tmp_path / "projected_w.npz", w=codes[:1])  # NVlabs
    np.save(tmp_path / "inverted_codes.npy", codes.astype(np.float64))  # genforce
    np.save(tmp_path / "w.npy", codes[:, 0])
    torch.save(torch.from_numpy(codes), tmp_path / "latents.pt")  # e4e
    torch.save({"latents": torch.from_numpy(codes[0])}, tmp_path / "one.pt")
    of_rosinality = {
        f"in/{i}.png": {"latent": torch.from_numpy(each), "noise": []} for i, each in enumerate(codes)
    }
    torch.save(of_rosinality, tmp_path / "projected.pt")
    for name, expected, names in (
        ("projected_w.npz", codes[:1], ("0",)),
        ("inverted_codes.npy", codes, ("0", "1", "2")),
        ("w.npy", codes[:, :1].repeat(5, axis=1), ("0", "1", "2")),
        ("latents.pt", codes, ("0", "1", "2")),
        ("one.pt", codes[:1], ("0",)),
        ("projected.pt", codes, ("0.png", "1.png", "2.png")),
    ):
        found = read_codes(tmp_path / name, generator)
        assert np.array_equal(found.codes, expected) and found.names == names, name
        assert repr(found).startswith(f"FoundCodes({len(expected)} codes of ") and names[-1] in repr(found)
        assert found.codes.dtype == np.float32 and found.tuned is None and not found.noise


def test_ours_say_of_which_network_they_are(drawn, tmp_path):
    images, _ = drawn
    generator, _ = toy()
    options = {"steps": 8, "samples": 8, "progress": False, "out": tmp_path / "invert"}
    inversion = hf.invert(generator, images, names=list("abcde"), **options)
    for place in (tmp_path, tmp_path / "invert", tmp_path / "invert" / "codes.npz"):
        found = read_codes(place, generator)
        assert found.names == tuple("abcde") and np.array_equal(found.codes, inversion.codes)
    generator.w_avg += 1
    with pytest.raises(ValueError, match=r"codes.npz: was found for another network"):
        read_codes(tmp_path, generator)
    whole = (tmp_path / "invert" / "codes.npz").read_bytes()
    (tmp_path / "invert" / "codes.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"codes.npz: is no .npz file that can be read"):
        read_codes(tmp_path, toy()[0])


def test_what_holds_no_codes_of_this_generator_is_refused(codes, tmp_path):
    generator, _ = toy()
    broken = codes.copy()
    broken[1, 2, 3] = np.nan
    for name, value, message in (
        (
            "shape.npy",
            codes[..., :16],
            r"holds codes \[3, 5, 16\], and the generator has 5 layers .* of 32: exp",
        ),
        ("layers.npy", codes[:, :4], r"holds codes \[3, 4, 32\]"),
        ("nan.npy", broken, "holds codes that are not finite"),
        ("large.npy", np.full(codes.shape, 1e300), "holds codes that are not finite in float32"),
        ("long.npy", codes.astype(np.longdouble), "holds an array of '<f16', expected numbers"),
        ("objects.npy", np.array([{}, {}]), "has an array of objects, expected a single one"),
        ("whole.npy", codes.astype(np.int64), "holds an array of int64, expected codes"),
        ("none.npy", codes[:0], "holds 0 codes"),
    ):
        np.save(tmp_path / name, value)
        with pytest.raises(ValueError, match=f"{name}: {message}"):
            read_codes(tmp_path / name, generator)
    np.savez(tmp_path / "other.npz", images=codes)
    with pytest.raises(ValueError, match=r"other.npz: holds images, expected an array w of codes"):
        read_codes(tmp_path / "other.npz", generator)
    np.savez(tmp_path / "long.npz", w=codes.astype(np.longdouble))
    with pytest.raises(ValueError, match=r"long.npz: holds an array of '<f16', expected numbers"):
        read_codes(tmp_path / "long.npz", generator)
    huge = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (2**40, 5, 32)}
    np.lib.format.write_array_header_1_0(huge, header)
    for ending in ("npy", "npz"):
        path = tmp_path / f"huge.{ending}"
        path.write_bytes(huge.getvalue())
        if ending == "npz":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("w.npy", huge.getvalue())
        with pytest.raises(ValueError, match=f"huge.{ending}: its array .* has 0 bytes; it is truncated"):
            read_codes(path, generator)
    np.savez(tmp_path / "objects.npz", w=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match=r"objects.npz: "):
        read_codes(tmp_path / "objects.npz", generator)
    torch.save({"state": 1}, tmp_path / "state.pt")
    with pytest.raises(ValueError, match=r"state.pt: holds a dict, expected codes"):
        read_codes(tmp_path / "state.pt", generator)
    with pytest.raises(FileNotFoundError, match=r"codes.npz: there is no such file; higan-fast invert"):
        read_codes(tmp_path, generator)
    (tmp_path / "mine.py").write_text("import torch")
    with pytest.raises(
        ValueError, match=r"mine.py: ends in .py, expected codes in a file of .npz, .npy, .pt"
    ):
        read_codes(tmp_path / "mine.py", generator)
