"""``fit``, to scores or to labels, and ``export``, which writes what is to be labelled."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from higan_fast.cli.options import ELSEWHERE, FITTING, PATH, QUIET, RUN, indices, option
from higan_fast.wording import listing

if TYPE_CHECKING:
    from higan_fast.probing import Boundaries
    from higan_fast.run_folder import RunFolder
    from higan_fast.run_settings import Places

IMAGES_AT_ONCE = 8
MOST_NAMED = 4  # boundaries, in a line
CODES = click.option("--codes", type=PATH, help="Without RUN: codes, a .npy of [N, D] or [N, L, D].")
SCORES = click.option("--scores", type=PATH, help="With --codes: their scores, a .npy of [N] or [N, S].")
NAMES = click.option("--names", help="With --codes: a name for each score.  [default: of the file]")
OUT = click.option("--out", type=PATH, help="With --codes: the file for the boundaries, a .safetensors.")


@click.command()
@click.argument("run", type=PATH, required=False)
@click.option(
    "--labels", type=PATH, help="Fit to labels in place of scores: a CSV file of sample,semantic,value."
)
@CODES
@SCORES
@NAMES
@OUT
@FITTING
@ELSEWHERE
@QUIET
def fit(
    run: Path | None,
    labels: Path | None,
    codes: Path | None,
    scores: Path | None,
    names: str | None,
    out: Path | None,
    quiet: bool,
    places: Places,
    **fitting: Any,
) -> None:
    """Fit a boundary for each semantic to the samples in RUN, or to codes and scores of your own.

    With --labels or --codes, both sides are equally large: of 300 samples with the label 1 and 2,000 with 0,
    300 of each are used, 70 % to fit and the others for the accuracy, so that chance is 0.5. At least 50
    labels on each side are needed.
    """
    from higan_fast.cli import stages
    from higan_fast.cli.commandlines import check_fitted
    from higan_fast.run_folder import RunFolder

    given = [codes, scores, out]
    if run is None and (labels is not None or None in given):
        raise click.UsageError("give RUN, or --codes, --scores and --out")
    if run is not None and any(value is not None for value in (*given, names)):
        raise click.UsageError("--codes, --scores, --names and --out stand in place of RUN; give one of both")
    if run is None:
        assert codes is not None and scores is not None and out is not None
        fitted = _fit_codes(codes, scores, names, out, fitting, places.get("device"), quiet=quiet)
        check_fitted(fitted, None)
        return
    if labels is None:
        fitted = stages.fit(run, fitting, places, quiet=quiet)
    else:
        fitted = _fit_labels(run, labels, fitting, places, quiet=quiet)
    if not len(fitted):
        check_fitted(fitted, RunFolder.open(run, **places))


def _fit_labels(out: Path, file: Path, fitting: dict[str, Any], places: Places, *, quiet: bool) -> Boundaries:
    """Fits to the labels in a file, and leaves the boundaries in the run folder."""
    from higan_fast import probing
    from higan_fast.boundaries.label_files import read_labels
    from higan_fast.run_folder import RunFolder

    run = RunFolder.open(out, **places)
    labels = read_labels(file, len(run.samples))
    boundaries = probing.fit_to_labels(
        run.samples, labels, device=run.settings.device, progress=not quiet, **fitting
    )
    boundaries.settings["labels_file"] = str(file)
    if boundaries:  # else those that are there stay
        _say_what_goes(run, boundaries)
        boundaries.save(run.boundaries_file)
    _print_labelled(boundaries)
    return boundaries


def _say_what_goes(run: RunFolder, boundaries: Boundaries) -> None:
    """Says which boundaries the new ones replace, unless these were fitted to labels too."""
    from higan_fast.cli.commandlines import stage_command
    from higan_fast.progress import say

    with suppress(OSError, ValueError):
        before = run.boundaries
        if gone := [name for name in before if name not in boundaries and "labels" not in before.settings]:
            again = f"{stage_command('fit', run)} fits these again"
            say(f"replaces the boundaries of {listing(gone, MOST_NAMED)}; {again}")


def _fit_codes(
    codes_file: Path,
    scores_file: Path,
    names: str | None,
    out: Path,
    fitting: dict[str, Any],
    device: Any,
    *,
    quiet: bool,
) -> Boundaries:
    """Fits to codes and scores in files, and writes the boundaries to a file."""
    from higan_fast import probing
    from higan_fast.boundaries.code_files import read_codes_and_scores
    from higan_fast.cli.predictor_options import listed

    samples, labels, space = read_codes_and_scores(
        codes_file, scores_file, None if names is None else listed(names), fitting["space"]
    )
    boundaries = probing.fit_to_labels(
        samples, labels, device=device, progress=not quiet, **fitting | {"space": space}
    )
    boundaries.save(out)
    _print_labelled(boundaries)
    click.echo(out)
    return boundaries


def _print_labelled(boundaries: Boundaries) -> None:
    """What each boundary was fitted to, and its accuracy with the interval that so few labels leave."""
    from higan_fast.cli.printing import echo_line
    from higan_fast.statistics.proportions import proportion_interval

    held_out = boundaries.settings["held_out"]
    for name, boundary in boundaries.items():
        assert boundary.num_per_side is not None and boundary.accuracy is not None
        num = max(1, round(boundary.num_per_side * held_out))
        low, high = proportion_interval(boundary.accuracy, 2 * num)
        labels = boundaries.settings["labels"][name]["labels"]
        echo_line(
            f"{name:16} held-out accuracy {boundary.accuracy:.3f} [{low:.3f}, {high:.3f}] on {num} high and "
            f"{num} low; {boundary.num_per_side} of each were used, of {labels:,} labels"
        )
    for name, reason in boundaries.skipped.items():
        echo_line(f"{name:16} skipped: {reason}")
    if len(boundaries):
        echo_line(
            "both sides are equally large, so that chance is 0.5; in brackets 95 % intervals, and what was "
            "left of the larger side was not used"
        )


@click.command()
@RUN
@click.option("--images", type=PATH, required=True, help="Folder for the pictures, PNG files.")
@click.option(
    "--csv", "csv_file", type=PATH, required=True, help="File for the scores: a table as --labels of fit."
)
@option("--num", default=200, help="How many samples, from the first on.")
@click.option("--samples", help="Which samples instead, such as 3,17 or 0-3,8.")
@click.option(
    "--semantic",
    "names",
    multiple=True,
    help="Only this one; may be repeated. One that no network scores gets an empty value, to be filled in.",
)
@ELSEWHERE
@QUIET
def export(
    run: Path,
    images: Path,
    csv_file: Path,
    num: int,
    samples: str | None,
    names: tuple[str, ...],
    quiet: bool,
    places: Places,
) -> None:
    """Write samples of RUN as pictures, and their scores as a table, to be labelled by hand.

    Give the table back with fit --labels once its values are yours; a line without a value is passed over.
    """
    from higan_fast.checks import check_count, check_folder
    from higan_fast.files import write_whole
    from higan_fast.run_folder import RunFolder

    check_count("num (--num)", num)
    check_folder(images)
    folder = RunFolder.open(run, **places)
    there = len(folder.samples)
    chosen = list(range(min(num, there))) if samples is None else sorted(indices("--samples", samples))
    if chosen[-1] >= there:
        raise ValueError(f"--samples: got {chosen[-1]}, and {run} has the samples 0 to {there - 1}")
    files = _write_images(folder, images, chosen, quiet)
    columns = {semantic.name: column for column, semantic in enumerate(folder.samples.semantics)}
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["sample", "semantic", "value", "image"])
    for row, file in zip(chosen, files, strict=True):
        for name in names or columns:
            value = f"{folder.samples.scores[row, columns[name]]:g}" if name in columns else ""
            table.writerow([row, name, value, file])
    with write_whole(csv_file) as written:
        written.write(text.getvalue().encode())
    click.echo(csv_file)


def _write_images(folder: Any, images: Path, chosen: list[int], quiet: bool) -> list[str]:
    """Draws samples of a run, a PNG file each, and returns the files' paths."""
    import torch

    from higan_fast.pictures import image_grid, save_picture
    from higan_fast.progress import progress

    generator, codes = folder.generator, folder.samples.codes
    images.mkdir(parents=True, exist_ok=True)
    files = []
    with torch.inference_mode(), progress("drawing", len(chosen), enabled=not quiet) as advance:
        for start in range(0, len(chosen), IMAGES_AT_ONCE):
            rows = chosen[start : start + IMAGES_AT_ONCE]
            drawn = generator.synthesize(torch.from_numpy(codes[rows]).to(generator.device))
            for row, image in zip(rows, drawn, strict=True):
                files.append(str(images / f"sample-{row:06}.png"))
                save_picture(Path(files[-1]), image_grid(image[None, None], padding=0))
            advance(len(rows))
    return files
