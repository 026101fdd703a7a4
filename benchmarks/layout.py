"""Compares layout read from lines with the cameras of rendered rooms: ``python -m benchmarks.layout``."""

from __future__ import annotations

import math
import time

import click
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from higan_fast.predictors.layout import LayoutPredictor
from higan_fast.scenes.factors import Factors, sample_factors
from higan_fast.scenes.furniture import HALF_WIDTH
from higan_fast.scenes.renderer import FIELD_OF_VIEW, render

BATCH = 32


def truth(factors: Factors) -> NDArray[np.float64]:
    """The scores that rooms should have, ``[N, 4]``, by what the renderer was told.

    Its camera orbits: it stands 0.66 of the depth times tan(view) left of the middle (``renderer._rays``).
    """
    reach = math.tan(math.radians(FIELD_OF_VIEW / 2))
    view, pitch = np.radians(factors.view), np.radians(factors.pitch)
    eye = -np.tan(view) * 0.66 * factors.depth
    corners = [np.arctan2(side * HALF_WIDTH - eye, factors.depth) - view for side in (-1, 1)]
    places = [(np.tan(corner) / np.cos(pitch) / reach + 1) / 2 for corner in corners]
    return np.stack([factors.view, (1 - np.tan(pitch) / reach) / 2, *places], axis=1)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--num", default=512, show_default=True, help="Rooms, drawn as training draws them.")
@click.option("--seed", default=303, show_default=True, help="Their world.")
@click.option("--field-of-view", default=FIELD_OF_VIEW, show_default=True, help="That is told the predictor.")
def main(num: int, seed: int, field_of_view: float) -> None:
    """Print rank correlations and errors of each score, and the processor time per image."""
    factors = sample_factors(seed, range(num))
    images = render(factors).float() / 127.5 - 1
    predictor = LayoutPredictor(field_of_view)
    with torch.inference_mode():
        predictor(images[:BATCH])
        began = time.process_time()
        scores = torch.cat([predictor(batch) for batch in images.split(BATCH)]).numpy()
        milliseconds = (time.process_time() - began) * 1000 / num
    expected = truth(factors)
    click.echo(f"{num:,} rooms of 64²; {milliseconds:.2f} ms of processor time each, {BATCH} at once")
    for name, found, wanted in zip(predictor.names, scores.T, expected.T, strict=True):
        error = math.sqrt(np.mean((found - wanted) ** 2))
        click.echo(f"{name:13} rank correlation {spearmanr(found, wanted)[0]:.3f}  rms error {error:.3f}")


if __name__ == "__main__":
    main()
