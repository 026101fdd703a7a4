"""``directions``: what directions from elsewhere do, and to which semantics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from higan_fast.cli.options import (
    AS_JSON,
    BATCH,
    ELSEWHERE,
    PATH,
    PRECISION,
    QUIET,
    RUN,
    STEP_UNIT,
    option,
)

if TYPE_CHECKING:
    from higan_fast.experiments import Finding
    from higan_fast.probing import Directions
    from higan_fast.run_folder import RunFolder
    from higan_fast.run_settings import Places


@click.command()
@RUN
@click.option("--sefa", type=int, help="So many factors of the generator's affines (Shen & Zhou 2021).")
@click.option("--pca", type=int, help="So many principal components of w over RUN's samples (GANSpace).")
@click.option(
    "--pca-layer", type=int, help="Of the activations of this layer instead, and what of w goes with them."
)
@click.option(
    "--stylespace",
    metavar="K|LAYER:CHANNEL,...",
    help="So many single channels of styles (StyleSpace), found by gradients at a few of RUN's samples; or "
    "these, such as 3:117,5:22. Steps are standard deviations of each.",
)
@click.option(
    "--file",
    "files",
    type=PATH,
    multiple=True,
    help="Directions of others: .npy, .pt, GANSpace's .npz, InterFaceGAN's and HiGAN's files, a list of "
    "these as .txt, or what fit writes; may be repeated.",
)
@option("--space", type=click.Choice(["w", "layers", "z"]), default="w", help="Of arrays in files.")
@option("--max-samples", default=512, help="Where to stop at the latest.")
@option("--exhaustive", is_flag=True, help="Measure everything on all of --max-samples.")
@option("--step", default=2.0, help="How far along each direction.")
@STEP_UNIT
@option("--confidence", default=0.99, help="Of all claims together, and of each interval.")
@option("--num-null", default=32, help="Random directions of each kind.")
@PRECISION
@BATCH
@ELSEWHERE
@QUIET
@AS_JSON
@click.option("--csv", "as_csv", is_flag=True, help="Print a row for each direction, layer and semantic.")
def directions(
    run: Path,
    sefa: int | None,
    pca: int | None,
    pca_layer: int | None,
    stylespace: str | None,
    files: tuple[Path, ...],
    space: Any,
    max_samples: int,
    exhaustive: bool,
    precision: Any,
    batch: int | None,
    places: Places,
    quiet: bool,
    as_json: bool,
    as_csv: bool,
    **options: Any,
) -> None:
    """Measure which semantics directions move that have none of their own, and on which layer most.

    They are compared with random directions, as verify compares boundaries; single channels with random
    directions in the style of the same layer. Without --sefa, --pca, --stylespace and --file, prints what was
    found before.
    """
    from higan_fast import probing
    from higan_fast.boundaries.elsewhere import (
        activation_components,
        all_of,
        factors,
        principal_components,
        read_directions,
    )
    from higan_fast.cli.experiments.command import check_printed, keep, print_finding
    from higan_fast.cli.stages import say_where
    from higan_fast.engine.precision import chosen_precision
    from higan_fast.probing.channels import parse_channels
    from higan_fast.run_folder import RunFolder

    check_printed(as_json, as_csv)
    if pca_layer is not None and pca is None:
        raise click.UsageError("--pca-layer: says of which layer, and --pca how many; give both")
    codes = sefa is not None or pca is not None or bool(files)
    if codes and stylespace is not None:
        raise click.UsageError("--stylespace: is of styles, and --sefa, --pca and --file of codes; run twice")
    folder = RunFolder.open(run, **places)
    if codes or stylespace is not None:
        precision = chosen_precision(precision, folder.generator.device)
        common = {
            **options, **folder.settings.truncation, "seed": folder.settings.seed,
            "label": folder.settings.label, "precision": precision, "batch_size": batch, "out": run,
            "num": max_samples if exhaustive else None, "max_samples": max_samples, "progress": not quiet,
        }  # fmt: skip
    if stylespace is not None:
        del common["step_unit"]
        channels = parse_channels(stylespace)
        say_where("verifying channels", folder, quiet, precision)
        found = probing.verify_channels(
            folder.generator, folder.predictor, folder.samples, channels, **common
        )
    elif codes:
        read = [read_directions(file, space) for file in files]
        factored = [] if sefa is None else factors(folder.generator, sefa)
        components: list[probing.Boundary] = []
        if pca is not None and pca_layer is None:
            components = principal_components(folder.samples, pca)
        elif pca is not None and pca_layer is not None:
            components = activation_components(folder.generator, folder.samples, pca_layer, pca)
        chosen = list(all_of(factored, components, *read).values())
        if options["step_unit"] == "sd":
            chosen = probing.measured_on(folder.samples, chosen)
        say_where("verifying directions", folder, quiet, precision)
        found = probing.verify_directions(folder.generator, folder.predictor, chosen, **common)
    else:
        found = _last(folder)
    if codes or stylespace is not None:
        keep(_finding(folder, found), run / "experiments", quiet)
    print_finding(found, as_json, as_csv)


def _last(folder: RunFolder) -> Directions:
    """What was measured last."""
    if not folder.directions_files:
        raise FileNotFoundError(
            f"{folder.path / 'directions.npz'}: is not there yet; give directions with --sefa, --pca, "
            "--stylespace or --file"
        )
    return folder.directions(folder.directions_files[-1])


def _finding(folder: RunFolder, found: Directions) -> Finding:
    """What was found just now, and before of the other kind, codes or styles, if that belongs to the run."""
    from higan_fast import experiments
    from higan_fast.progress import say

    results = [found]
    for file in folder.directions_files:
        try:
            other = folder.directions(file)
        except ValueError as error:
            say(f"left out: {error}")
            continue
        if other.of_styles != found.of_styles:
            results.append(other)
    results.sort(key=lambda each: each.of_styles)
    return replace(experiments.directions(results), made_from=folder.origin())
