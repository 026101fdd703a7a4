"""HiGAN's boundary files: reads and writes its ``.npy`` forms and its lists, and never executes one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from higan_fast.boundaries.boundary import Boundaries, Boundary, Space, has_unit_layers, is_unit
from higan_fast.checkpoints.pickles.npy_files import read_npy
from higan_fast.files import write_whole
from higan_fast.opening import check_file, open_bytes
from higan_fast.predictors.base import LEVELS, Level
from higan_fast.refusing import refusing
from higan_fast.wording import LONGEST_MESSAGE, in_words, printable

SPACE_NAMES: dict[str, Space] = {"w": "w", "wp": "layers", "z": "z"}  # HiGAN's → ours

ENTRY = re.compile(r"\((?P<name>[^,()]+),\s*(?P<space>\w+)\s*\)\s*:\s*(?P<path>.+)")
LARGEST = 1e100  # of a boundary's numbers, whose squares are summed
# Of a list, which may name one file many times.
LARGEST_LIST, MOST_LINES, MOST_BYTES = 2**22, 5_000, 2**26


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
    with refusing(Path(path)):
        return _boundary(Path(path), name, space, level)


def _boundary(path: Path, name: str, space: Space, level: Level | None) -> Boundary:
    content = read_npy(path)
    meta = content.get("meta_data") if isinstance(content, dict) else None
    content = content.get("boundary") if isinstance(content, dict) else content
    normal = content if isinstance(content, np.ndarray) else np.empty(0)
    if normal.dtype.kind != "f" or normal.size == 0 or not np.isfinite(normal).all():
        raise ValueError(f"{path}: expected a boundary of finite numbers, [1, D], or a dict that holds one")
    normal = np.atleast_1d(normal.astype(np.float64))
    while normal.ndim > 1 and len(normal) == 1:
        normal = normal[0]  # [1, D] → [D]
    largest = np.abs(normal).max()
    if not largest > 0:
        raise ValueError(f"{path}: the boundary has length 0")
    if not 1 / LARGEST < largest < LARGEST:
        normal = normal / largest
    length = np.linalg.norm(normal)
    if not (has_unit_layers(normal) or is_unit(length)):  # what is a boundary already comes back to the bit
        normal = normal / length
    kind, layers = (_text(path, meta, key) for key in ("type", "manipulate_layers"))
    return Boundary(
        name=name,
        level=level or _level(kind),
        space=space,
        normal=normal,
        layers=layers,
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
    with refusing(path):
        return Boundaries(tuple(_listed(path, levels or {})))


def _listed(path: Path, levels: Mapping[str, Level]) -> Iterator[Boundary]:
    lines = [(number, line.strip()) for number, line in enumerate(_lines(path), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith(("#", "DISABLE"))]
    if len(lines) > MOST_LINES:
        raise ValueError(f"{path}: lists {len(lines)} boundaries, expected at most {MOST_LINES}")
    left = MOST_BYTES
    for number, line in lines:
        entry = ENTRY.fullmatch(line)
        if entry is None or not entry["name"].strip() or entry["space"] not in SPACE_NAMES:
            raise ValueError(
                f"{path}, line {number}: cannot read {in_words(line)}; expected '(name, space): path' "
                f"with a space among {', '.join(SPACE_NAMES)}"
            )
        name, source = entry["name"].strip(), path.parent / entry["path"]
        try:
            left -= check_file(source)
            if left < 0:
                raise ValueError(f"up to here, the files have more than {MOST_BYTES} bytes; split the list")
            yield import_boundary(source, name, space=SPACE_NAMES[entry["space"]], level=levels.get(name))
        except (ValueError, OSError) as error:
            raise type(error)(f"{path}, line {number}: {printable(str(error), LONGEST_MESSAGE)}") from error


def _level(kind: str | None) -> Level:
    return next((level for level in LEVELS if level == kind), "attribute")


def _text(path: str | Path, meta: Any, key: str) -> str | None:
    """Returns a text of a boundary's meta data; None: it has none."""
    value = meta.get(key) if isinstance(meta, dict) else None
    if value is not None and (not isinstance(value, str | int) or printable(str(value)) != str(value)):
        raise ValueError(f"{path}: its meta data's {key} is {in_words(value)}, expected a short text")
    return None if value is None else str(value)


def _lines(path: Path) -> list[str]:
    if (size := check_file(path)) > LARGEST_LIST:
        raise ValueError(f"{path}: has {size} bytes, expected a short list of boundaries")
    return str(open_bytes(path), "utf-8-sig").splitlines()
