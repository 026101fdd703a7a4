"""Pictures along a sweep: its first sample, moved by its steps along each boundary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundary
from higan_fast.engine.engine import Engine
from higan_fast.generators.base import Generator
from higan_fast.pictures import labelled_grid
from higan_fast.probing.sweep_results import Sweep
from higan_fast.probing.sweep_scores import Curve, Curves

MOST_BOUNDARIES, MOST_STEPS = 16, 13
SIDE = 96  # larger images are scaled down to so many pixels


@torch.inference_mode()
def sweep_picture(
    generator: Generator, boundaries: Mapping[str, Boundary], sweep: Sweep
) -> NDArray[np.uint8]:
    """Draws the first sample of a sweep at its steps: a row for each boundary, on all layers.

    The boundaries that change their own semantic most stand first, and those beyond the sixteenth are left
    out; of more than thirteen steps some are.

    Args:
        generator: the one that was swept.
        boundaries: along which.
        sweep: what was found.

    Returns:
        A picture with labels, ``[height, width, 3]``.
    """
    names, steps = strongest(sweep), _some(sweep.steps)
    curves = [Curve(replace(boundaries[name], origin=None)) for name in names]
    engine = Engine(generator, precision=sweep.settings["precision"])
    images = Curves(engine, curves, sweep.settings).images([0], steps.tolist(), SIDE)[0]
    columns = [f"{step:+g}" if step else "0" for step in steps]
    return labelled_grid(images, names, columns, "The first sample of the sweep, on all layers", "step")


def strongest(sweep: Sweep) -> list[str]:
    """The boundaries of a picture: those that change their own semantic most from one end to the other."""
    change = np.nan_to_num(sweep.in_deviations())
    size = {c: abs(change[c, -1, sweep.columns[c]] - change[c, 0, sweep.columns[c]]) for c in sweep.curves()}
    order = sorted(size, key=lambda curve: -size[curve])
    return [sweep.boundary_names[curve] for curve in order[:MOST_BOUNDARIES]]


def _some(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Steps for a picture: both ends and 0, and of the others as many as fit, evenly."""
    if len(steps) <= MOST_STEPS:
        return steps
    places = np.linspace(0, len(steps) - 1, MOST_STEPS - 1).round().astype(int)
    return np.unique([*steps[places], 0.0])
