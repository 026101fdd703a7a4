"""Tests the guarantees of sequential decisions on a real generator: ``python -m benchmarks.decisions``.

Every run verifies the embedded generator on its own samples and random directions, and compares the decisions
with the effects on many other samples. It also verifies random directions as if they were boundaries: none
of them has an effect that should be claimed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import click
import numpy as np
import torch
from numpy.typing import NDArray

import higan_fast as hf
from benchmarks.boundaries import random_boundaries
from benchmarks.cases.verification import MARGIN
from higan_fast.generators.base import Generator
from higan_fast.memory import keep_freed_memory
from higan_fast.predictors.base import Predictor
from higan_fast.probing import Boundary

CONFIDENCE = 0.99
REFERENCE_SEED = 1_000  # larger than the seeds of the runs
SAMPLES, CHOSEN, MAX_SAMPLES = 6_000, 1_000, 1_000  # as in the demo


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runs", default=20, show_default=True)
@click.option("--reference", default=1_000, show_default=True, help="Samples to compare the decisions with.")
@click.option("--threads", type=int, help="CPU threads.")
def main(runs: int, reference: int, threads: int | None) -> None:
    """Repeat the sequential verification and count its wrong decisions."""
    keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    generator, predictor = hf.load_generator("scenes"), hf.load_predictor("scenes")
    samples = hf.sample(generator, predictor, SAMPLES)
    boundaries = dict(hf.fit_boundaries(samples, chosen_num=CHOSEN))
    effects = _own_effects(generator, predictor, boundaries, reference)
    claims: Counter[str] = Counter()
    wrong = false_claims = images = 0
    for seed in range(1, runs + 1):
        problems, claimed, made = _run(generator, predictor, boundaries, effects, seed)
        false = _claims_of_random_directions(generator, predictor, list(boundaries), seed)
        wrong, false_claims = wrong + bool(problems), false_claims + bool(false)
        images += made
        claims.update(claimed)
        click.echo(
            f"run {seed}: {len(claimed)} of {len(boundaries)} have an effect, {made:,} images; "
            f"wrong: {', '.join(problems) or 'nothing'}; "
            f"random directions claimed: {', '.join(false) or 'none'}"
        )
    click.echo("claimed in how many runs: " + ", ".join(f"{name} {claims[name]}" for name in boundaries))
    click.echo(
        f"{wrong} of {runs} runs decided something wrongly, {false_claims} claimed a random direction; at "
        f"{CONFIDENCE:.0%} about {(1 - CONFIDENCE) * runs:.1f} of each may. {images // runs:,} images each."
    )


def _own_effects(
    generator: Generator, predictor: Predictor, boundaries: Mapping[str, Boundary], num: int
) -> NDArray[np.float64]:
    """Returns each boundary's effects on its own semantic, on all layers, then on each: ``[B, 1 + L]``."""
    found = hf.verify(generator, predictor, boundaries, num=num, num_null=2, seed=REFERENCE_SEED)
    columns = [predictor.names.index(name) for name in boundaries]
    return found.effect[range(len(columns)), :, columns]


def _run(
    generator: Generator,
    predictor: Predictor,
    boundaries: Mapping[str, Boundary],
    effects: NDArray[np.float64],
    seed: int,
) -> tuple[list[str], list[str], int]:
    """Verifies once; returns the wrong decisions, the claimed effects and the number of images."""
    found = hf.verify(
        generator, predictor, boundaries,
        decide="top-layer", confidence=CONFIDENCE, max_samples=MAX_SAMPLES, seed=seed, progress=False,
    )  # fmt: skip
    problems, claimed = [], []
    for row, name in enumerate(boundaries):
        if not found.beats_null[row]:
            continue
        claimed.append(name)
        of_layers = np.abs(effects[row, 1:])
        top = found.top_layer[row]
        if effects[row, 0] <= 0:
            problems.append(f"{name} has no effect")
        elif top >= 0 and of_layers[top] < (1 - MARGIN) * of_layers.max():
            problems.append(f"{name} is moved more by layer {of_layers.argmax()} than by {top}")
    return problems, claimed, found.images


def _claims_of_random_directions(
    generator: Generator, predictor: Predictor, names: Sequence[str], seed: int
) -> list[str]:
    """Returns the semantics claimed to have an effect when random directions replace their boundaries."""
    found = hf.verify(
        generator, predictor, random_boundaries(generator, names, seed),
        decide="effect", confidence=CONFIDENCE, max_samples=MAX_SAMPLES, seed=seed, progress=False,
    )  # fmt: skip
    return [name for row, name in enumerate(names) if found.beats_null[row]]


if __name__ == "__main__":
    main()
