"""Heat maps of semantics and layers: verified effects of each layer alone, and layers without a direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from higan_fast.explore.expectations import plain
from higan_fast.generators.base import Layer
from higan_fast.probing import Attribution, Verification


def heats(verification: Verification | None, attribution: Attribution | None) -> list[dict[str, Any]]:
    """What was measured of layers, as JSON values; the verified effects first."""
    found = []
    if verification is not None and verification.layers and verification.layers_measured:
        found.append(_of_verification(verification))
    if attribution is not None:
        found.append(_of_attribution(attribution))
    return found


def _of_verification(verification: Verification) -> dict[str, Any]:
    names = [semantic.name for semantic in verification.semantics]
    ranked = [(verification.row(name), names.index(name)) for name in verification.rank()]
    rows = [
        (row, column) for row, column in ranked if np.isfinite(verification.effect[row, 1:, column]).any()
    ]
    figures = {
        key: [verification.in_deviations(figure)[row, 1:, column] for row, column in rows]
        for key, figure in (("values", "effect"), ("low", "low"), ("high", "high"))
    }
    at = verification.settings["step"]
    return {
        "from": "verify",
        "title": f"Effect of a step of {at:g} on each layer alone, on its own score",
        "unit": "SD",
        "signed": True,
        "rows": [verification.boundary_names[row] for row, _ in rows],
        "columns": _columns(verification.layers),
        **{key: [list(map(plain, values)) for values in matrix] for key, matrix in figures.items()},
        "sure": [verification.layer_beats_null[row].tolist() for row, _ in rows],
        "sure_means": "beats random directions",
        "best": [_only(verification.top_layer[row], verification.layers) for row, _ in rows],
    }


def _of_attribution(attribution: Attribution) -> dict[str, Any]:
    names = [semantic.name for semantic in attribution.semantics]
    figures = {"values": attribution.index, "low": attribution.low, "high": attribution.high}
    return {
        "from": "layers",
        "title": "Share of each score's variance that comes with the code of each layer",
        "unit": "share of variance",
        "signed": False,
        "rows": names,
        "columns": _columns(attribution.layers),
        **{key: [list(map(plain, values)) for values in matrix] for key, matrix in figures.items()},
        "sure": attribution.possible_top.tolist(),
        "sure_means": "may be the top layer",
        "best": [_only(attribution.best_layer(name), attribution.layers) for name in names],
    }


def _columns(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    return [{"label": str(layer.index), "name": layer.name, "layers": [layer.index]} for layer in layers]


def _only(best: int | None, layers: Sequence[Layer]) -> list[bool]:
    return [bool(layer.index == best) for layer in layers]
