"""Tests the intervals and top layers of ``attribute_layers``: ``python -m benchmarks.attribution``.

Every sample of a large pool of the embedded generator is scored as it is and with the code of each layer
replaced. Runs that draw their samples from that pool are compared with what the whole pool says.
"""

from __future__ import annotations

import click
import numpy as np
import torch
from numpy.typing import NDArray

import higan_fast as hf
from higan_fast.engine.engine import Engine
from higan_fast.memory import keep_freed_memory
from higan_fast.sampling.latents import ATTRIBUTION, BLOCK, REPLACEMENT, make_codes
from higan_fast.statistics.effects import student_quantile
from higan_fast.statistics.sobol import possible_tops, total_indices

POOL_SEED = 1_000


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--pool", default=2_048, show_default=True, help="Samples that are drawn from.")
@click.option("--runs", default=500, show_default=True)
@click.option("--samples", "sizes", multiple=True, type=int, default=(100, 1_000), show_default=True)
@click.option("--confidence", default=0.99, show_default=True)
@click.option("--threads", type=int, help="CPU threads.")
def main(pool: int, runs: int, sizes: tuple[int, ...], confidence: float, threads: int | None) -> None:
    """Count the intervals that miss an index, and the true top layers that are ruled out."""
    keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    scores, replaced, names = _pool(pool)
    changed = (scores[:, None] - replaced) ** 2 / 2
    truth = (changed.mean(axis=0) / scores.var(axis=0)).T  # [S, L]
    tops = truth.argmax(axis=1)
    random = np.random.default_rng(0)
    for num in sizes:
        missed, plain = np.zeros((2, *truth.shape)), np.zeros(truth.shape)
        width = wrong = known = 0.0
        for _ in range(runs):
            drawn = random.integers(0, pool, num)
            found = total_indices(scores[drawn], replaced[drawn], confidence)
            missed += found.low > truth, found.high < truth
            half = student_quantile(confidence, num - 1) * found.standard_error
            plain += np.abs(found.estimate - truth) > half
            width += float(np.median((found.high - found.low)[truth > 0.1] / (2 * half[truth > 0.1])))
            possible = possible_tops(scores[drawn], replaced[drawn], confidence)
            wrong += not possible[range(len(tops)), tops].all()
            known += float((possible.sum(axis=1) == 1).sum())
        both, of_delta = 100 * missed.sum(axis=0) / runs, 100 * plain / runs
        low, high = 100 * missed.mean(axis=(1, 2)) / runs
        worst = np.unravel_index(both.argmax(), both.shape)
        for line in (
            f"{num:,} samples, {runs:,} runs at {100 * confidence:g} %",
            f"  intervals miss {both.mean():.2f} %: too high {low:.2f} %, too low {high:.2f} %",
            f"  at worst {both.max():.1f} %: {names[worst[0]]} on layer {worst[1]}",
            f"  by the delta method {of_delta.mean():.1f} %, at worst {of_delta.max():.0f} %",
            f"  as wide as by the delta method where an index is above 0.1: {width / runs:.2f} times",
            f"  runs that rule out a true top layer: {int(wrong)}",
            f"  top layers that are known: {known / runs:.1f} of {len(names)}",
        ):
            click.echo(line)


def _pool(num: int) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[str, ...]]:
    """Returns scores ``[N, S]``, those with each layer's code replaced ``[N, L, S]``, and the semantics."""
    generator, predictor = hf.load_generator("scenes"), hf.load_predictor("scenes")
    engine = Engine(generator, predictor)
    scores = np.empty((num, predictor.num_semantics))
    replaced = np.empty((num, generator.num_layers, predictor.num_semantics))
    with torch.inference_mode(), click.progressbar(range(0, num, BLOCK), label="pool") as starts:
        for start in starts:
            stop = min(start + BLOCK, num)
            base, others = (
                make_codes(generator, POOL_SEED, start, stop, stream=stream).codes
                for stream in (ATTRIBUTION, REPLACEMENT)
            )
            scores[start:stop] = engine.scores(base).cpu().numpy()
            for found in engine.replaced_scores(base, others):
                replaced[start:stop][found.samples, found.layer] = found.values.cpu().numpy()
    return scores, replaced, predictor.names


if __name__ == "__main__":
    main()
