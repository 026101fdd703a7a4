"""Prints the table of peak memory in docs/engine.md: ``python -m benchmarks.memory``.

Every line runs in a separate process, on one thread, in batches of 16 images.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click
import torch

import higan_fast as hf
from benchmarks.boundaries import random_boundaries
from higan_fast.boundaries.displacement import displacements
from higan_fast.engine.engine import Engine
from higan_fast.engine.plan import Plan, all_and_each
from higan_fast.memory import keep_freed_memory
from higan_fast.sampling.latents import VERIFICATION, make_codes

BATCH, BOUNDARIES, SEED = 16, 2, 1
# directions, samples, steps
LINES = ((4, 32, 2), (64, 32, 2), (4, 1024, 2), (4, 32, 16))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Verify with more directions, samples and steps, and print the memory that each takes."""
    click.echo("| directions | samples | steps | MiB |\n|---:|---:|---:|---:|")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as processes:
        for directions, samples, steps in LINES:
            peak = processes.submit(peak_memory, directions, samples, steps).result()
            click.echo(f"| {directions} | {samples:,} | {steps} | {peak / 2**20:.0f} |")


def peak_memory(directions: int, samples: int, steps: int) -> int:
    """Returns the peak bytes above what the process held with both networks loaded.

    With two steps (forwards and backwards) it runs a whole verification; with more, the engine alone.
    """
    keep_freed_memory()  # as the command line does
    torch.set_num_threads(1)
    generator, predictor = hf.load_generator("scenes"), hf.load_predictor("scenes")
    before = forget_peak()
    if steps == 2:
        hf.verify(
            generator, predictor, random_boundaries(generator, predictor.names[:BOUNDARIES]),
            num=samples, num_null=directions - BOUNDARIES, seed=SEED, batch_size=BATCH, progress=False,
        )  # fmt: skip
    else:
        boundaries = random_boundaries(generator, [str(index) for index in range(directions)])
        engine = Engine(generator, predictor, batch_size=BATCH)
        plan = Plan(
            displacements(generator, "w", [boundary.normal for boundary in boundaries.values()]),
            all_and_each(generator.num_layers),
            torch.linspace(-2, 2, steps),
        )
        with torch.inference_mode():
            codes = make_codes(generator, SEED, 0, samples, stream=VERIFICATION).codes
            for _ in engine.perturbed_scores(codes, plan):
                pass  # a real caller would consume the scores here
    return resident("VmHWM") - before


def forget_peak() -> int:
    """Resets the peak, and returns the bytes that are resident now."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def resident(name: str) -> int:
    """Returns an entry of Linux's process status, such as VmHWM, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(found.split()[1]) * 1024


if __name__ == "__main__":
    main()
