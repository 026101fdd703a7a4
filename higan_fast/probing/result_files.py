"""Files of results: every field of one as an .npz file, and all the verifications that a run folder keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from higan_fast.files import DamagedError, checksum, json_checksum, read_arrays, write_arrays, write_whole
from higan_fast.generators.base import Layer
from higan_fast.opening import check_file
from higan_fast.predictors.base import Semantic
from higan_fast.probing.effect_files import load_arrays, name_of, stored_keys, undamaged
from higan_fast.progress import say
from higan_fast.wording import listing

if TYPE_CHECKING:
    from higan_fast.probing.attribution_results import Attribution
    from higan_fast.probing.comparison_results import Comparison
    from higan_fast.probing.directions_results import Directions
    from higan_fast.probing.results import Verification
    from higan_fast.probing.sweep_results import Sweep

    Result: TypeAlias = Verification | Attribution | Comparison | Directions | Sweep
    Single = TypeVar(
        "Single", Attribution, Comparison, Directions, Sweep
    )  # results of which a run folder keeps one


MOST_NAMED = 8  # parts of a result that are lost, in one line

# Of what kind the entries of these fields are.
_KINDS: dict[str, Any] = {"semantics": Semantic, "layers": Layer}


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
        """Returns the fields of a verification; None where it is missing, damaged or of another version."""
        arrays = load_arrays(self._path(key), key)
        found = None if arrays is None else fields_in(arrays)
        return found if found is not None and found.keys() == _names() else None

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
            if same and len(boundaries) > widest and _of_this_version(other):
                path, widest = other, len(boundaries)
        content = path.read_bytes()
        if not self.current.exists() or self.current.read_bytes() != content:
            with write_whole(self.current) as file:
                file.write(content)

    def beside(self) -> list[Path]:
        """Returns the files of all verifications but the current one, and but those of another version."""
        current = str(_read(self.current)["key"]) if self.current.exists() else None
        others = [path for path in sorted(self.folder.glob("*.npz")) if str(_read(path)["key"]) != current]
        return [path for path in others if _of_this_version(path)]

    def _path(self, key: str) -> Path:
        return self.folder / f"{name_of(key)}.npz"


def write_fields(path: str | Path, result: Result, key: str = "") -> None:
    """Writes the arrays of a result as they are, its other fields as JSON text, and a key."""
    arrays, rest = _parts_of(result)
    write_arrays(path, {"key": np.array(key), "json": np.array(json.dumps(rest)), **arrays})


class Extent(NamedTuple):
    """How much was found, of what and in what; two of the same compare.

    Attributes:
        images: how many were synthesised.
        made_from: what decides that it is true of a run folder; where that differs nothing is lost.
        parts: what it tells of, such as boundaries and steps, in words.
    """

    images: int
    made_from: Mapping[str, Any]
    parts: Sequence[str] = ()

    @classmethod
    def of(cls, result: Single) -> Extent:
        """Of a result: of which networks and boundaries it is, and which boundaries, methods and steps."""
        decisive = ("generator", "predictor", "truncation_psi", "truncation_layers", "label", "boundaries")
        parts = [*getattr(result, "boundary_names", ()), *getattr(result, "methods", ())]
        parts += [f"step {step:g}" for step in getattr(result, "steps", ())]
        made_from = {name: result.settings.get(name) for name in decisive}
        return cls(result.images, made_from, list(dict.fromkeys(parts)))

    def loses(self, later: Extent) -> str | None:
        """Says what is lost where a later one replaces it; None: nothing, or it was of something else."""
        lacking = [part for part in self.parts if part not in later.parts]
        if self.made_from != later.made_from or (self.images <= later.images and not lacking):
            return None
        without = f", without {listing(lacking, MOST_NAMED)}" if lacking else ""
        return (
            f"it replaces one of {self.images:,} images, and has {later.images:,}{without}; what those gave "
            "is kept, so that the command with its options brings it back at once"
        )


def replace_result(path: str | Path, result: Single, key: str = "") -> None:
    """As ``write_fields``, where a run folder keeps one; says what is lost of the one that was there."""
    path, words = Path(path), None
    if (arrays := undamaged(path)) is not None:
        arrays.pop("key", None)
        with suppress(KeyError, TypeError, ValueError):  # of another version
            words = Extent.of(type(result)(**fields_in(arrays))).loses(Extent.of(result))
    write_fields(path, result, key)
    if words:
        say(f"{path}: {words}")


def fingerprint_of_result(result: Verification) -> str:
    """Returns a SHA-256 of every field."""
    arrays, rest = _parts_of(result)
    return json_checksum(rest, checksum(arrays))


def read_fields(path: str | Path) -> dict[str, Any]:
    """Returns the fields that ``write_fields`` wrote, by name.

    Raises:
        DamagedError: when the file does not hold a verification, or is damaged.
    """
    arrays = _read(path)
    arrays.pop("key")
    return fields_in(arrays)


def load_result(kind: type[Single], path: str | Path, what: str, stage: str) -> Single:
    """Reads what ``write_fields`` wrote.

    Args:
        kind: of the result.
        path: the file.
        what: names the kind, with an article.
        stage: the command that makes it anew.

    Raises:
        DamagedError: when the file does not hold such a result of this version, or is damaged.
    """
    try:
        arrays = read_arrays(path)
        arrays.pop("key", None)
        return kind(**fields_in(arrays))
    except (DamagedError, KeyError, TypeError, ValueError) as error:
        cause = str(error).removeprefix(f"{path}: ")
        raise DamagedError(
            f"{path}: not a file of {what} of this version, or a damaged one ({cause}); run "
            f"higan-fast {stage} again"
        ) from error


def kept_result(kind: type[Single], path: Path, key: str, count: str) -> Single | None:
    """Reads what was saved under a key, or from more samples under one that is the same otherwise.

    The latter is said.

    Args:
        count: which of the settings in the key is the number of samples.

    Returns:
        None where there is no such result, or one of another version.
    """
    arrays = undamaged(path)
    if arrays is None or not (text := str(arrays.pop("key", ""))):
        return None
    asked, stored = json.loads(key), json.loads(text)
    num, there = asked["settings"].pop(count), stored.get("settings", {}).pop(count, None)
    same, more = stored == asked, isinstance(there, int) and there > num
    found = None
    with suppress(KeyError, TypeError):  # a field is missing, or unknown
        found = kind(**fields_in(arrays))
    if found is not None and same and more:
        say(f"{path}: is from {there:,} samples, and {num:,} were asked for; it is kept as it is")
    return found if same and (more or there == num) else None


def _parts_of(result: Result) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Returns the arrays of a result, and its other fields as JSON values."""
    values = {field.name: getattr(result, field.name) for field in fields(result)}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in values.items() if name not in arrays}
    for name in _KINDS.keys() & rest.keys():
        rest[name] = [
            {key: value for key, value in asdict(entry).items() if value is not None} for entry in rest[name]
        ]
    return arrays, rest


def _names() -> set[str]:
    """The fields of a verification in this version."""
    from higan_fast.probing.results import Verification  # which knows this module

    return {field.name for field in fields(Verification)}


def _of_this_version(path: Path) -> bool:
    return read_fields(path).keys() == _names()


def _read(path: str | Path) -> dict[str, NDArray[Any]]:
    """Reads the file of a verification, as ``write_fields`` made it."""
    check_file(Path(path))
    try:
        arrays = read_arrays(path)
        _ = arrays["key"], arrays["json"]
    except (DamagedError, KeyError) as error:
        cause = str(error).removeprefix(f"{path}: is damaged (").removesuffix(")")
        raise DamagedError(
            f"{path}: not a file of a verification, or a damaged one ({cause}); run higan-fast verify again"
        ) from error
    return arrays


def fields_in(arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Returns the fields of a result from what ``write_fields`` made of them, without the key."""
    rest = json.loads(str(arrays.pop("json")))
    for name in _KINDS.keys() & rest.keys():
        rest[name] = tuple(_KINDS[name](**entry) for entry in rest[name])
    rest |= {name: tuple(rest[name]) for name in ("boundary_names", "order", "methods") if name in rest}
    return {**arrays, **rest}
