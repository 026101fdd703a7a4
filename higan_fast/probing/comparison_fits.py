"""The boundaries of several methods, fitted to the same samples and to both halves of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

from higan_fast.boundaries.boundary import Boundaries, Boundary
from higan_fast.boundaries.fitting import Weight, fit_boundaries
from higan_fast.boundaries.methods import Method, method_name, parse_method
from higan_fast.generators.base import Generator
from higan_fast.predictors.base import Predictor
from higan_fast.progress import progress as show_progress
from higan_fast.sampling.samples import Samples


class Fits(NamedTuple):
    """What one method gives: fitted to all samples, and to each half, unless it sees no samples."""

    whole: Mapping[str, Boundary]
    halves: tuple[Mapping[str, Boundary], ...]


def fit_each(
    generator: Generator,
    predictor: Predictor,
    samples: Samples,
    boundaries: Boundaries,
    methods: list[str],
    about: Mapping[str, Any],
    progress: bool,
) -> tuple[dict[str, Fits], dict[str, str]]:
    """The boundaries of each method, for the semantics that all have; and why others were left out.

    Where C is "auto", the halves take the one that was chosen for all samples.
    """
    used, num = boundaries.settings, len(samples)
    sides = used["chosen_num"]
    per_side = min(int(num * sides if sides <= 1 else sides), num // 2)
    options: dict[str, Any] = {name: used[name] for name in ("space", "held_out", "seed")}
    options |= {"generator": generator, "predictor": predictor, "num_gradients": about["num_gradients"]}
    options |= {"loss": used["loss"]} if "loss" in used else {}
    halves = samples.part(0, num // 2), samples.part(num // 2, 2 * (num // 2))
    fits: dict[str, Fits] = {}
    skipped: dict[str, str] = {}

    def fit(part: Samples, chosen: float, method: Method, weight: Weight | None) -> Boundaries:
        advance(1)
        return fit_boundaries(
            part, list(boundaries), method=method, C=weight, chosen_num=chosen, progress=False, **options
        )

    total = sum(1 if name == "gradient" else 3 for name in methods) - 1
    with show_progress("fitting", total, unit="fits", enabled=progress) as advance:
        for place, name in enumerate(methods):
            method, weight = parse_method(name)
            try:
                whole = fit(samples, sides, method, weight) if place else boundaries
            except ValueError as error:
                if method != "gradient":  # which asks more of the networks than the others do
                    raise
                skipped[name] = str(error)
                continue
            with warnings.catch_warnings(action="ignore"):  # of those that serve for the cosine alone
                parts = () if method == "gradient" else halves
                if weight == "auto":
                    weight = next((each.origin.C for each in whole.values() if each.origin), None)
                of_halves = (fit(half, max(per_side // 2, 2), method, weight) for half in parts)
                fits[name] = Fits(whole, tuple(of_halves))
            skipped |= {
                semantic: f"{name} gives no boundary: {why}"
                for semantic, why in whole.skipped.items()
                if semantic in boundaries
            }
    if len(fits) < 2:
        raise ValueError(f"methods (--methods): nothing is left to compare {methods[0]} with: {skipped}")
    common = [name for name in boundaries if all(name in own.whole for own in fits.values())]
    if not common:
        raise ValueError("methods (--methods): there is no semantic that all of them give a boundary for")
    shared = {
        method: own._replace(whole={name: own.whole[name] for name in common}) for method, own in fits.items()
    }
    return shared, skipped


def method_of(samples: Samples, boundaries: Boundaries) -> str:
    """The name of the method by which boundaries were fitted to these samples."""
    fitted = boundaries.settings
    if "labels" in fitted:
        raise ValueError(
            "boundaries: were fitted to labels, and methods are compared by fits to scores; fit "
            "boundaries to the scores of these samples first (higan-fast fit RUN)"
        )
    if "method" not in fitted or fitted.get("samples") != samples.settings:
        raise ValueError(
            "boundaries: are not known to be fitted to these samples; compare those that "
            "fit_boundaries(samples) gives (higan-fast fit RUN)"
        )
    if fitted["num_samples"] != len(samples):
        raise ValueError(
            f"boundaries: were fitted to {fitted['num_samples']:,} samples, and there are {len(samples):,}; "
            "fit them again (higan-fast fit RUN)"
        )
    if not boundaries:
        raise ValueError("boundaries: got none, so there is nothing to compare with; sample more")
    return method_name(fitted["method"], fitted["C"])
