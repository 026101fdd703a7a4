"""Files of verifications: every field of one as an .npz file, and all those that a run folder keeps."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from higan_fast.files import write_whole
from higan_fast.generators.base import Layer
from higan_fast.predictors.base import Semantic
from higan_fast.probing.effect_files import DAMAGED, name_of, stored_keys

if TYPE_CHECKING:
    from higan_fast.probing.results import Verification


class ResultFiles:
    """Every verification of a run folder, and which one is the current.

    The boundaries of one verification are a family: p-values, levels and intervals are corrected for the
    number of boundaries that were verified together. So verifications are never mixed, and none replaces
    another: each has a file of its own, named after its settings and boundaries.

    Attributes:
        folder: a file for each verification.
        current: a copy of the current one: the last that was asked for, or the widest one with the same
            settings that has all of its boundaries.
    """

    def __init__(self, out: str | Path) -> None:
        self.folder, self.current = Path(out) / "verification" / "results", Path(out) / "verification.npz"

    def find(self, key: str) -> dict[str, Any] | None:
        """Returns the fields of a verification; None where it is not there, or its file is damaged."""
        path = self._path(key)
        if not path.exists():
            return None
        try:
            return read_fields(path)
        except ValueError:
            return None

    def keep(self, verification: Verification, key: str) -> None:
        """Writes a verification, and makes it the current one, or one that includes it."""
        write_fields(self._path(key), verification, key)
        self.make_current(key)

    def make_current(self, key: str) -> None:
        """Makes a verification that is kept the current one, or one that includes it."""
        asked, path = json.loads(key), self._path(key)
        widest = len(asked["boundaries"])
        for other, stored in stored_keys(self.folder).items():
            boundaries = stored["boundaries"]
            same = (
                stored["settings"] == asked["settings"] and asked["boundaries"].items() <= boundaries.items()
            )
            if same and len(boundaries) > widest:
                path, widest = other, len(boundaries)
        content = path.read_bytes()
        if not self.current.exists() or self.current.read_bytes() != content:
            with write_whole(self.current) as file:
                file.write(content)

    def beside(self) -> list[Path]:
        """Returns the files of all verifications but the current one."""
        content = self.current.read_bytes() if self.current.exists() else b""
        return [path for path in sorted(self.folder.glob("*.npz")) if path.read_bytes() != content]

    def _path(self, key: str) -> Path:
        return self.folder / f"{name_of(key)}.npz"


def write_fields(path: str | Path, verification: Verification, key: str = "") -> None:
    """Writes the arrays of a verification as they are, its other fields as JSON text, and a key."""
    values = {field.name: getattr(verification, field.name) for field in fields(verification)}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in values.items() if name not in arrays}
    for name in ("semantics", "layers"):
        rest[name] = [asdict(entry) for entry in rest[name]]
    with write_whole(path) as file:
        np.savez(file, allow_pickle=False, key=np.array(key), json=np.array(json.dumps(rest)), **arrays)


def read_fields(path: str | Path) -> dict[str, Any]:
    """Returns the fields that ``write_fields`` wrote, by name.

    Raises:
        ValueError: when the file does not hold a verification.
    """
    try:
        with Path(path).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            rest = json.loads(str(file["json"]))
            arrays = {name: file[name] for name in file.files if name not in ("json", "key")}
        rest["semantics"] = tuple(Semantic(**entry) for entry in rest["semantics"])
        rest["boundary_names"], rest["order"] = tuple(rest["boundary_names"]), tuple(rest["order"])
        rest["layers"] = tuple(Layer(**entry) for entry in rest["layers"])
        return {**arrays, **rest}
    except DAMAGED as error:
        raise ValueError(f"{path}: not a file of a verification ({error})") from error
