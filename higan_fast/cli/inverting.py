"""``invert``: the codes of somebody's pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from higan_fast.cli.options import AS_JSON, BATCH, CONFIG, PATH, QUIET, option
from higan_fast.wording import printable

if TYPE_CHECKING:
    from higan_fast.generators.base import Generator
    from higan_fast.inversion import Distance


@click.command()
@click.argument("pictures", metavar="IMAGE…", nargs=-1, required=True, type=PATH)
@click.option("--network", help="As of sample.  [default: that of RUN, where a probe was begun there]")
@CONFIG
@click.option(
    "--out", type=PATH, required=True, metavar="RUN", help="Run folder; the codes go to RUN/invert."
)
@option(
    "--space", type=click.Choice(["w", "w+"]), default="w+", help="One code for all layers, or one for each."
)
@option("--steps", default=250, help="Of each image at most; in w+, as many again.")
@option("--starts", default=4, help="For each image: the mean of w, and the nearest samples.")
@option("--samples", default=512, help="How many are drawn to find these.")
@option(
    "--distance",
    default="pixels",
    metavar="pixels|predictor|PRED",
    help="What is made small: pixels at several scales; or features, and pixels, of RUN's predictor, of one "
    "as of --predictor of sample, or of a TorchScript file such as NVlabs' vgg16.pt.",
)
@option("--tune", default=0, metavar="STEPS", help="Then tune the network around the codes (pivotal tuning).")
@option("--noise-maps", is_flag=True, help="Find the noise inputs of each image too.")
@option(
    "--crop",
    is_flag=True,
    help="Take the middle of pictures of another size, scaled, without alpha that the network does not draw.",
)
@click.option(
    "--class", "label", type=int, help="Class of the samples, for conditional generators.  [default: all]"
)
@option("--seed", default=0, help="Of the noise on the codes.")
@click.option("--device", help="cpu, cuda, cuda:1, …, auto.  [default: the run's, or auto]")
@BATCH
@QUIET
@AS_JSON
def invert(
    pictures: tuple[Path, ...],
    network: str | None,
    config: str | None,
    out: Path,
    distance: str,
    tune: int,
    crop: bool,
    device: str | None,
    batch: int | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Find the codes whose images come nearest to pictures; a folder stands for the pictures in it.

    Writes RUN/invert/codes.npz, invert.csv, invert.json, and progress.png; how near they came step by step is
    curves.csv and curves.svg. manipulate --codes RUN then moves the pictures along boundaries.
    """
    from higan_fast import inversion
    from higan_fast.devices import describe_device
    from higan_fast.inversion.code_files import FOLDER
    from higan_fast.progress import say

    checked = {name: value for name, value in options.items() if name != "noise_maps"}
    inversion.check_inverting(batch_size=batch, out=out, **checked)
    if tune < 0 or (tune and options["noise_maps"]):
        raise click.UsageError(
            "--tune: takes a number of steps; and --noise-maps leaves the network as it is: give one of both"
        )
    files = inversion.picture_files(pictures)
    generator, measure = _networks(out, network, config, device, distance)
    images = inversion.read_pictures(files, generator.image_shape, crop)
    names = [printable(file.name, 100) for file in files]
    if not quiet:
        say(f"inverting on {describe_device(generator.device)}")
    common: dict[str, Any] = {
        "distance": measure,
        "batch_size": batch,
        "out": out / FOLDER,
        "progress": not quiet,
    }
    found = inversion.invert(generator, images, names=names, **options, **common)
    if tune:
        _, found = inversion.tune_around(generator, found, images, tune, seed=options["seed"], **common)
    click.echo(json.dumps(found.to_json(), indent=2) if as_json else found)
    if not quiet:
        say(f"written: {out / FOLDER}/codes.npz, invert.csv, invert.json, progress.png, curves.csv and .svg")


def _networks(
    out: Path, network: str | None, config: str | None, device: str | None, distance: str
) -> tuple[Generator, Distance]:
    """The generator, that of RUN where a probe was begun there, and the distance."""
    from higan_fast.checkpoints import load_generator
    from higan_fast.devices import usable_device
    from higan_fast.inversion import NetworkFeatures, distance_of
    from higan_fast.run_folder import RunFolder

    if (out / "run.json").is_file():
        run = RunFolder.open(out, network=network, config=config, device=device)
        generator = run.generator
        if distance == "predictor":
            return generator, NetworkFeatures(run.predictor, "the run's predictor")
    elif network is None or distance == "predictor":
        wanted = "'--network'" if network is None else "'--distance'"
        whose = "network" if network is None else "predictor"
        raise click.UsageError(
            f"Option {wanted}: no probe was begun in {out}, whose {whose} it could be; name one."
        )
    else:
        generator = load_generator(network, usable_device(device or "auto"), config)
    return generator, distance_of(distance, generator.device)
