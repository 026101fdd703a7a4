"""What ``higan-fast manipulate`` draws: samples, moved along boundaries, as pictures and animations."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast import probing
from higan_fast.boundaries.boundary import Boundary, StepUnit
from higan_fast.checks import check_count, check_seed
from higan_fast.cli.given_codes import Given, not_shown, of_file, of_samples, rows_with_distance, what_changed
from higan_fast.cli.printing import echo_line
from higan_fast.cli.stages import say_where
from higan_fast.pictures import (
    check_animation_name,
    check_picture_name,
    labelled_grid,
    save_animation,
    save_picture,
    shrunk,
    to_pixels,
)
from higan_fast.probing import format_layers, parse_layers
from higan_fast.probing.manipulation import check_jitter, check_steps
from higan_fast.progress import say
from higan_fast.run_folder import RunFolder
from higan_fast.run_settings import Places
from higan_fast.wording import printable

# With room for what a file system adds to a name of at most 255 bytes.
LONGEST_NAME = 180

STEP = 3.0  # either way, as HiGAN's, where no sweep suggests another

MODES = ("independent", "joint", "jitter")
VARIANTS = 4  # of each sample, in jitter
MOST_FRAMES = 10_000

# A variant is shown for so many frames; steps go by one a frame, in images of at most so many pixels a side.
HOLD, FRAMES, SIDE = 5, 24, 256
STEPS_AT_ONCE = 4


class Drawing(NamedTuple):
    """What is drawn of N samples in M ways: T steps or variants of each.

    Attributes:
        images: uint8 ``[N, M, T, 3, H, W]``.
        ways: a label each.
        columns: a label for each step or variant.
        corner: says what these are.
    """

    images: Tensor
    ways: Sequence[str]
    columns: Sequence[str]
    corner: str


def manipulate(
    out: Path,
    names: Sequence[str],
    layers: str,
    *,
    mode: str | None,
    steps: Sequence[float] | None,
    step_unit: StepUnit,
    num: int,
    chosen: Sequence[int] | None,
    seed: int | None,
    codes_file: Path | None,
    variants: int | None,
    scale: float,
    frames: int | None,
    picture: Path | None,
    places: Places,
    quiet: bool,
) -> None:
    """Draws a picture, a row for each sample, a column for each step; or an animation along the steps.

    Args:
        mode: one of ``MODES``: each semantic alone, all by the same step, or random steps along one. None:
            jitter where there are variants, else joint.
        steps: None: as far as a sweep suggests for these boundaries on these layers, either way; else 3.
        step_unit: of the steps.
        num: so many samples, from the first on ...
        chosen: ... or these instead.
        seed: of fresh samples; None: those of the run.
        codes_file: what holds codes to move in place of samples.
        variants: how many random steps, in jitter.
        frames: of an animation, from the least step to the greatest one; None: a picture, unless the name of
            ``picture`` ends in .mp4 or .gif.
        picture: where to write it.
        places: see ``RunFolder.open``.
    """
    if mode is None:
        mode = "joint" if variants is None else "jitter"
    if frames is None and picture is not None and picture.suffix.lower() in (".mp4", ".gif"):
        frames = FRAMES
    if frames is not None:
        check_count("frames (--frames)", frames, 2, MOST_FRAMES)
    if mode == "jitter":
        variants = VARIANTS if variants is None else variants
        check_jitter(variants, scale)
    elif steps is not None:
        check_steps(steps)
        if frames is not None and min(steps) == max(steps):
            raise ValueError(f"--steps: got {steps[0]:g} alone, and an animation goes from one to another")
    if picture is not None:
        check_picture_name(picture) if frames is None else check_animation_name(picture)
    check_count("num (--num)", num)
    if seed is not None:
        check_seed(seed)
    run = RunFolder.open(out, **places)
    boundaries = [run.boundaries[name] for name in names]
    num_layers = run.samples.settings["num_layers"]
    moved = parse_layers(layers, num_layers)
    on = "all" if len(moved) == num_layers else format_layers(moved)
    if steps is None:
        suggested = None if mode == "jitter" else _suggested(run, names, on, step_unit)
        steps = (-STEP, 0.0, STEP) if suggested is None else (-suggested, 0.0, suggested)
        if suggested is not None and not quiet:
            say(f"steps of {suggested:g}, as the dose-response suggests; --steps takes others")
    samples = range(num) if chosen is None else chosen
    measured = codes_file is not None and mode != "jitter"
    if places.get("predictor") is not None:
        _ = run.predictor  # must be that of the run, though no picture needs it
    if codes_file is None:
        given = of_samples(run, samples, seed)
    else:
        given = of_file(run, codes_file, num, chosen)
        samples = range(len(given.codes)) if chosen is None else chosen
    say_where("drawing", run, quiet)
    options: dict[str, Any] = {"layers": moved, "step_unit": step_unit, **run.settings.truncation}
    if mode == "jitter":
        drawn = _variants(run, given, boundaries[0], variants or VARIANTS, scale, options)
        moves = {"jitter": str(variants), "scale": f"{scale:g}"}
    else:
        along = steps if frames is None else np.linspace(min(steps), max(steps), frames).tolist()
        ways = {name: [each] for name, each in zip(names, boundaries, strict=True)}
        if mode == "joint":
            ways = {" + ".join(names): boundaries}
        side = None if frames is None else SIDE
        drawn = _along(run, given, ways, along, side, options)
        moves = {"mode": mode} if mode == "independent" and len(names) > 1 else {}
        moves |= {"steps": ",".join(f"{step:g}" for step in steps)}
    moves |= {} if step_unit == "norm" else {"unit": step_unit}
    moves |= {} if frames is None else {"frames": str(frames)}
    which = {"samples": format_layers(samples)} | ({} if seed is None else {"seed": str(seed)})
    which |= {} if codes_file is None else {"codes": codes_file.name}
    joined = (", " if mode == "independent" else " + ").join(names)
    named = joined.replace(" ", "") if mode == "independent" else "+".join(names)
    ending = "png" if frames is None else "webp"
    picture = picture or out / _file_name(named, {"layers": on, **moves, **which}, ending)
    title = f"{joined}{', each alone,' if len(drawn.ways) > 1 else ''} on {_layers(on)}"
    title += "" if seed is None else f", samples of seed {seed}"
    title += "" if codes_file is None else f", codes of {printable(codes_file.name, 60)}"
    title += "" if mode != "jitter" or step_unit == "norm" else f", scale in {step_unit}"
    if frames is None:
        save_picture(picture, _grid(drawn, given.rows, title))
    else:
        save_animation(picture, _frames(drawn, given.columns, title, held=mode == "jitter"))
    click.echo(picture)
    for line in () if quiet else not_shown(run, names):
        say(printable(line))
    rows = rows_with_distance(run, given) if measured else given.rows
    for along_these in ways.values() if measured else ():
        step = max(steps, key=lambda step: (abs(step), step))
        for line in what_changed(run, given, along_these, step, options).lines(rows):
            echo_line(line)


def _along(
    run: RunFolder,
    given: Given,
    ways: Mapping[str, Sequence[Boundary]],
    steps: Sequence[float],
    side: int | None,
    options: dict[str, Any],
) -> Drawing:
    """Images along the steps, in several ways; larger ones than ``side`` are scaled down to it."""
    parts = []
    for boundaries in ways.values():
        some = []
        for first in range(0, len(steps), STEPS_AT_ONCE):
            at_once = steps[first : first + STEPS_AT_ONCE]
            images = torch.cat(
                [
                    probing.manipulate(
                        run.generator, codes, boundaries, steps=at_once, drawn_by=drawer, **options
                    )
                    for codes, drawer in given.parts()
                ]
            )
            some.append(to_pixels(images if side is None else shrunk(images, side)).cpu())
        parts.append(torch.cat(some, dim=1))
    unit = options["step_unit"]
    texts = [_signed(step if side is None else round(step, 2)) for step in steps]
    return Drawing(torch.stack(parts, dim=1), tuple(ways), texts, _step(unit))


def _variants(
    run: RunFolder,
    given: Given,
    boundary: Boundary,
    num: int,
    scale: float,
    options: dict[str, Any],
) -> Drawing:
    parts = [
        probing.jitter(run.generator, codes, boundary, num=num, scale=scale, drawn_by=drawer, **options)
        for codes, drawer in given.parts()
    ]
    images = to_pixels(torch.cat(parts)).cpu()
    return Drawing(images[:, None], (boundary.name,), [str(1 + column) for column in range(num)], "variant")


def _grid(drawn: Drawing, labels: Sequence[str], title: str) -> NDArray[np.uint8]:
    """A row for each sample in each way."""
    several = len(drawn.ways) > 1
    rows = [f"{label}{f', {way}' if several else ''}" for label in labels for way in drawn.ways]
    return labelled_grid(drawn.images.flatten(0, 1), rows, drawn.columns, title, drawn.corner)


def _frames(drawn: Drawing, columns: Sequence[str], title: str, *, held: bool) -> list[NDArray[np.uint8]]:
    """A picture for each step, forth and back: a column for each sample, a row for each way."""
    rows = list(drawn.ways) if len(drawn.ways) > 1 else [""]
    forth = [
        labelled_grid(
            shrunk(drawn.images[:, :, place].float(), SIDE).to(torch.uint8).transpose(0, 1), rows, columns,
            f"{drawn.corner} {text}: {title}", "sample",
        )
        for place, text in enumerate(drawn.columns)
    ]  # fmt: skip
    return [frame for frame in forth for _ in range(HOLD)] if held else forth + forth[-2:0:-1]


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


def _file_name(name: str, settings: dict[str, str], ending: str) -> str:
    """Says every setting, as the command line does; what is too long ends in a hash."""
    said = "_".join(f"{option}={value}" for option, value in settings.items())
    stem = quote(f"manipulate-{name}_{said}", safe=" +=,")
    if len(stem) > LONGEST_NAME:
        stem = f"{stem[:LONGEST_NAME]}…{hashlib.sha256(stem.encode()).hexdigest()[:8]}"
    return f"{stem}.{ending}"


def _layers(layers: str) -> str:
    if layers == "all":
        return "all layers"
    return f"layer {layers}" if layers.isdigit() else f"layers {layers}"


def _step(unit: StepUnit) -> str:
    return "step" if unit == "norm" else f"step, {unit}"


def _signed(step: float) -> str:
    """``-3.0`` → ``-3``, ``1.5`` → ``+1.5``, ``0.0`` → ``0``."""
    return f"{step:+g}" if step else "0"
