"""``manipulate``: samples moved along boundaries, as a picture or an animation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from higan_fast.cli.options import ELSEWHERE, PATH, QUIET, RUN, STEP_UNIT, indices, numbers, option


@click.command()
@RUN
@click.option(
    "--semantic", "names", multiple=True, required=True, help="Repeat it to move along several at once."
)
@option("--layers", default="all", help="Such as 6-7 or 0,2-4.")
@click.option(
    "--steps",
    help="Comma-separated, or a range such as -3..3.  [default: as far as dose suggests; or -3,0,3]",
)
@STEP_UNIT
@click.option("--num", type=int, help="How many samples, from the first on.  [default: 8]")
@click.option("--samples", help="Which samples instead, such as 3,17 or 0-3,8.")
@click.option(
    "--codes",
    "codes_file",
    type=PATH,
    metavar="FILE|RUN",
    help="Move these instead, as of a RUN in which invert found them, or NVlabs' projected_w.npz, .npy, .pt. "
    "Prints what changes in each image.",
)
@click.option("--seed", type=int, help="Draw fresh samples of this seed.  [default: those in RUN]")
@click.option(
    "--mode",
    type=click.Choice(["independent", "joint", "jitter"]),
    help="Each semantic alone; all of them at once, by the same step; or random steps along one.  "
    "[default: joint; jitter with --jitter]",
)
@click.option(
    "--jitter", "variants", type=int, help="How many random variants in --mode jitter.  [default: 4]"
)
@option("--scale", default=1.0, help="Standard deviation of a random step.")
@click.option(
    "--frames",
    type=int,
    help="Draw an animation, of so many frames from the least step to the greatest one, and back.  "
    "[default: 24 for an MP4 or GIF, else a picture]",
)
@click.option(
    "--out",
    type=PATH,
    help="PNG, JPEG or WebP file; an animation: MP4, GIF or WebP.  [default: in RUN, named by the options]",
)
@ELSEWHERE
@QUIET
def manipulate(
    run: Path,
    names: tuple[str, ...],
    layers: str,
    mode: str | None,
    steps: str | None,
    num: int | None,
    samples: str | None,
    variants: int | None,
    out: Path | None,
    **options: Any,
) -> None:
    """Move samples along boundaries, and draw a row for each: one picture, labelled; or an animation."""
    from higan_fast.cli import manipulation

    if variants is not None and mode not in (None, "jitter"):
        raise click.UsageError(f"--mode {mode} and --jitter: random steps are a mode of their own; give one")
    if (variants is not None or mode == "jitter") and len(names) > 1:
        raise click.UsageError("--jitter moves along one boundary; give one --semantic")
    if options["codes_file"] is not None and options["seed"] is not None:
        raise click.UsageError("--codes moves codes of a file, --seed draws fresh samples; give one of them")
    if num is not None and samples is not None:
        raise click.UsageError(
            "--num takes the first samples, --samples those that it names; give one of them"
        )
    manipulation.manipulate(
        run,
        names,
        layers,
        mode=mode,
        steps=None if steps is None else numbers("--steps", steps),
        num=8 if num is None else num,
        chosen=None if samples is None else sorted(indices("--samples", samples)),
        variants=variants,
        picture=out,
        **options,
    )
