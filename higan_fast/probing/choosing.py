"""Which boundaries of a set are measured, and whether they fit each other and the networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from higan_fast.boundaries.boundary import Boundary
from higan_fast.checks import check_names
from higan_fast.generators.base import Generator
from higan_fast.predictors.base import Predictor


def chosen_names(
    boundaries: Mapping[str, Boundary], semantics: str | Sequence[str] | None
) -> tuple[str, ...]:
    """Returns the names of the boundaries that are asked for, at least one; None asks for all.

    Raises:
        ValueError: when there is no such boundary, or none at all.
    """
    names = (
        (semantics,) if isinstance(semantics, str) else tuple(boundaries if semantics is None else semantics)
    )
    check_names(names, tuple(boundaries), "this set of boundaries")
    if not names:
        raise ValueError("boundaries: got none; fit some first, and see boundaries.skipped for what was not")
    return names


def choose(
    boundaries: Mapping[str, Boundary],
    semantics: str | Sequence[str] | None,
    generator: Generator,
    predictor: Predictor,
) -> list[Boundary]:
    """Returns the boundaries that are asked for, all of one space and shape.

    Raises:
        ValueError: when there is none, or one does not fit the others or the networks.
    """
    chosen = [boundaries[name] for name in chosen_names(boundaries, semantics)]
    check_names(tuple(boundary.name for boundary in chosen), predictor.names, "the predictor")
    first = chosen[0]
    for boundary in chosen:
        boundary.check_fits(generator)
        if (boundary.space, boundary.normal.shape) != (first.space, first.normal.shape):
            raise ValueError(
                f"boundaries: {boundary.name!r} was fitted in {boundary.space} and {first.name!r} in "
                f"{first.space}; verify one space at a time"
            )
    return chosen
