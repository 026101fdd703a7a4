"""What a file says of boundaries, checked before anything is made of it: whoever wrote it may not be us."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.boundaries.origin import Origin
from higan_fast.wording import LONGEST_MESSAGE, in_words, printable

LARGEST = 1e300  # beyond what a deviation or an accuracy can be


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and printable(value) == value


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_lengths(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_number(x) and x >= 0 for x in value)


def _is_origin(value: Any) -> bool:
    names = {field.name for field in fields(Origin)}
    return isinstance(value, dict) and names >= set(value) >= names - {"method", "C"}


# For each part of a boundary that may be unknown: what it is otherwise, and in words.
PARTS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "accuracy": (_is_number, "a number"),
    "remaining_accuracy": (_is_number, "a number"),
    "num_per_side": (_is_count, "a whole number"),
    "converged": (lambda value: isinstance(value, bool), "true or false"),
    "layers": (_is_text, "a short text"),
    "deviation": (_is_number, "a number"),
    "origin": (_is_origin, "the parts of an origin"),
    "code_deviations": (_are_lengths, "a list of numbers, none negative"),
}


def parts_of(entry: Any, normals: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Returns the parts of a boundary from what JSON made of them.

    Args:
        entry: a dictionary with all parts but the normal.
        normals: of all boundaries in the file, by name; this one's is taken out, so that no two share it.

    Raises:
        ValueError: naming the part that is missing, unknown, or of another kind.
    """
    if not isinstance(entry, dict) or not _is_text(entry.get("name")):
        raise ValueError(f"its header has {in_words(entry)} in the place of a boundary; it is damaged")
    name = entry["name"]
    if name not in normals:
        raise ValueError(f"its header has a boundary {name!r} twice, or without a normal; it is damaged")
    normal = normals.pop(name)
    if normal.dtype.kind != "f":
        raise ValueError(f"normal of {name!r}: holds {normal.dtype}, expected floating-point numbers")
    unknown = sorted(set(entry) - {*PARTS, "name", "level", "space", "conditions"})
    if unknown:
        raise ValueError(f"boundary {name!r}: has {in_words(unknown[0])}, for which there is no place")
    for part, (fits, expected) in {**PARTS, "conditions": (_are_names, "a list of names")}.items():
        value = entry.get(part)
        if not fits(value) and (value is not None or part == "conditions"):
            raise ValueError(f"{part} of {name!r}: got {in_words(value)}, expected {expected}")
    origin, along = entry.get("origin"), entry.get("code_deviations")
    for_all = (
        entry.get("space") == "layers" and normal.ndim == 1
    )  # one normal for as many layers as there are
    if along is not None and not for_all and len(along) not in (1, len(np.atleast_2d(normal))):
        raise ValueError(
            f"code_deviations of {name!r}: got {len(along)}, expected one, or one for each layer"
        )
    return {
        **entry,
        "normal": normal.astype(np.float64),
        "conditions": tuple(entry["conditions"]),
        "origin": origin and Origin(**origin),
        "code_deviations": along and tuple(along),
    }


def beside(header: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """Returns what stands beside the boundaries: why some are skipped, and how all were fitted.

    Raises:
        ValueError: where either is of another kind.
    """
    skipped, settings = header.get("skipped"), header.get("settings")
    if not isinstance(skipped, dict) or not all(isinstance(reason, str) for reason in skipped.values()):
        raise ValueError("its header does not say in words what was skipped; it is damaged")
    counts = ("num_samples", "num_asked", "num_gradients")
    if not isinstance(settings, dict) or not all(_is_count(settings.get(count, 0)) for count in counts):
        raise ValueError("its header does not say how the boundaries were fitted; it is damaged")
    return {printable(name): printable(why, LONGEST_MESSAGE) for name, why in skipped.items()}, settings
