"""Files of verifications: every field of one as an .npz file, arrays beside JSON text."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from higan_fast.files import write_whole
from higan_fast.generators.base import Layer
from higan_fast.predictors.base import Semantic

if TYPE_CHECKING:
    from higan_fast.probing.results import Verification


def write_fields(path: str | Path, verification: Verification) -> None:
    """Writes the arrays of a verification as they are, and its other fields as JSON text."""
    values = {field.name: getattr(verification, field.name) for field in fields(verification)}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in values.items() if name not in arrays}
    for name in ("semantics", "layers"):
        rest[name] = [asdict(entry) for entry in rest[name]]
    with write_whole(path) as file:
        np.savez(file, allow_pickle=False, json=np.array(json.dumps(rest)), **arrays)


def read_fields(path: str | Path) -> dict[str, Any]:
    """Returns the fields that ``write_fields`` wrote, by name.

    Raises:
        ValueError: when the file does not hold a verification.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            rest = json.loads(str(file["json"]))
            arrays = {name: file[name] for name in file.files if name != "json"}
        rest["semantics"] = tuple(Semantic(**entry) for entry in rest["semantics"])
        rest["boundary_names"], rest["order"] = tuple(rest["boundary_names"]), tuple(rest["order"])
        rest["layers"] = tuple(Layer(**entry) for entry in rest["layers"])
        return {**arrays, **rest}
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path}: not a file of a verification ({error})") from error
