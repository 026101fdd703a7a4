"""Compares the methods of finding boundaries on the embedded world: ``python -m benchmarks.boundaries``.

``hf.compare_methods`` does the work, for disjoint sets of samples, each as large as the demo's; the table has
the means over these sets. What counts is what a boundary moves; how well it separates held-out samples says
little of that. With ``--shuffled`` it asks the opposite question: how often a boundary that was fitted to
shuffled scores would pass for a real one, against random directions of two kinds; and with ``--random`` how
often a random direction would. With ``--shown`` it counts in how many refits each effect is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

import higan_fast as hf
from benchmarks.boundaries.claims import claims_of_random, claims_of_shuffled
from benchmarks.boundaries.effects import Effects
from benchmarks.boundaries.refits import shown_in_refits
from higan_fast.boundaries.boundary import StepUnit
from higan_fast.boundaries.methods import parse_method
from higan_fast.engine.engine import Engine
from higan_fast.memory import keep_freed_memory
from higan_fast.probing import Comparison

SAMPLES, CHOSEN = 6_000, 1_000  # as in the demo
METHODS = (
    *(f"svm={weight:g}" for weight in (1, 1e-1, 1e-2, 1e-3)),
    *(f"logistic={weight:g}" for weight in (1, 1e-1, 1e-2, 1e-3, 1e-4)),
    *("ridge=1", "ridge=0.01", "lda=1", "lda=0.001", "svm=auto", "logistic=auto"),
    *("difference", "pattern=1", "gradient"),
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Keeps what is measured.")
@click.option("--refits", default=3, show_default=True, help="Disjoint sets of samples.")
@click.option("--codes", default=128, show_default=True, help="Fresh codes that are moved.")
@click.option("--step", default=2.0, show_default=True)
@click.option("--unit", default="norm", show_default=True, type=click.Choice(["norm", "sd"]))
@click.option("--only", multiple=True, help="Of the methods, such as svm or logistic=0.001; may be repeated.")
@click.option("--shuffled", default=0, help="Instead: so many boundaries of shuffled scores, each method.")
@click.option("--random", default=0, help="Instead: so many random directions of each kind as boundaries.")
@click.option("--shown", default=0, help="Instead: in how many of so many refits each effect is shown.")
@click.option("--samples", default=SAMPLES, show_default=True, help="Of each refit.")
@click.option("--threads", type=int, help="CPU threads.")
def main(
    out: Path,
    refits: int,
    codes: int,
    step: float,
    unit: StepUnit,
    only: tuple[str, ...],
    shuffled: int,
    random: int,
    shown: int,
    samples: int,
    threads: int | None,
) -> None:
    """Compare the methods of finding boundaries at equal displacement."""
    keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    chosen = [name for name in METHODS if not only or {name, parse_method(name)[0]} & set(only)]
    generator, predictor = hf.load_generator("scenes"), hf.load_predictor("scenes")
    if shown:
        effects = Effects(Engine(generator, predictor), out / "effects", codes)
        for name in chosen:
            found = shown_in_refits(effects, *parse_method(name), shown, samples, step, out)
            click.echo(f"{name}, shown in so many of {shown} refits: {found}")
        return
    whole = hf.sample(generator, predictor, SAMPLES * refits, out=out)
    parts = [whole.part(SAMPLES * part, SAMPLES * (part + 1)) for part in range(refits)]
    if random:
        effects = Effects(Engine(generator, predictor), out / "effects", codes)
        for kind in ("isotropic", "covariance"):
            click.echo(f"{kind:16} {claims_of_random(effects, parts[0], kind, random, step)}")
        return
    if shuffled:
        effects = Effects(Engine(generator, predictor), out / "effects", codes)
        for name in chosen:
            method, weight = parse_method(name)
            if method != "gradient":  # which has no labels to shuffle
                found = claims_of_shuffled(effects, parts[0], method, weight, shuffled, step)
                click.echo(f"{name:16} {found}")
        return
    compared = [
        hf.compare_methods(
            generator, predictor, part,
            hf.fit_boundaries(part, method="svm", chosen_num=CHOSEN, progress=False), chosen,
            codes=codes, step=step, step_unit=unit, out=out,
        )
        for part in parts
    ]  # fmt: skip
    names = compared[0].boundary_names
    click.echo("| method | held-out accuracy | cosine of refits | step in SD | effect | moves | off target | "
               + " | ".join(names) + " |")  # fmt: skip
    click.echo("|---|" + "---:|" * 4 + "---|" + "---:|" * (1 + len(names)))
    for place, name in enumerate(compared[0].methods):
        click.echo(_row(name, place, compared))


def _row(name: str, place: int, compared: Sequence[Comparison]) -> str:
    """A line of the table: means over the sets; effects on single semantics in the scores' units."""

    def mean(of: Callable[[Comparison], Any]) -> Any:
        return np.mean([of(found) for found in compared], axis=0)

    verdicts = [{1: "more", -1: "less", 0: "–"}[found.moves(place)] for found in compared]
    cosine = mean(lambda found: found.mean_of("cosine", place))
    figures = [
        f"{mean(lambda found: found.mean_of('accuracy', place)):.3f}",
        f"{cosine:.2f}" if np.isfinite(cosine) else "–",
        f"{mean(lambda found: found.mean_of('step_in_sd', place)):.1f}",
        f"{mean(lambda found: found.mean_effect[place]):.3f}",
        ", ".join(dict.fromkeys(verdicts)),
        f"{mean(lambda found: found.mean_off_target[place]):.3f}",
        *(f"{effect:+.3f}" for effect in mean(lambda found: found.effect[place] * found.deviation)),
    ]
    return f"| {name} | " + " | ".join(figures) + " |"


if __name__ == "__main__":
    main()
