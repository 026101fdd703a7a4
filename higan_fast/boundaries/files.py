"""HiGAN's boundary files: reads and writes its ``.npy`` forms and its lists, and never executes one."""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from higan_fast.boundaries.boundary import Boundaries, Boundary, Space, has_unit_layers, is_unit
from higan_fast.files import first_line, write_whole
from higan_fast.opening import open_bytes
from higan_fast.predictors.base import LEVELS, Level
from higan_fast.refusing import refusing
from higan_fast.wording import in_words

SPACE_NAMES: dict[str, Space] = {"w": "w", "wp": "layers", "z": "z"}  # HiGAN's → ours

ENTRY = re.compile(r"\(\s*(?P<name>[^,()]+?)\s*,\s*(?P<space>\w+)\s*\)\s*:\s*(?P<path>.+)")


def import_boundary(
    path: str | Path, name: str, *, space: Space = "w", level: Level | None = None
) -> Boundary:
    """Reads a boundary that HiGAN wrote, without executing anything in the file.

    A W+ direction ``[1, L, D]`` keeps the strengths of its layers, and its length becomes 1 as a whole. Where
    every layer has length 1 or 0, as in what ``export_boundary`` writes of a fitted boundary, the file holds
    one normal per layer, and stays as it is (see ``Boundary``).

    Args:
        path: an array ``[1, D]`` or ``[1, L, D]``, or a pickled dict ``{"boundary": the array, "meta_data":
            {"type": ..., "manipulate_layers": "6-11"}}``.
        name: the semantic, which the file does not say.
        space: where it was fitted, which the file does not say.
        level: None takes the file's ``type`` when that is a level, else "attribute".

    Raises:
        ValueError: when the file is neither of the two, or refers to anything that could be executed.
    """
    content = _read_npy(Path(path))
    meta: Mapping[str, Any] = {}
    if content.dtype == object and content.ndim == 0 and isinstance(content.item(), dict):
        content, meta = content.item().get("boundary"), content.item().get("meta_data", {})
    normal = np.asarray(content)
    if normal.dtype.kind != "f" or normal.size == 0 or not np.isfinite(normal).all():
        raise ValueError(f"{path}: expected a boundary of finite numbers, [1, D], or a dict that holds one")
    normal = normal.astype(np.float64)
    while normal.ndim > 1 and len(normal) == 1:
        normal = normal[0]  # [1, D] → [D]
    length = np.linalg.norm(normal)
    if not length > 0:
        raise ValueError(f"{path}: the boundary has length 0")
    if not (has_unit_layers(normal) or is_unit(length)):  # what is a boundary already comes back to the bit
        normal = normal / length
    kind, layers = meta.get("type"), meta.get("manipulate_layers")
    return Boundary(
        name=name,
        level=level or (kind if kind in LEVELS else "attribute"),
        space=space,
        normal=normal,
        layers=None if layers is None else str(layers),
    )


def export_boundary(boundary: Boundary, path: str | Path) -> None:
    """Writes a boundary as HiGAN reads it: float32 ``[1, D]`` or ``[1, L, D]``; with layers, in a dict."""
    normal = boundary.normal[None]
    with write_whole(path) as file:
        if boundary.layers is None:
            np.save(file, normal.astype(np.float32))
        else:
            meta = {"type": boundary.level, "manipulate_layers": boundary.layers}
            np.save(file, np.array({"boundary": normal, "meta_data": meta}, dtype=object), allow_pickle=True)


def read_boundary_list(path: str | Path, levels: Mapping[str, Level] | None = None) -> Boundaries:
    """Reads the boundaries of a list: lines ``(name, space): path``; ``DISABLE(...)`` lines are passed over.

    Args:
        path: the list; the paths in it start from its folder.
        levels: level of each name, where the boundary's file does not say it.

    Raises:
        ValueError: when a line or a boundary cannot be read.
    """
    path = Path(path)
    boundaries = []
    for number, line in enumerate(_lines(path), start=1):
        line = line.strip()
        if not line or line.startswith(("#", "DISABLE")):
            continue
        entry = ENTRY.fullmatch(line)
        if entry is None or entry["space"] not in SPACE_NAMES:
            raise ValueError(
                f"{path}, line {number}: cannot read {in_words(line)}; expected '(name, space): path' "
                f"with a space among {', '.join(SPACE_NAMES)}"
            )
        source, space = path.parent / entry["path"], SPACE_NAMES[entry["space"]]
        level = (levels or {}).get(entry["name"])
        boundaries.append(import_boundary(source, entry["name"], space=space, level=level))
    return Boundaries(tuple(boundaries))


def _lines(path: Path) -> list[str]:
    with refusing(path):
        return str(open_bytes(path), "utf-8").splitlines()


def _read_npy(path: Path) -> np.ndarray[Any, Any]:
    """The array in a .npy file; a pickled one is read through an allowlist."""
    data = bytes(open_bytes(path))
    try:
        file = io.BytesIO(data)
        version = npy_format.read_magic(file)
        header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        _, _, dtype = header(file)
        if not dtype.hasobject:
            return np.asarray(np.load(io.BytesIO(data), allow_pickle=False))
        return np.asarray(_ArraysOnly(file, path).load())
    except _RefusedError as refusal:
        raise ValueError(str(refusal)) from None
    except Exception as error:  # a broken pickle raises whatever it likes
        raise ValueError(f"{path}: not a .npy file that can be read ({first_line(error)})") from error


class _RefusedError(Exception):
    pass


class _ArraysOnly(pickle.Unpickler):
    """Unpickles NumPy arrays and plain Python values; every other global is refused by name."""

    def __init__(self, file: io.BytesIO, path: Path) -> None:
        # Text of Python 2 comes as bytes, and latin1 is what NumPy prescribes for its arrays.
        super().__init__(file, encoding="latin1")
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        allowed = ALLOWED.get((module.replace("numpy._core", "numpy.core"), name))  # NumPy 2 and 1
        if allowed is None:
            raise _RefusedError(
                f"refused {module}.{name} in {self.path}: a boundary needs arrays and nothing else"
            )
        return allowed


def _encode_latin1(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes for Python 2; no other encoding has a place in an array."""
    if encoding != "latin1":
        raise _RefusedError(f"refused _codecs.encode to {encoding!r}")
    return text.encode("latin1")


# NumPy's own functions for making arrays and scalars, as NumPy itself names them when it pickles.
ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy.core.multiarray", "scalar"): np.float64(0).__reduce__()[0],
    ("_codecs", "encode"): _encode_latin1,
}
