"""Counts how often a random direction passes for a boundary: ``python -m benchmarks.nulls``.

A score whose mean gradient is known is moved by random directions, exactly to first order. One of them stands
for a boundary, and the others for what it is compared with. It has a p-value of at most α in a share of the
draws that should not exceed α, wherever the gradient lies, and whatever the codes' covariance.
"""

from __future__ import annotations

from collections.abc import Callable

import click
import numpy as np
import torch
from numpy.typing import NDArray

import higan_fast as hf
from higan_fast.sampling.latents import make_codes
from higan_fast.statistics.nulls import NullGeometry, null_scale, student_p_values

Array = NDArray[np.float64]

LEVELS = (0.01, 0.001)
TESTED = 20  # directions that stand for boundaries, in each draw
CODES = 8_192
# (random numbers, the codes' variances, widest first) → the mean gradient, in their principal directions
GRADIENTS: dict[str, Callable[[np.random.Generator, Array], Array]] = {
    "along the widest": lambda random, variances: np.eye(len(variances))[0],
    "along the fifth": lambda random, variances: np.eye(len(variances))[4],
    "along the narrowest": lambda random, variances: np.eye(len(variances))[-1],
    "anywhere": lambda random, variances: random.normal(size=len(variances)),
    "along wide ones": lambda random, variances: variances * random.normal(size=len(variances)),
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runs", default=10_000, show_default=True, help="Draws of random directions.")
@click.option("--num-null", default=32, show_default=True, help="Random directions to compare with.")
def main(runs: int, num_null: int) -> None:
    """Count how often a random direction has a small p-value, by its kind and the gradient."""
    torch.set_num_threads(1)
    spectra = {
        "isotropic": np.ones(128),
        "embedded world": variances_of_codes(),
        "falling": 1 / (1 + np.arange(128.0)) ** 0.8,
        "half in one": np.append(20.0, np.full(63, 0.3)),
    }
    click.echo("| codes | gradient | " + " | ".join(f"p ≤ {level:g} | by t alone" for level in LEVELS) + " |")
    click.echo("|---|---|" + "---:|" * (2 * len(LEVELS)))
    for codes, variances in spectra.items():
        for name, gradient in GRADIENTS.items():
            if codes == "isotropic" and name != "anywhere":
                continue
            ours, plain = passing(variances, gradient, runs, num_null)
            shares = [f"{100 * np.mean(p <= level):.3g} %" for level in LEVELS for p in (ours, plain)]
            click.echo(f"| {codes} | {name} | " + " | ".join(shares) + " |")


def variances_of_codes() -> Array:
    """Those of the embedded generator's w along its principal directions, widest first."""
    with torch.inference_mode():
        w = make_codes(hf.load_generator("scenes"), 0, 0, CODES).w.double().numpy()
    return np.asarray(np.linalg.eigvalsh(np.cov(w.T))[::-1].clip(min=0))


def passing(
    variances: Array, gradient: Callable[[np.random.Generator, Array], Array], runs: int, num_null: int
) -> tuple[Array, Array]:
    """One-sided p-values of random directions, and those by Student's t alone: ``[runs, 20]``."""
    random, ours, plain = np.random.default_rng(0), [], []
    for _ in range(runs):
        noise = random.normal(size=(TESTED + num_null, len(variances))) * np.sqrt(variances)
        moves = noise / np.linalg.norm(noise, axis=1, keepdims=True)
        effects = moves @ gradient(random, variances)
        others = np.tile(effects[TESTED:, None], (1, TESTED))
        geometry = NullGeometry.of(moves, TESTED, 1)
        ours.append(geometry.p_values(effects[:TESTED], others, one_sided=True))
        plain.append(student_p_values(effects[:TESTED], null_scale(others), num_null, one_sided=True))
    return np.stack(ours), np.stack(plain)


if __name__ == "__main__":
    main()
