"""The commands. What they run is imported when it is run, so that their help comes at once."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from higan_fast.cli.crews import CREW
from higan_fast.cli.experiments import EXPERIMENTS
from higan_fast.cli.experiments.command import check_printed, print_finding
from higan_fast.cli.explore import explore
from higan_fast.cli.inverting import invert
from higan_fast.cli.labelling import export, fit
from higan_fast.cli.manipulate import manipulate
from higan_fast.cli.options import (
    AS_JSON,
    ATTRIBUTED,
    BATCH,
    CODES_HELP,
    CONFIG,
    DEVICE,
    DOSED,
    ELSEWHERE,
    FITTING,
    METHODS_HELP,
    NETWORKS,
    PATH,
    PRECISION,
    QUIET,
    RECIPE,
    RUN,
    SAMPLING,
    STEP_UNIT,
    VERIFYING,
    FriendlyGroup,
    numbers,
    option,
)
from higan_fast.cli.predictor_options import predictors

if TYPE_CHECKING:
    from higan_fast.run_settings import Places


SECTIONS = {
    "Probing": (
        "demo",
        "probe",
        "sample",
        "merge",
        "fit",
        "verify",
        "layers",
        "methods",
        "dose",
        "report",
        "show",
    ),
    "Experiments": tuple(f"{command.name}" for command in EXPERIMENTS),
    "By hand": ("explore", "invert", "manipulate", "export"),
}


@click.group(cls=FriendlyGroup, sections=SECTIONS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="higan_fast")
def main(debug: bool) -> None:
    """Find out which layer of an image generator decides what you see, and prove it."""
    from higan_fast.memory import keep_freed_memory

    keep_freed_memory()


for command in (predictors, fit, export, *EXPERIMENTS, explore, invert, manipulate):
    main.add_command(command)


@main.command()
@NETWORKS
@SAMPLING
@PRECISION
@BATCH
@CREW
@QUIET
def sample(
    out: Path, num: int, batch: int | None, precision: Any, quiet: bool, crew: Any, **settings: Any
) -> None:
    """Draw codes, synthesise their images, and score them."""
    from higan_fast.cli import stages

    stages.sample(out, num, batch, settings, precision, quiet=quiet, crew=crew)


@main.command()
@RUN
@click.argument("others", nargs=-1, type=PATH)
@QUIET
def merge(run: Path, others: tuple[Path, ...], quiet: bool) -> None:
    """Check that all shards of sample --shard are in RUN, whole and of one sampling; or say how to make them.

    OTHERS are run folders with more shards, of machines that do not share RUN; their files are copied.
    """
    from higan_fast.cli import sharing

    click.echo(sharing.merge(run, others, quiet=quiet))


@main.command()
@RUN
@VERIFYING
@RECIPE
@BATCH
@click.option("--semantic", "semantics", multiple=True, help="Only this one; may be repeated.")
@CREW
@ELSEWHERE
@QUIET
@AS_JSON
def verify(run: Path, as_json: bool, semantics: tuple[str, ...], crew: Any, **options: Any) -> None:
    """Measure what every boundary in RUN changes: all layers together, and each layer alone.

    What is complete is not measured again, and no result replaces another: show prints them all.
    """
    from higan_fast.cli import sharing, stages
    from higan_fast.cli.printing import print_ranking

    if (part := crew.part) is not None and part.number > 1:
        sharing.serve(run, part, semantics=semantics or None, **options)
        return
    verification = stages.verify(run, semantics=semantics or None, crew=crew, **options)
    if as_json:
        click.echo(json.dumps(verification.to_json(), indent=2))
    else:
        print_ranking(verification)


@main.command()
@RUN
@option("--num", default=1000, help=f"{ATTRIBUTED}.")
@option("--confidence", default=0.99, help="Of each interval, and of all top layers together.")
@PRECISION
@BATCH
@ELSEWHERE
@QUIET
@AS_JSON
@click.option("--csv", "as_csv", is_flag=True, help="Print a row for each semantic and layer.")
def layers(run: Path, as_json: bool, as_csv: bool, **options: Any) -> None:
    """Measure how much of each score's variance comes with the code of each layer; needs no boundary.

    One layer at a time is fed the code of another sample (total Sobol indices).
    """
    from higan_fast.cli import stages

    check_printed(as_json, as_csv)
    attribution = stages.layers(run, **options)
    print_finding(attribution, as_json, as_csv)


@main.command()
@RUN
@click.option("--methods", help=f"{METHODS_HELP}.  [default: ten, of all kinds]")
@option("--codes", default=128, help=CODES_HELP)
@option("--gradients", "num_gradients", default=256, help="Fresh samples that gradient takes the mean over.")
@option("--step", default=2.0, help="How far along each boundary.")
@STEP_UNIT
@option("--confidence", default=0.99, help="Of all differences together.")
@PRECISION
@BATCH
@ELSEWHERE
@QUIET
@AS_JSON
@click.option("--csv", "as_csv", is_flag=True, help="Print a row for each method, and for its semantics.")
def methods(run: Path, as_json: bool, as_csv: bool, methods: str | None, **options: Any) -> None:
    """Compare methods of finding boundaries: how much a step along those of each moves, and what else.

    They are fitted to the samples in RUN, and compared with the method of its boundaries.
    """
    from higan_fast.cli import stages

    check_printed(as_json, as_csv)
    comparison = stages.methods(run, methods=methods, **options)
    print_finding(comparison, as_json, as_csv)


@main.command()
@RUN
@option("--steps", default="-6..6", help="A range of whole numbers, or a list such as -6,-3,0,3,6.")
@click.option(
    "--step-unit", type=click.Choice(["norm", "sd"]), help="Of steps.  [default: the verification's]"
)
@option("--num", default=128, help=f"{DOSED}.")
@option("--part", default=0.25, help="Of the rise of a curve, that counts as nothing.")
@option("--confidence", default=0.99, help="Of each interval, and of all claims together.")
@click.option("--semantic", "semantics", multiple=True, help="Only this one; may be repeated.")
@PRECISION
@BATCH
@ELSEWHERE
@QUIET
@AS_JSON
def dose(run: Path, as_json: bool, steps: str, semantics: tuple[str, ...], **options: Any) -> None:
    """Measure every score at many steps along each boundary in RUN: does it rise, saturate, or move others?

    All layers move, and then those alone that verify found to act. Writes RUN/dose.csv and dose.json, the
    curves as pictures, dose.svg and dose.png, and a sample along them, dose.pictures.png.
    """
    from higan_fast.cli import stages

    sweep = stages.dose(run, steps=numbers("--steps", steps), semantics=semantics or None, **options)
    click.echo(json.dumps(sweep.to_json(), indent=2) if as_json else sweep)


@main.command()
@RUN
@AS_JSON
@click.option(
    "--csv", "as_csv", is_flag=True, help="Print a row for each boundary, set of layers and semantic."
)
def show(run: Path, as_json: bool, as_csv: bool) -> None:
    """Print all that was found in RUN, and earlier verifications; measures nothing.

    The boundaries of one verify command are corrected for together, and those of another apart.
    """
    from higan_fast.cli import stages
    from higan_fast.cli.printing import print_results
    from higan_fast.probing.tables import to_csv

    check_printed(as_json, as_csv)
    current, beside, results = stages.show(run)
    if as_json:
        others: dict[str, Any] = {"kept_beside": [verification.to_json() for verification in beside]}
        for name in ("attribution", "comparison", "sweep"):
            others[name] = (found := getattr(results, name)) and found.to_json()
        others["experiments"] = {finding.stem: finding.to_json() for finding in results.findings}
        click.echo(json.dumps((current.to_json() if current else {}) | others, indent=2))
    elif as_csv:
        click.echo(to_csv([*filter(None, [current]), *beside]), nl=False)
    else:
        print_results(current, beside, results)


@main.command()
@RUN
@ELSEWHERE
@QUIET
def report(run: Path, quiet: bool, places: Places) -> None:
    """Write RUN/report.html, one self-contained page, and RUN/report.csv, its effects."""
    from higan_fast.cli import stages

    stages.report(run, places, quiet=quiet)


@main.command()
@NETWORKS
@SAMPLING
@FITTING
@VERIFYING
@option("--layer-samples", default=1000, help=f"{ATTRIBUTED}; 0: leave that out.")
@click.option("--methods", help=f"Methods to compare. {METHODS_HELP}.  [default: none]")
@option("--codes", default=128, help=f"For --methods. {CODES_HELP}")
@option("--dose-samples", default=0, help=f"{DOSED}; 0: leave that out.")
@option("--dose-steps", default="-6..6", help="As --steps of dose.")
@BATCH
@QUIET
def probe(
    out: Path,
    num: int,
    batch: int | None,
    layer_samples: int,
    methods: str | None,
    codes: int,
    dose_samples: int,
    dose_steps: str,
    quiet: bool,
    **options: Any,
) -> None:
    """Sample, fit, verify, attribute to layers and report: the whole job in one run folder."""
    from higan_fast.cli import stages

    comparing = None if methods is None else {"methods": methods, "codes": codes}
    doses = numbers("--dose-steps", dose_steps)
    dosing = {"num": dose_samples, "steps": doses} if dose_samples else None
    stages.probe(out, num, batch, layer_samples, options, comparing=comparing, dosing=dosing, quiet=quiet)


@main.command()
@option("--out", type=PATH, default=Path("runs/demo"), help="Run folder.")
@DEVICE
@PRECISION
@QUIET
def demo(out: Path, device: str, precision: str, quiet: bool) -> None:
    """Probe the embedded generator of rooms, and report."""
    from higan_fast.cli import stages

    settings = {"network": "scenes", "predictor": "scenes", "seed": 0, "device": device}
    truncation = {"truncation_psi": 1.0, "truncation_layers": None}
    verifying = {
        "step": 2.0,
        "step_unit": "norm",
        "decide": "top-layer",
        "confidence": 0.99,
        "max_samples": 512,
        "exhaustive": False,
        "null": "both",
        "num_null": 24,
        "precision": precision,
        "screening": 8,
    }
    fitting = {"chosen_num": 1_000, "space": "w", "method": "gradient", "C": None, "recipe": None}
    options = settings | truncation | fitting | verifying
    dosing = {"num": 48, "steps": [-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0]}
    stages.probe(out, 6_000, None, 1_000, options, dosing=dosing, quiet=quiet)


@main.command()
@click.argument("file")
@CONFIG
@AS_JSON
def inspect(file: str, config: str | None, as_json: bool) -> None:
    """Say what FILE holds: a generator of any format that --network takes, or a run folder.

    Of a generator: family, layers, codes, classes, source. Of a run folder: what each stage has left, what is
    stale or missing, and what to run next.
    """
    from higan_fast.checkpoints import describe
    from higan_fast.cli.printing import print_description
    from higan_fast.cli.run_description import describe_run, is_run, print_run

    if is_run(Path(file)):
        run = describe_run(Path(file))
        click.echo(json.dumps(run, indent=2)) if as_json else print_run(run)
        return
    found = describe(file, config)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        print_description(found)


@main.command()
@click.argument("file")
@click.argument("out", type=PATH)
@CONFIG
def convert(file: str, out: Path, config: str | None) -> None:
    """Write the generator in FILE as OUT, a .safetensors of ours, which loads at once."""
    from higan_fast import checkpoints

    checkpoints.convert(file, out, config)
    click.echo(out)


@main.command()
@AS_JSON
def doctor(as_json: bool) -> None:
    """Say what is installed, which devices there are, and which implementation each op runs."""
    from higan_fast.cli.printing import print_nested
    from higan_fast.environment import environment, native
    from higan_fast.weights import embedded

    found = environment()
    found["embedded_weights"] = {name: embedded(name).is_file() for name in ("generator", "predictor")}
    found.update(native())
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        print_nested(found)
