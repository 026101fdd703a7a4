"""Makes a command of an experiment: what all of them take, keep, draw and print."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from higan_fast.cli.options import AS_JSON, BATCH, ELSEWHERE, PRECISION, QUIET, RUN
from higan_fast.cli.options import options as together

if TYPE_CHECKING:
    from higan_fast.engine.precision import Wish
    from higan_fast.experiments import Finding, Subject
    from higan_fast.probing import Attribution, Comparison, Directions
    from higan_fast.run_folder import RunFolder
    from higan_fast.run_settings import Places

Measure = Callable[..., "Finding"]
AS_CSV = click.option("--csv", "as_csv", is_flag=True, help="Print the rows of its table.")


def experiment(
    *options: Callable[..., Any], of: Sequence[str] = ("boundaries", "verification"), name: str | None = None
) -> Callable[[Measure], click.Command]:
    """Makes a command of a function ``measure(run, subject, **options) -> Finding``.

    The command writes RUN/experiments/NAME.json, .csv, .svg and .png, and prints what was found. What is
    measured on the way is kept in RUN/experiments/NAME/. (NAME is followed by what a finding is of.)

    Args:
        options: those of its own.
        of: which results of the run decide what it finds; when one of them changes, the finding is stale.
        name: of the experiment.  None: that of the function.
    """

    def decorate(measure: Measure) -> click.Command:
        called = name or measure.__name__

        def command(
            run: Path,
            places: Places,
            precision: Any,
            batch: int | None,
            quiet: bool,
            as_json: bool,
            as_csv: bool,
            **given: Any,
        ) -> None:
            from higan_fast.run_folder import RunFolder

            check_printed(as_json, as_csv)
            folder = RunFolder.open(run, **places)
            origin = folder.origin(of)  # says at once what is missing or stale
            subject = subject_of(folder, called, precision, batch, quiet)
            finding = replace(measure(folder, subject, **given), made_from=origin)
            keep(finding, run / "experiments", quiet)
            print_finding(finding, as_json, as_csv)

        command.__doc__ = measure.__doc__
        shared = (PRECISION, BATCH, ELSEWHERE, QUIET, AS_JSON)
        return click.command(called.rpartition("-")[2])(together(RUN, *options, *shared, AS_CSV)(command))

    return decorate


def subject_of(folder: RunFolder, called: str, precision: Wish, batch: int | None, quiet: bool) -> Subject:
    """The networks of a run, with samples as its own; what is measured is kept in RUN/experiments/CALLED/."""
    from higan_fast.cli.stages import say_where
    from higan_fast.engine.precision import chosen_precision
    from higan_fast.experiments.subject import Subject

    precision = chosen_precision(precision, folder.generator.device)
    say_where(called.replace("-", " "), folder, quiet, precision)
    return Subject(
        folder.generator, folder.predictor, seed=folder.settings.seed, label=folder.settings.label,
        precision=precision, batch_size=batch, out=folder.path / "experiments" / called, progress=not quiet,
        **folder.settings.truncation,
    )  # fmt: skip


def check_printed(as_json: bool, as_csv: bool) -> None:
    """Raises UsageError when a finding is to be printed in two ways."""
    if as_json and as_csv:
        raise click.UsageError("--json and --csv: got both, expected one of them")


def print_finding(
    finding: Finding | Attribution | Comparison | Directions, as_json: bool, as_csv: bool
) -> None:
    """Prints what was found for people, or as JSON, or the rows of its table."""
    if as_json:
        click.echo(json.dumps(finding.to_json(), indent=2))
    elif as_csv:
        click.echo(finding.to_csv(), nl=False)
    else:
        click.echo(finding)


def keep(finding: Finding, folder: Path, quiet: bool) -> None:
    """Writes a finding and its figure into a folder, and says where they are."""
    from higan_fast.experiments.drawing import write_figures
    from higan_fast.opening import sha256
    from higan_fast.progress import say

    folder.mkdir(parents=True, exist_ok=True)
    lost = _lost(finding, folder)
    drawn = write_figures(finding, folder)
    shown = [*(path.name for path in drawn), *finding.pictures]
    replace(finding, files={name: sha256(folder / name) for name in shown}).save(folder)
    if not quiet:
        endings = "json,csv" + "".join(f",{path.suffix[1:]}" for path in drawn)
        say(f"written: {folder / finding.stem}.{{{endings}}}")
        if lost:
            say(lost)
        if not drawn:
            say("no figure: it is drawn by Matplotlib; pip install 'higan_fast[figures]'")


def _lost(finding: Finding, folder: Path) -> str | None:
    """What is lost of the finding that is about to be replaced, as of other results."""
    from higan_fast.experiments import Finding
    from higan_fast.files import DamagedError
    from higan_fast.probing.result_files import Extent

    try:
        found = Finding.load(folder / f"{finding.stem}.json")
    except (OSError, DamagedError):
        return None
    earlier, later = (Extent(each.images, each.made_from) for each in (found, finding))
    return earlier.loses(later)
