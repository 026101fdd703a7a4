"""Inverts held-out renders and moves them along boundaries: ``python -m benchmarks.invert RUN``.

RUN is what ``higan-fast demo`` leaves. The renders are of a world that no network was trained on. Their codes
are moved along every boundary whose effect is shown, as are fresh samples, and scored by RUN's predictor.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import higan_fast as hf
from higan_fast.generators.base import Generator
from higan_fast.inversion import Inversion
from higan_fast.inversion.inverting import SPACES, STEPS
from higan_fast.memory import keep_freed_memory
from higan_fast.pictures import labelled_grid, save_picture
from higan_fast.probing.moved import measure_move
from higan_fast.run_folder import RunFolder
from higan_fast.sampling.latents import EXPERIMENT, make_codes
from higan_fast.scenes.factors import sample_factors
from higan_fast.scenes.renderer import render

PICTURED, MOVED = 4, ("lighting", "warmth")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--num", default=16, show_default=True, help="Renders.")
@click.option("--world", default=909, show_default=True, help="Theirs; training drew world 0.")
@click.option("--steps", default=STEPS, show_default=True, help="In w, and as many again in W+.")
@click.option("--samples", default=128, show_default=True, help="Fresh samples to move; 0: none is moved.")
@click.option("--tune", default=0, show_default=True, help="Steps of pivotal tuning around the codes of W+.")
@click.option("--threads", type=int, help="CPU threads.")
@click.option("--picture", type=click.Path(path_type=Path), help="PNG of some of the renders.")
def main(
    run: Path,
    num: int,
    world: int,
    steps: int,
    samples: int,
    tune: int,
    threads: int | None,
    picture: Path | None,
) -> None:
    """Print PSNR, processor time, and how many images boundaries change, beside samples."""
    keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    folder = RunFolder.open(run)
    targets = render(sample_factors(world, range(num)))
    found: dict[str, Inversion] = {}
    drawn_by: dict[str, Generator] = {}
    for space in SPACES:
        with _timed(num, f"{space}, {steps} steps"):
            found[space] = hf.invert(folder.generator, targets, space, steps=steps, progress=False)
        _say(found[space])
    if tune:
        with _timed(num, f"tuned for {tune} steps"):
            drawn_by["tuned"], found["tuned"] = hf.tune_around(
                folder.generator, found["w+"], targets, tune, progress=False
            )
        _say(found["tuned"])
    if picture is not None:
        save_picture(picture, _picture(folder, targets, found, drawn_by))
    if samples:
        _compare(folder, found, drawn_by, samples)


@contextmanager
def _timed(num: int, what: str) -> Iterator[None]:
    began, processor = time.perf_counter(), time.process_time()
    yield
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    threads = torch.get_num_threads()
    click.echo(
        f"{num} renders in {what}: {processor:.0f} s of processor time, {seconds:.0f} s on {threads} threads"
    )


def _say(found: Inversion) -> None:
    click.echo(
        f"  PSNR {found.psnr.mean():.2f} dB, least {found.psnr.min():.2f}; from the mean "
        f"{found.from_mean.mean():.1f}, most {found.from_mean.max():.1f}; farther than 99 % of samples: "
        f"{(found.percentile > 99).sum()}"
    )


def _compare(
    folder: RunFolder, found: dict[str, Inversion], drawn_by: dict[str, Generator], num: int
) -> None:
    """Prints in how many images and samples each boundary changes its semantic."""
    verification = folder.verification
    shown = [name for name in verification.rank() if verification.status(name) == "shown"]
    drawn = make_codes(folder.generator, 1, 0, num, stream=EXPERIMENT, **folder.settings.truncation)
    columns = {name: one.codes for name, one in found.items()} | {"samples": drawn.codes.cpu().numpy()}
    shares = {
        name: [_share(folder, boundary, codes, drawn_by.get(name)) for boundary in shown]
        for name, codes in columns.items()
    }
    for row, boundary in enumerate(shown):
        click.echo(f"{boundary:12}" + "".join(f" {name} {of[row]:6.1%}" for name, of in shares.items()))
    click.echo(
        f"{len(shown)} boundaries" + "".join(f" {name} {np.mean(of):6.1%}" for name, of in shares.items())
    )


def _share(folder: RunFolder, name: str, codes: NDArray[np.float32], drawn_by: Generator | None) -> float:
    """The share of codes whose score a step moves its way by ``CHANGED``; the mean of both steps."""
    settings = folder.verification.settings
    shares = []
    for step in (settings["step"], -settings["step"]):
        moved = measure_move(
            folder.generator, folder.predictor, codes, [folder.boundaries[name]], None,
            folder.samples.deviation, step=step, drawn_by=drawn_by, step_unit=settings["step_unit"],
            **folder.settings.truncation,
        )  # fmt: skip
        shares.append(moved.changed[:, 0].mean())
    return float(np.mean(shares))


def _picture(
    folder: RunFolder, targets: Tensor, found: dict[str, Inversion], drawn_by: dict[str, Generator]
) -> NDArray[np.uint8]:
    """A row for each of the first renders: as it is, as it was found, and each of these moved."""
    some = slice(0, PICTURED)
    columns, labels = [targets[some].float() / 127.5 - 1], ["render", *found]
    for name, one in found.items():
        generator = drawn_by.get(name, folder.generator)
        columns.append(generator.synthesize(torch.from_numpy(one.codes[some])).clamp(-1, 1))
    step = folder.verification.settings["step"]
    for boundary in MOVED:
        for name, one in found.items():
            (moved,) = hf.manipulate(
                folder.generator, one.codes[some], folder.boundaries[boundary], steps=(step,),
                drawn_by=drawn_by.get(name), **folder.settings.truncation,
            ).unbind(1)  # fmt: skip
            columns.append(moved)
            labels.append(boundary)
    rows = [" | ".join(f"{one.psnr[row]:.1f}" for one in found.values()) + " dB" for row in range(PICTURED)]
    return labelled_grid(torch.stack(columns, dim=1), rows, labels)


if __name__ == "__main__":
    main()
