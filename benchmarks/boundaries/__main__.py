"""Compares the methods of finding boundaries on the embedded world: ``python -m benchmarks.boundaries``.

Each is fitted to disjoint sets of samples, as large as the demo's, and all are moved by the same step on the
same fresh codes. What counts is what a boundary moves; how well it separates held-out samples says little of
that. With ``--shuffled`` it asks the opposite question: how often a boundary that was fitted to shuffled
scores would pass for a real one, against random directions of two kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

import higan_fast as hf
from benchmarks.boundaries.effects import Effects
from benchmarks.boundaries.shuffled import claims_of_shuffled
from higan_fast.boundaries.boundary import StepUnit
from higan_fast.boundaries.fitting import Weight
from higan_fast.boundaries.linear import covariance
from higan_fast.engine.engine import Engine
from higan_fast.memory import keep_freed_memory
from higan_fast.probing import Boundaries, Samples
from higan_fast.sampling.store import Held

Array = NDArray[np.float64]
Method = tuple[Any, Weight | None]

SAMPLES, CHOSEN = 6_000, 1_000  # as in the demo
METHODS: tuple[Method, ...] = (
    *(("svm", weight) for weight in (1.0, 1e-1, 1e-2, 1e-3)),
    *(("logistic", weight) for weight in (1.0, 1e-1, 1e-2, 1e-3, 1e-4)),
    *(("ridge", weight) for weight in (1.0, 1e-2)),
    *(("lda", weight) for weight in (1.0, 1e-3)),
    *((method, "auto") for method in ("svm", "logistic")),
    *(("difference", None), ("pattern", 1.0), ("gradient", None)),
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Keeps what is measured.")
@click.option("--refits", default=3, show_default=True, help="Disjoint sets of samples.")
@click.option("--codes", default=128, show_default=True, help="Fresh codes that are moved.")
@click.option("--step", default=2.0, show_default=True)
@click.option("--unit", default="norm", show_default=True, type=click.Choice(["norm", "sd"]))
@click.option("--only", multiple=True, help="Of the methods, such as svm or logistic=0.001; may be repeated.")
@click.option("--shuffled", default=0, help="Instead: so many boundaries of shuffled scores, each method.")
@click.option("--threads", type=int, help="CPU threads.")
def main(
    out: Path,
    refits: int,
    codes: int,
    step: float,
    unit: StepUnit,
    only: tuple[str, ...],
    shuffled: int,
    threads: int | None,
) -> None:
    """Compare the methods of finding boundaries at equal displacement."""
    keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    chosen = [method for method in METHODS if not only or {method[0], _named(method)} & set(only)]
    generator, predictor = hf.load_generator("scenes"), hf.load_predictor("scenes")
    whole = hf.sample(generator, predictor, SAMPLES * refits, out=out)
    parts = [_part(whole, SAMPLES * part) for part in range(refits)]
    effects = Effects(Engine(generator, predictor), out / "effects", codes)
    if shuffled:
        for method, weight in chosen:
            if method != "gradient":  # which has no labels to shuffle
                found = claims_of_shuffled(effects, parts[0], method, weight, shuffled, step)
                click.echo(f"{_named((method, weight)):16} {found}")
        return
    networks: dict[str, Any] = {"generator": generator, "predictor": predictor}
    deviation, names = whole.deviation, [semantic.name for semantic in whole.semantics]
    spread = covariance(parts[0].w)
    click.echo("| method | held-out accuracy | cosine of refits | step in SD | effect | off target | "
               + " | ".join(names) + " |")  # fmt: skip
    click.echo("|---|" + "---:|" * (5 + len(names)))
    for method, weight in chosen:
        num = 1 if method == "gradient" else refits  # which is fitted to no samples
        fitted = [
            hf.fit_boundaries(part, method=method, C=weight, chosen_num=CHOSEN, progress=False,
                              **(networks if method == "gradient" or weight == "auto" else {}))
            for part in parts[:num]
        ]  # fmt: skip
        moves = np.stack([step * each.per_step(unit) for fit in fitted for each in fit.values()])
        measured = effects.of(_named((method, weight)), moves).mean(axis=0)
        measured = measured.reshape(num, len(names), len(names)).mean(axis=0)  # [B, S]
        click.echo(_row(_named((method, weight)), fitted, measured / deviation, spread, moves, measured))


def _named(method: Method) -> str:
    name, weight = method
    return name if weight is None else f"{name}={weight}" if weight == "auto" else f"{name}={weight:g}"


def _part(samples: Samples, start: int) -> Samples:
    rows = slice(start, start + SAMPLES)
    arrays = {name: getattr(samples, name)[rows] for name in ("z", "w", "codes", "scores")}
    return Samples(Held(samples.settings, arrays), SAMPLES)


def _row(
    name: str, fitted: Sequence[Boundaries], relative: Array, spread: Array, moves: Array, measured: Array
) -> str:
    """A line of the table; ``relative``: effects ``[B, S]`` in standard deviations of the scores."""
    accuracy = np.mean([boundary.accuracy for fit in fitted for boundary in fit.values()])
    pairs = [(a, b) for i, a in enumerate(fitted) for b in fitted[:i]]
    cosines = [a[key].normal @ b[key].normal for a, b in pairs for key in a]
    units = moves / np.linalg.norm(moves, axis=1, keepdims=True)
    lengths = np.linalg.norm(moves, axis=1) / np.sqrt(np.einsum("md,de,me->m", units, spread, units))
    own = np.diag(relative)
    off = np.abs(relative[~np.eye(len(relative), dtype=bool)])
    figures: list[Any] = [f"{accuracy:.3f}", f"{np.mean(cosines):.2f}" if cosines else "–"]
    figures += [f"{lengths.mean():.1f}", f"{own.mean():.3f}", f"{off.mean():.3f}"]
    figures += [f"{effect:+.3f}" for effect in np.diag(measured)]
    return f"| {name} | " + " | ".join(figures) + " |"


if __name__ == "__main__":
    main()
