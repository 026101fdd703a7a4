"""A path → what is there, told from its bytes and never from its name."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open

from higan_fast.checkpoints.contents import Content, shown
from higan_fast.checkpoints.pickles.torch_files import read_pickle, read_zip
from higan_fast.opening import check_file, is_folder, is_large, open_bytes, opened
from higan_fast.wording import printable

WEIGHTS = ("*.safetensors", "*.bin")  # in a folder: the first that is there
# A protocol, an empty container, a class, or a mark before what a container begins with.
PICKLE = re.compile(rb"\x80[\0-\5]|[]})]|\(*c[\w.]+\n[\w.]+\n|\(+[]})dltNIJKMLFGSTUVX]")
LONGEST_HEADER, MOST_TENSORS = 2**22, 20_000  # of a safetensors file; generators have some 1,500 tensors

WEB_PAGE = "a web page: the download failed; open its address in a browser"
PICTURE = "a picture, which is no generator"
ARCHIVE = "a compressed archive; unpack it"
# What is often found in the place of weights: how it begins, in small letters, and what to say.
MISTAKEN = {
    b"<!doctype html": WEB_PAGE,
    b"<html": WEB_PAGE,
    b"<?xml": "an XML text, such as a file server's error: the download failed",
    b"version https://git-lfs": "a git-lfs pointer, not the file itself; fetch it with `git lfs pull`",
    b"\x1f\x8b": "compressed by gzip; unpack it with gunzip",
    b"bzh": "compressed by bzip2; unpack it with bunzip2",
    b"\xfd7zxz": "compressed by xz; unpack it with unxz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it with unzstd",
    b"7z\xbc\xaf": ARCHIVE,
    b"pk\5\6": "a zip archive with nothing in it",
    b"pk\7\x08": "a part of a zip archive; put the parts together",
    b"rar!": ARCHIVE,
    b"\x89hdf": "an HDF5 file, a format in which no generator here comes",
    b"\x93numpy": "a NumPy array, which is no generator",
    b"\x89png": PICTURE,
    b"\xff\xd8\xff": PICTURE,
    b"gif8": PICTURE,
    b"riff": "a picture, a sound or a film, which is no generator",
    b"%pdf": "a PDF document, which is no generator",
    b"gguf": "a GGUF file, a format of language models",
    b"\x7felf": "a program",
    b"#!": "a script",
}
TAR, TAR_AT = b"ustar", 257
ONNX = re.compile(rb"\x08[\1-\x0f](\x12.{0,30}|)(pytorch|tf2onnx|keras|onnx)", re.IGNORECASE | re.DOTALL)


def read_content(path: Path, map_file: bool = False) -> Content:
    """Reads whatever is at ``path``, without executing anything.

    Args:
        path: a file, or a folder with weights.
        map_file: map the file into memory instead of copying it, as in ``open_bytes``.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        PermissionError: if it may not be read.
        ValueError: if it is none of the kinds that can be read, damaged, or refused.
    """
    return (_read_folder if is_folder(path) else _read_file)(path, map_file)


def _read_file(path: Path, map_file: bool) -> Content:
    with opened(path) as file:
        begin = file.read(300)
    if not begin:
        raise ValueError(f"{path}: the file is empty")
    if begin.startswith(b"PK\x03\x04"):
        return Content(path, "torch", read_zip(open_bytes(path, map_file), path))
    if begin[8:9] == b"{" and int.from_bytes(begin[:8], "little") < 2**32:
        return _read_safetensors(path, map_file)
    _refuse_mistaken(path, begin)
    if not PICKLE.match(begin):
        text = begin[:16].isascii()
        seen = shown(begin[:16].decode()) if text else f"the bytes {begin[:16].hex(' ')}"
        raise ValueError(f"{path}: not a checkpoint of any known kind; it begins with {seen}")
    by_torch, value = read_pickle(open_bytes(path, map_file), path)
    return Content(path, "torch" if by_torch else "pickle", value)


def is_picture(path: Path) -> bool:
    """Whether a file begins as a PNG, JPEG, GIF or WebP does."""
    with opened(path) as file:
        begin = file.read(12)
    pictures = tuple(mark for mark, what in MISTAKEN.items() if what is PICTURE)
    return begin.lower().startswith(pictures) or begin[8:] == b"WEBP"


def _refuse_mistaken(path: Path, begin: bytes) -> None:
    for mistaken, what in MISTAKEN.items():
        if begin.lstrip().lower().startswith(mistaken):
            raise ValueError(f"{path}: {what}")
    if begin[TAR_AT:].startswith(TAR):
        raise ValueError(f"{path}: a tar archive; unpack it")
    if ONNX.match(begin):
        raise ValueError(f"{path}: an ONNX model, a format in which no generator here comes")
    if not any(begin):
        raise ValueError(f"{path}: begins with zeros alone; the copy or the download was cut off")


def _read_safetensors(path: Path, map_file: bool) -> Content:
    with opened(path) as file:
        length = int.from_bytes(file.read(8), "little")
        metadata = _safetensors_metadata(path, length, file.read(min(length, LONGEST_HEADER)))
        map_file = map_file or is_large(os.fstat(file.fileno()).st_size)
        file.seek(0)
        data = b"" if map_file else file.read()
    try:
        if map_file:
            with safe_open(path, framework="pt") as mapped:
                tensors = {name: mapped.get_tensor(name) for name in mapped.keys()}  # noqa: SIM118 (not a dict)
        else:
            tensors = safetensors.torch.load(data)
    except KeyError as error:
        raise ValueError(
            f"{path}: holds tensors of type {shown(error.args[0])}, which cannot be read"
        ) from None
    except (SafetensorError, RuntimeError, TypeError, AttributeError, AssertionError) as error:
        raise _damaged_safetensors(path, str(error)) from None
    return Content(path, "safetensors", tensors, metadata)


def _safetensors_metadata(path: Path, length: int, header: bytes) -> dict[str, str]:
    """Returns the texts in a header, once it is known that it asks for no more than a generator's tensors."""
    if len(header) < length:
        raise _damaged_safetensors(path, f"its header would have {length} bytes")
    try:
        values = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise _damaged_safetensors(path, f"its header is no JSON: {error}") from None
    metadata = values.pop("__metadata__", {}) if isinstance(values, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise _damaged_safetensors(path, "its metadata are no texts")
    if len(values) > MOST_TENSORS:
        problem = f"holds {len(values)} tensors; no generator has more than {MOST_TENSORS}"
        raise ValueError(f"{path}: a safetensors file that {problem}")
    return metadata


def _damaged_safetensors(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"{path}: begins as a safetensors file but is truncated or damaged ({printable(reason)})"
    )


def _read_folder(path: Path, map_file: bool) -> Content:
    try:
        weights = next((found for pattern in WEIGHTS if (found := sorted(path.glob(pattern)))), [])
        names = sorted(entry.name for entry in path.iterdir())
    except PermissionError:
        raise PermissionError(f"{path}: may not be read by this user; change its permissions") from None
    if "config.json" not in names or len(weights) != 1:
        more = f" and {len(names) - 8} more" if names[8:] else ""
        raise ValueError(
            f"{path}: a folder with {', '.join(map(printable, names[:8])) or 'nothing'}{more}; "
            "expected a config.json beside one .safetensors or .bin with weights"
        )
    config = read_json(path / "config.json")
    return Content(path, "folder", {"config": config, "weights": _read_file(weights[0], map_file).value})


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file with an object.

    Raises:
        FileNotFoundError: if there is no such file.
        PermissionError: if it may not be read.
        ValueError: if it is no file, too long, or no JSON object.
    """
    if (size := check_file(path)) > LONGEST_HEADER:
        raise ValueError(f"{path}: has {size} bytes, expected a JSON file with settings")
    try:
        values = json.loads(bytes(open_bytes(path)))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({printable(str(error))})") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path}: a JSON {type(values).__name__}, expected an object")
    return values
