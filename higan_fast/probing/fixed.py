"""Verification on a fixed number of samples, as HiGAN does it: everything is measured, and tested once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from higan_fast.probing.intervals import Intervals, layers_that_act, sign_level
from higan_fast.probing.measurement import Direction, Measurement
from higan_fast.statistics.corrections import holm
from higan_fast.statistics.nulls import NullGeometry


def measure_fixed(
    measurement: Measurement,
    directions: Sequence[Direction],
    columns: Sequence[int],
    geometry: NullGeometry,
    num: int,
    confidence: float,
    folder: Path | None,
    settings: dict[str, Any],
    progress: bool,
) -> dict[str, Any]:
    """Measures everything on ``num`` samples: the figures of a ``Verification``.

    The level 1 − confidence is shared: where there are layers, half of it is for saying which of them act.
    What is the boundaries' goes half to the null, by Holm's rule, and half to the signs.

    Args:
        directions: the boundaries, and then the random ones.
        columns: the semantic of each boundary.
        geometry: of the random directions with each boundary, on each set of layers.

    Raises:
        ValueError: when a score is not finite or out of its range.
    """
    num_layers = len(measurement.layer_sets) - 1
    own = range(len(columns)), slice(None), columns  # each boundary on its own semantic
    effects = measurement.each(directions, num, folder, settings, progress)
    found = Intervals(
        effects, measurement.ranges, measurement.logits, columns, confidence, fixed=True,
        null_kinds=len(geometry.degrees),
    )  # fmt: skip
    figures = found.figures()
    own_effect = figures["effect"][own]  # [B, 1 + L]
    level = (1 - confidence) / (2 if num_layers else 1)
    p_values = geometry.on(0).p_values(own_effect[:, 0], found.null_effects[:, :, 0], one_sided=True)
    adjusted, required = holm(p_values), level / 2
    signs = found.signs(level / 2 / len(columns))[own][:, 0]
    of_layers = found.signs(sign_level(level, len(columns), num_layers))[own][:, 1:]
    images = num + 2 * int(effects.num.sum())
    return figures | {
        "sign": signs,
        "p_values": p_values,
        "p_adjusted": adjusted,
        "p_required": np.full(len(columns), required),
        "tested_on": figures["samples"][:, 0],
        "beats_null": (signs > 0) & (adjusted <= required),
        "layer_beats_null": layers_that_act(
            own_effect[:, 1:], found.null_effects[:, :, 1:], geometry.on(slice(1, None)), of_layers, level
        ),
        "top_layer": np.abs(own_effect[:, 1:]).argmax(axis=1) if num_layers else np.full(len(columns), -1),
        "undecided": np.zeros(len(columns), np.bool_),
        "images": images,
        "images_fixed": images,
    }
