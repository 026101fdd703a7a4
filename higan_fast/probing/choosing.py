"""Which boundaries of a set are measured, and whether they fit each other and the networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from higan_fast.boundaries.boundary import Boundaries, Boundary
from higan_fast.checks import check_names
from higan_fast.generators.base import Generator
from higan_fast.predictors.base import Predictor
from higan_fast.wording import in_words

Given = Mapping[str, Boundary] | Boundary | Sequence[Boundary]


def by_name(boundaries: Given) -> Mapping[str, Boundary]:
    """Returns boundaries by name: what ``fit_boundaries`` gave, one boundary, or a list of some.

    Raises:
        TypeError: when they are anything else.
        ValueError: when two have the same name.
    """
    if isinstance(boundaries, Boundary):
        return {boundaries.name: boundaries}
    listed: list[Any] = [boundaries]
    if isinstance(boundaries, Mapping):
        listed = list(boundaries.values())
    elif isinstance(boundaries, list | tuple):
        listed = list(boundaries)
    strange = [one for one in listed if not isinstance(one, Boundary)]
    if strange:
        raise TypeError(
            f"boundaries: got {in_words(strange[0])}, expected what fit_boundaries gives, one of its "
            "boundaries, or a list of some"
        )
    return boundaries if isinstance(boundaries, Mapping) else Boundaries(tuple(boundaries))


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
    return fitting_together(chosen, generator)


def fitting_together(chosen: list[Boundary], generator: Generator) -> list[Boundary]:
    """Returns the boundaries; raises ValueError where one does not fit the generator or the others."""
    if not chosen:
        raise ValueError("boundaries: got none")
    first = chosen[0]
    for boundary in chosen:
        boundary.check_fits(generator)
        if (boundary.space, boundary.normal.shape) != (first.space, first.normal.shape):
            raise ValueError(
                f"boundaries: {boundary.name!r} was fitted in {boundary.space} and {first.name!r} in "
                f"{first.space}; verify one space at a time"
            )
    return chosen
