"""What ``higan-fast manipulate`` draws: samples, moved along boundaries, with labels that say how."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import numpy as np
from numpy.typing import NDArray

from higan_fast import probing
from higan_fast.boundaries.boundary import StepUnit
from higan_fast.checks import check_count, check_seed
from higan_fast.cli.stages import say_where
from higan_fast.pictures import check_picture_name, labelled_grid, save_picture
from higan_fast.probing import format_layers, parse_layers
from higan_fast.probing.manipulation import check_jitter, check_steps
from higan_fast.progress import say
from higan_fast.run_folder import RunFolder
from higan_fast.run_settings import Places
from higan_fast.sampling.latents import codes_of

# With room for what a file system adds to a name of at most 255 bytes.
LONGEST_NAME = 180

STEP = 3.0  # either way, as HiGAN's, where no sweep suggests another


def manipulate(
    out: Path,
    names: Sequence[str],
    layers: str,
    *,
    steps: Sequence[float] | None,
    step_unit: StepUnit,
    num: int,
    chosen: Sequence[int] | None,
    seed: int | None,
    variants: int | None,
    scale: float,
    picture: Path | None,
    places: Places,
    quiet: bool,
) -> None:
    """Draws a picture: a row for each sample, a column for each step.

    Args:
        steps: None: as far as a sweep suggests for these boundaries on these layers, either way; else 3.
        step_unit: of the steps.
        num: so many samples, from the first on ...
        chosen: ... or these instead.
        seed: of fresh samples; None: those of the run.
        variants: instead of steps, so many random ones.
        picture: where to write it.
        places: see ``RunFolder.open``.
    """
    if picture is not None:
        check_picture_name(picture)
    check_count("num (--num)", num)
    if seed is not None:
        check_seed(seed)
    if variants is not None:
        check_jitter(variants, scale)
    elif steps is not None:
        check_steps(steps)
    run = RunFolder.open(out, **places)
    boundaries = [run.boundaries[name] for name in names]
    num_layers = run.samples.settings["num_layers"]
    moved = parse_layers(layers, num_layers)
    on = "all" if len(moved) == num_layers else format_layers(moved)
    if steps is None:
        steps = (-STEP, 0.0, STEP)
        suggested = None if variants is not None else _suggested(run, names, on, step_unit)
        if suggested is not None:
            steps = (-suggested, 0.0, suggested)
            if not quiet:
                say(f"steps of {suggested:g}, as the dose-response suggests; --steps takes others")
    samples = range(num) if chosen is None else chosen
    if places.get("predictor") is not None:
        _ = run.predictor  # must be that of the run, though no picture needs it
    codes = _codes_of_run(run, samples) if seed is None else _fresh_codes(run, samples, seed)
    say_where("drawing", run, quiet)
    options: dict[str, Any] = {"layers": moved, "step_unit": step_unit, **run.settings.truncation}
    if variants is None:
        images = probing.manipulate(run.generator, codes, boundaries, steps=steps, **options)
        columns, corner = [_signed(step) for step in steps], _step(step_unit)
        moves = {"steps": ",".join(f"{step:g}" for step in steps)}
    else:
        images = probing.jitter(run.generator, codes, boundaries[0], num=variants, scale=scale, **options)
        columns, corner = [str(1 + column) for column in range(variants)], "variant"
        moves = {"jitter": str(variants), "scale": f"{scale:g}"}
    moves |= {} if step_unit == "norm" else {"unit": step_unit}
    which = {"samples": format_layers(samples)} | ({} if seed is None else {"seed": str(seed)})
    picture = picture or out / _file_name("+".join(names), {"layers": on, **moves, **which})
    of_seed = "" if seed is None else f", samples of seed {seed}"
    title = f"{' + '.join(names)} on {_layers(on)}{of_seed}"
    title += "" if variants is None or step_unit == "norm" else f", scale in {step_unit}"
    rows = [f"sample {index}" for index in samples]
    save_picture(picture, labelled_grid(images, rows, columns, title, corner))
    click.echo(picture)


def _suggested(run: RunFolder, names: Sequence[str], on: str, unit: StepUnit) -> float | None:
    """The step that a sweep suggests for all of these; None where one was not swept so, or it is stale."""
    sweep = None
    with suppress(ValueError, OSError):
        sweep = run.sweep
    if sweep is None or sweep.settings["step_unit"] != unit or not set(names) <= set(sweep.boundary_names):
        return None
    curves = [sweep.curve(name, acting=on != "all") for name in names]
    found = [
        sweep.suggested_step(curve) for curve in curves
        if curve is not None and sweep.layers_in_words(curve) == on
    ]  # fmt: skip
    steps = [step for step in found if step is not None]
    return min(steps) if len(steps) == len(names) else None


def _codes_of_run(run: RunFolder, samples: Sequence[int]) -> NDArray[np.float32]:
    """The codes of some of the run's samples, ``[n, L, D]``."""
    outside = [index for index in samples if index >= len(run.samples)]
    if outside:
        raise ValueError(
            f"--samples: got {outside[0]}, and {run.path} has the samples 0 to {len(run.samples) - 1}; "
            "--seed N draws fresh ones"
        )
    return run.samples.codes[list(samples)]


def _fresh_codes(run: RunFolder, samples: Sequence[int], seed: int) -> NDArray[np.float32]:
    """The codes that ``higan-fast sample --seed N`` would draw for these samples, ``[n, L, D]``."""
    options: dict[str, Any] = {**run.settings.truncation, "label": run.settings.label}
    return codes_of(run.generator, seed, samples, **options).codes.cpu().numpy()


def _file_name(name: str, settings: dict[str, str]) -> str:
    """Says every setting, as the command line does; what is too long ends in a hash."""
    said = "_".join(f"{option}={value}" for option, value in settings.items())
    stem = quote(f"manipulate-{name}_{said}", safe=" +=,")
    if len(stem) > LONGEST_NAME:
        stem = f"{stem[:LONGEST_NAME]}…{hashlib.sha256(stem.encode()).hexdigest()[:8]}"
    return f"{stem}.png"


def _layers(layers: str) -> str:
    if layers == "all":
        return "all layers"
    return f"layer {layers}" if layers.isdigit() else f"layers {layers}"


def _step(unit: StepUnit) -> str:
    return "step" if unit == "norm" else f"step, {unit}"


def _signed(step: float) -> str:
    """``-3.0`` → ``-3``, ``1.5`` → ``+1.5``, ``0.0`` → ``0``."""
    return f"{step:+g}" if step else "0"
