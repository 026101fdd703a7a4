import gzip
import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from higan_fast.checkpoints.sniffing import read_content, read_json

TENSOR = {"x": torch.ones(2)}


def written(path, kind):
    if kind == "pickle":
        path.write_bytes(pickle.dumps([1, TENSOR]))
    elif kind == "safetensors":
        save_file(TENSOR, path, {"by": "us"})
    else:
        torch.save(TENSOR, path, _use_new_zipfile_serialization=kind == "zip")
    return path


@pytest.mark.parametrize("name", ["a.pkl", "a.pth", "a.pt", "a.bin", "a.safetensors", "a.zip", "a"])
@pytest.mark.parametrize("kind", ["pickle", "safetensors", "zip", "legacy"])
def test_names_say_nothing(tmp_path, kind, name):
    found = read_content(written(tmp_path / name, kind))
    assert found.kind == ("torch" if kind in ("zip", "legacy") else kind)
    value = found.value[1] if kind == "pickle" else found.value
    assert torch.equal(value["x"], torch.ones(2))
    assert found.metadata == ({"by": "us"} if kind == "safetensors" else {})


MISTAKEN = {
    "empty": (b"", "the file is empty"),
    "page": (b"\n<!DOCTYPE html><html><head>Sign in", "a web page: the download failed"),
    "page without a type": (b"<HTML>", "a web page"),
    "error of a server": (b'<?xml version="1.0"?><Error>', "the download failed"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\n", "git lfs pull"),
    "gzip": (gzip.compress(b"x"), "gunzip"),
    "zeros": (bytes(4096), "zeros alone"),
    "text": (
        b"cannot find the file",
        "not a checkpoint of any known kind; it begins with 'cannot find the '",
    ),
    "another text": (b"(see below)", "not a checkpoint of any known kind"),
    "strange text": (b"\x1b]0;title\x07 and more", r"it begins with '\\x1b]0;title"),
    "other bytes": (b"\xa1\xb2" + b"\1" * 99, "begins with the bytes a1 b2 01 01"),
    "image": (b"\x89PNG\r\n\x1a\n" + b"\1" * 99, "a picture, which is no generator"),
    "tar": (b"a.txt" + bytes(252) + b"ustar  " + bytes(99), "a tar archive; unpack it"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(99), "compressed by zstd"),
    "ONNX": (b"\x08\x07\x12\x07pytorch\x1a\x052.1.0:\xef", "an ONNX model"),
    "long header": (b"\xff" * 3 + bytes(5) + b"{" + b" " * 99, "its header would have 16777215 bytes"),
    "header of many": (
        (header := json.dumps({str(i): {} for i in range(20_001)}).encode())
        and len(header).to_bytes(8, "little") + header,
        "a safetensors file that holds 20001 tensors; no generator has more than 20000",
    ),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    "cut archive": (b"PK\x03\x04" + b"a" * 99, "begins as a zip archive, but its end is missing"),
    "cut safetensors": (b"\x40" + bytes(7) + b'{"x":', "begins as a safetensors file but is truncated"),
    "newer pickle": (b"\x80\x09", "not a checkpoint of any known kind"),
}


@pytest.mark.parametrize("name", MISTAKEN)
def test_what_is_no_checkpoint_is_told(tmp_path, name):
    data, message = MISTAKEN[name]
    path = tmp_path / "network.pkl"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as raised:
        read_content(path)
    assert str(path) in str(raised.value)


def test_a_numpy_array_is_told(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(3))
    with pytest.raises(ValueError, match="a NumPy array, which is no generator"):
        read_content(tmp_path / "a.npy")


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        read_content(tmp_path / "missing.pkl")


@pytest.mark.parametrize(
    "kind, name",
    [("zip", "pytorch_model.bin"), ("legacy", "pytorch_model.bin"), ("safetensors", "model.safetensors")],
)
def test_folders(tmp_path, kind, name):
    with pytest.raises(ValueError, match=r"a folder with nothing; expected a config\.json beside"):
        read_content(tmp_path)
    written(tmp_path / name, kind)
    with pytest.raises(ValueError, match=f"a folder with {name}; expected a config"):
        read_content(tmp_path)
    (tmp_path / "config.json").write_text('{"layers": 3}')
    found = read_content(tmp_path)
    assert found.kind == "folder" and found.value["config"] == {"layers": 3}
    assert torch.equal(found.value["weights"]["x"], torch.ones(2))
    written(tmp_path / f"other{(tmp_path / name).suffix}", kind)
    with pytest.raises(ValueError, match="beside one"):
        read_content(tmp_path)


@pytest.mark.parametrize(
    "text, message", [("[1]", "a JSON list, expected an object"), ("{", "not JSON"), ("[" * 9999, "not JSON")]
)
def test_broken_json(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_json(tmp_path / "config.json")
    (tmp_path / "config.json").write_text(json.dumps({"a": 1}))
    assert read_json(tmp_path / "config.json") == {"a": 1}
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")


def test_a_type_of_numbers_that_torch_lacks_is_named(tmp_path):
    header = json.dumps({"a": {"dtype": "F8_E8M0", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(ValueError, match="holds tensors of type 'F8_E8M0', which cannot be read"):
        read_content(tmp_path / "a")
