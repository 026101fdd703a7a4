"""What a verification refuses before it measures anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from higan_fast.boundaries.boundary import STEP_UNITS, Boundary, Space, StepUnit
from higan_fast.boundaries.methods import RECIPES, Recipe
from higan_fast.checks import (
    check_batch_size,
    check_choice,
    check_confidence,
    check_count,
    check_folder,
    check_number,
)
from higan_fast.engine.precision import WISHES, Wish
from higan_fast.probing.choosing import chosen_names
from higan_fast.probing.null import MOST_NULL, NULLS, Null
from higan_fast.statistics.decisions import GOALS, Goal


def check_verifying(
    boundaries: Mapping[str, Boundary] | None,
    *,
    num: int | None,
    decide: Goal | None,
    confidence: float,
    max_samples: int,
    step: float,
    null: Null,
    num_null: int,
    precision: Wish,
    screening: int,
    batch_size: int | None,
    step_unit: StepUnit = "norm",
    recipe: Recipe | None = None,
    semantics: str | Sequence[str] | None = None,
    space: Space | None = None,
    out: str | Path | None = None,
) -> None:
    """Raises when ``verify`` would refuse these arguments, whatever the networks are.

    Args:
        boundaries: None: they are still to be fitted.
        space: where they will be fitted; None: not known yet, or the boundaries tell.

    Raises:
        ValueError: when an argument is out of range.
        OSError: when ``out`` cannot be written to.
    """
    check_count("max_samples (--max-samples)", max_samples, 2)
    if num is not None:
        check_count("num", num, 2)
    if decide is not None:
        check_choice("decide (--decide)", decide, GOALS)
    check_confidence(confidence)
    check_number("step (--step)", step, "a positive number", above=0)
    check_choice("step_unit (--step-unit)", step_unit, STEP_UNITS)
    check_choice("null (--null)", null, NULLS)
    check_count("num_null (--num-null)", num_null, 2, MOST_NULL)
    check_choice("precision (--precision)", precision, WISHES)
    check_count("screening (--screening)", screening, 0)
    check_batch_size(batch_size)
    if recipe is not None:
        _check_recipe(recipe, boundaries, decide, step, step_unit)
    if boundaries is not None:
        space = boundaries[chosen_names(boundaries, semantics)[0]].space
    if num is None and decide == "top-layer" and space == "z":
        raise ValueError(
            "decide (--decide): got 'top-layer', but a boundary in z moves all layers, so it has no top "
            "layer; decide 'effect' or 'ranking', or fit in w or layers"
        )
    if out is not None:
        check_folder(out)


def _check_recipe(
    recipe: Recipe,
    boundaries: Mapping[str, Boundary] | None,
    decide: Goal | None,
    step: float,
    step_unit: StepUnit,
) -> None:
    """Raises ValueError where something else than the recipe is asked for, or boundaries are of another."""
    check_choice("recipe (--recipe)", recipe, RECIPES)
    if (decide, step, step_unit) != (None, 2, "norm"):
        raise ValueError(
            f"recipe (--recipe): 'higan' measures all on a fixed number of samples, with a step of 2 in "
            f"norm, and got decide {decide!r}, step {step:g} in {step_unit}; leave those out, or the recipe"
        )
    for boundary in () if boundaries is None else boundaries.values():
        origin = boundary.origin
        if origin is not None and (origin.method, origin.C) not in ((None, None), ("svm", 1.0)):
            raise ValueError(
                f"recipe (--recipe): 'higan' is of linear SVMs with C = 1, and boundary {boundary.name!r} "
                f"was fitted otherwise ({origin.described}); fit with this recipe too"
            )


def check_lengths(chosen: Sequence[Boundary]) -> None:
    """Raises ValueError where boundaries cannot share random directions."""
    first = chosen[0]
    for boundary in chosen:
        if not np.allclose(boundary.layer_lengths, first.layer_lengths, rtol=0, atol=1e-6):
            raise ValueError(
                f"boundaries: a step along {boundary.name!r} moves the layers by other lengths than one "
                f"along {first.name!r}, so each needs random directions of its own; verify one at a time, "
                f"as with semantics={first.name!r}"
            )
