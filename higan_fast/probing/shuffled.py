"""Boundaries of nothing: fitted to the same samples in the same way, but to shuffled scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundaries, Boundary, StepUnit
from higan_fast.boundaries.fitting import fit_boundaries
from higan_fast.fingerprint import first_difference
from higan_fast.sampling.latents import NULL
from higan_fast.sampling.samples import Samples

Array = NDArray[np.float64]

FITTING = ("chosen_num", "space", "held_out", "loss")  # settings that a fit to shuffled scores shares


def shuffled_directions(
    boundaries: Mapping[str, Boundary],
    names: Sequence[str],
    samples: Samples | None,
    num: int,
    unit: StepUnit,
    seed: int,
) -> list[Array]:
    """Displacements of a step of 1, ``[D]`` or ``[L, D]``: ``num`` of them, of the boundaries' method.

    The i-th is fitted to shuffled scores of the i-th of the semantics, which are taken in turn.

    Args:
        boundaries: from ``fit_boundaries``.
        names: those that are compared with these.
        samples: to which they were fitted.
        num: how many.
        unit: of steps.
        seed: of the shuffles.

    Raises:
        ValueError: when it is not known how the boundaries were fitted, or they were fitted to no scores or
            to other samples, or there are no samples.
    """
    settings = boundaries.settings if isinstance(boundaries, Boundaries) else {}
    why = "null (--null): got 'shuffled', which fits boundaries to shuffled scores as these were fitted, but "
    if samples is None:
        raise ValueError(f"{why}there are no samples; give samples=…")
    if "method" not in settings:
        raise ValueError(f"{why}how these were fitted is not known; give what fit_boundaries returned")
    if "labels" in settings:
        raise ValueError(f"{why}these were fitted to labels; take 'both'")
    if settings["method"] == "gradient":
        raise ValueError(f"{why}a gradient is fitted to no scores; take 'both'")
    if any(boundaries[name].conditions for name in names):
        raise ValueError(f"{why}boundaries that were freed of others have no like among these; take 'both'")
    fitted_to = settings["num_samples"], settings["samples"]
    if fitted_to[0] != len(samples) or first_difference(fitted_to[1], samples.settings) is not None:
        raise ValueError(f"{why}they were fitted to other samples; give those, or fit again")
    known = [semantic.name for semantic in samples.semantics]
    random = np.random.default_rng((seed, NULL))
    columns = [known.index(names[i % len(names)]) for i in range(num)]
    scores = np.stack([random.permutation(samples.scores[:, column]) for column in columns], axis=1)
    of_nothing = [(f"shuffled {i}", "attribute") for i in range(num)]
    strengths = {origin.C for name in names if (origin := boundaries[name].origin) is not None}
    strengths = strengths or {settings["C"] if isinstance(settings.get("C"), float) else None}
    fitted = fit_boundaries(
        samples.with_scores(scores, of_nothing),
        method=settings["method"],
        C=strengths.pop() if len(strengths) == 1 else None,
        progress=False,
        **{name: settings[name] for name in FITTING if name in settings},
    )
    return [boundary.per_step(unit) for boundary in fitted.values()]
