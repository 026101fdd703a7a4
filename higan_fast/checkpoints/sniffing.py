"""A path → what is there, told from its bytes and never from its name."""

from __future__ import annotations

import json
import mmap
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from higan_fast.checkpoints.contents import Content
from higan_fast.checkpoints.pickles.torch_files import read_pickle, read_zip

WEIGHTS = ("*.safetensors", "*.bin")  # in a folder: the first that is there
# A protocol, an empty container, a class, or a mark before what a container begins with.
PICKLE = re.compile(rb"\x80[\0-\5]|[]})]|\(*c[\w.]+\n[\w.]+\n|\(+[]})dltNIJKMLFGSTUVX]")
WEB_PAGE = "a web page: the download failed; open its address in a browser"
# What is often found in the place of weights: how it begins, in small letters, and what to say.
MISTAKEN = {
    b"<!doctype html": WEB_PAGE,
    b"<html": WEB_PAGE,
    b"<?xml": "an XML text, such as a file server's error: the download failed",
    b"version https://git-lfs": "a git-lfs pointer, not the file itself; fetch it with `git lfs pull`",
    b"\x1f\x8b": "compressed by gzip; unpack it with gunzip",
    b"7z\xbc\xaf": "a 7z archive; unpack it",
    b"rar!": "a RAR archive; unpack it",
    b"\x89hdf": "an HDF5 file, a format in which no generator here comes",
    b"\x93numpy": "a NumPy array, which is no generator",
}


def read_content(path: Path) -> Content:
    """Whatever is at ``path``, read without executing anything.

    Raises:
        FileNotFoundError: when there is no such file or folder.
        ValueError: when it is none of the kinds that can be read, damaged, or refused.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    with path.open("rb") as file:
        begin = file.read(300)
    if not begin:
        raise ValueError(f"{path}: the file is empty")
    if begin.startswith(b"PK\x03\x04"):
        return Content(path, "torch", read_zip(_mapped(path), path))
    if begin[8:9] == b"{" and int.from_bytes(begin[:8], "little") < 2**32:
        return _read_safetensors(path)
    for mistaken, what in MISTAKEN.items():
        if begin.lstrip().lower().startswith(mistaken):
            raise ValueError(f"{path}: {what}")
    if not any(begin):
        raise ValueError(f"{path}: begins with zeros alone; the copy or the download was cut off")
    if not PICKLE.match(begin):
        text = begin[:16].isascii()
        shown = ascii(begin[:16].decode()) if text else f"the bytes {begin[:16].hex(' ')}"
        raise ValueError(f"{path}: not a checkpoint of any known kind; it begins with {shown}")
    by_torch, value = read_pickle(_mapped(path), path)
    return Content(path, "torch" if by_torch else "pickle", value)


def _mapped(path: Path) -> memoryview:
    """The file's bytes; what is written to them stays in memory."""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))


def _read_safetensors(path: Path) -> Content:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            return Content(path, "safetensors", tensors, file.metadata() or {})
    except (SafetensorError, RuntimeError, TypeError, AttributeError) as error:
        reason = f"begins as a safetensors file but is truncated or damaged ({error})"
        raise ValueError(f"{path}: {reason}") from None


def _read_folder(path: Path) -> Content:
    config = path / "config.json"
    weights = next((found for pattern in WEIGHTS if (found := sorted(path.glob(pattern)))), [])
    if not config.is_file() or len(weights) != 1:
        names = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        expected = "a config.json beside one .safetensors or .bin with weights"
        raise ValueError(f"{path}: a folder with {names}; expected {expected}")
    value = {"config": read_json(config), "weights": read_content(weights[0]).value}
    return Content(path, "folder", value)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file with an object.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({str(error).splitlines()[0]})") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path}: a JSON {type(values).__name__}, expected an object")
    return values
