"""What the commands run: one stage of a probe in its run folder, or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from higan_fast import probing
from higan_fast.boundaries.boundary import StepUnit
from higan_fast.boundaries.fitting import check_fitting
from higan_fast.boundaries.methods import chooses_weight, method_of
from higan_fast.checks import check_count
from higan_fast.cli import sharing
from higan_fast.cli.commandlines import check_fitted, command_of
from higan_fast.cli.crews import ALONE, Asked, crew_of
from higan_fast.cli.dose_files import write_dose_files
from higan_fast.cli.printing import print_boundaries, print_ranking
from higan_fast.devices import describe_device, usable_device
from higan_fast.engine.precision import Precision, Wish, chosen_precision
from higan_fast.experiments import Results
from higan_fast.inversion import Inversion
from higan_fast.probing import Attribution, Boundaries, Comparison, Sweep, Verification
from higan_fast.probing.attribution import check_attributing
from higan_fast.probing.comparison import METHODS_COMPARED, check_comparing
from higan_fast.probing.sweep import PART, check_sweeping
from higan_fast.probing.verification_checks import check_verifying
from higan_fast.progress import say, stage
from higan_fast.report import write_report
from higan_fast.run_folder import RunFolder
from higan_fast.run_settings import Places, Settings
from higan_fast.sampling.samples import check_sampling, sampling_precision
from higan_fast.wording import argument

FITTING = ("chosen_num", "space", "method", "C", "recipe")
VERIFYING = (
    "step",
    "step_unit",
    "decide",
    "confidence",
    "max_samples",
    "exhaustive",
    "null",
    "num_null",
    "precision",
    "screening",
)


def probe(
    out: Path,
    num: int,
    batch: int | None,
    layer_samples: int,
    options: dict[str, Any],
    *,
    comparing: dict[str, Any] | None = None,
    dosing: dict[str, Any] | None = None,
    quiet: bool,
) -> None:
    """All stages.

    Args:
        options: of the sampling, the fitting and the verification.
        comparing: methods and codes of a comparison; None: there is to be none.
        dosing: number of samples and steps of a sweep; None likewise.
    """
    fitting = {name: options.pop(name) for name in FITTING}
    verifying = {name: options.pop(name) for name in VERIFYING} | {"recipe": fitting["recipe"]}
    attributing = {name: verifying[name] for name in ("confidence", "precision")}
    if comparing is not None:
        comparing |= attributing | {name: verifying[name] for name in ("step", "step_unit")}
        _check_comparing(batch=batch, **comparing)
    num_stages = 5 + (comparing is not None) + (dosing is not None)
    places: Places = {
        "network": options["network"],
        "config": options.get("config"),
        "device": options["device"],
    }
    check_fitting(**fitting)
    _check_verifying(None, batch=batch, space=fitting["space"], **verifying)
    if verifying["null"] == "shuffled" and fitting["method"] == "gradient":
        raise ValueError(
            "null (--null): got 'shuffled', which fits boundaries to shuffled scores, but a gradient is "
            "fitted to none; take 'both', or another --boundary"
        )
    if layer_samples != 0:
        check_count("layer_samples (--layer-samples)", layer_samples, 2)
    if dosing is not None:
        dosing |= attributing | {"part": PART}
        check_sweeping(batch_size=batch, **dosing)
    with stage(1, of=num_stages):
        sample(out, num, batch, options, verifying["precision"], quiet=quiet)
    with stage(2, of=num_stages):
        boundaries = fit(out, fitting, places, quiet=quiet)
    if boundaries:
        with stage(3, of=num_stages):
            verification = verify(out, places=places, batch=batch, quiet=quiet, **verifying)
        print_ranking(verification)
    else:
        try:
            check_fitted(boundaries, RunFolder.open(out, **places))
        except ValueError as error:
            with stage(3, of=num_stages):
                say(f"verifying: left out: {error}")
    with stage(4, of=num_stages):
        if RunFolder.open(out).samples.settings["num_layers"] == 1:
            if not quiet:
                say("attributing to layers: there is one, which decides all that its code decides")
        elif layer_samples != 0:
            click.echo(layers(out, num=layer_samples, places=places, batch=batch, quiet=quiet, **attributing))
    if comparing is not None and boundaries:
        with stage(5, of=num_stages):
            click.echo(methods(out, places=places, batch=batch, quiet=quiet, **comparing))
    if dosing is not None and boundaries:
        with stage(num_stages - 1, of=num_stages):
            click.echo(dose(out, semantics=None, places=places, batch=batch, quiet=quiet, **dosing))
    with stage(num_stages, of=num_stages):
        report(out, places, quiet=quiet)


def sample(
    out: Path,
    num: int,
    batch: int | None,
    settings: dict[str, Any],
    precision: Wish,
    *,
    quiet: bool,
    crew: Asked = ALONE,
) -> None:
    part, device = crew.part, usable_device(settings["device"])
    check_sampling(
        num=num, out=out, batch_size=batch, seed=settings["seed"], truncation_psi=settings["truncation_psi"],
        truncation_layers=settings["truncation_layers"], label=settings.get("label"), precision=precision,
    )  # fmt: skip
    run = RunFolder(out, Settings(**settings | {"device": str(device)}))
    run.begin()
    precision = sampling_precision(precision, run.generator.device, out)
    say_where("sampling", run, quiet, precision)
    networks = run.generator, run.predictor
    options = {
        "seed": run.settings.seed, "label": run.settings.label, "batch_size": batch, "precision": precision,
        "progress": not quiet, **run.settings.truncation,
    }  # fmt: skip
    if part is not None:
        sharing.sample(run, part, num, options)
        return
    with crew_of(crew, run, {}) as workers:
        probing.sample(*networks, num, out, crew=workers, **options)


def fit(out: Path, fitting: dict[str, Any], places: Places, *, quiet: bool) -> Boundaries:
    check_fitting(**fitting)
    run = RunFolder.open(out, **places)
    networks: dict[str, Any] = {}
    method = method_of(fitting["method"], fitting["recipe"])
    if method == "gradient" or chooses_weight(method, fitting["C"]):
        networks = {"generator": run.generator, "predictor": run.predictor}
        say_where("fitting", run, quiet)
    boundaries = probing.fit_boundaries(
        run.samples, device=run.settings.device, out=out, progress=not quiet, **networks, **fitting
    )
    boundaries.save(run.boundaries_file)
    print_boundaries(boundaries)
    return boundaries


def verify(
    out: Path,
    *,
    exhaustive: bool,
    max_samples: int,
    batch: int | None,
    precision: Wish,
    places: Places,
    quiet: bool,
    semantics: Sequence[str] | None = None,
    crew: Asked = ALONE,
    **options: Any,
) -> Verification:
    part, run = crew.part, RunFolder.open(out, **places)
    asked = sharing.asked_for(
        options,
        exhaustive=exhaustive,
        max_samples=max_samples,
        batch=batch,
        precision=precision,
        semantics=semantics,
    )
    semantics = scored(run, semantics)
    _check_verifying(
        run.boundaries, exhaustive=exhaustive, max_samples=max_samples, batch=batch, precision=precision,
        semantics=semantics, **options,
    )  # fmt: skip
    precision = chosen_precision(precision, run.generator.device)
    say_where("verifying", run, quiet, precision)
    with sharing.leading(run, part, asked) if part else crew_of(crew, run, places) as workers:
        return probing.verify(
            run.generator, run.predictor, run.boundaries, samples=run.samples,
            num=max_samples if exhaustive else None, max_samples=max_samples, batch_size=batch,
            seed=run.settings.seed, label=run.settings.label, out=out, precision=precision,
            progress=not quiet, semantics=semantics, crew=workers, **run.settings.truncation, **options,
        )  # fmt: skip


def scored(run: RunFolder, semantics: Sequence[str] | None) -> Sequence[str] | None:
    """The semantics that are asked for; where none are named, those of the boundaries that a network scores.

    Boundaries that were fitted to labels may have others, which are said to be left out.

    Raises:
        ValueError: when none is left, or there was none.
    """
    left = run.scored_boundaries
    check_fitted(run.boundaries, run)
    unknown = [name for name in run.boundaries if name not in left]
    if semantics is not None or not unknown:
        return semantics
    which = f"the predictor scores none of {', '.join(unknown)}"
    if not left:
        raise ValueError(
            f"{run.boundaries_file}: {which}, so that their own effect cannot be measured; what they do "
            f"to others is: higan-fast directions {argument(run.path)} --file "
            f"{argument(run.boundaries_file)}"
        )
    say(f"left out: {which}")
    return left


def layers(
    out: Path,
    *,
    num: int,
    confidence: float,
    batch: int | None,
    precision: Wish,
    places: Places,
    quiet: bool,
) -> Attribution:
    run = RunFolder.open(out, **places)
    check_attributing(num=num, confidence=confidence, precision=precision, batch_size=batch)
    precision = chosen_precision(precision, run.generator.device)
    say_where("attributing to layers", run, quiet, precision)
    return probing.attribute_layers(
        run.generator, run.predictor, num=num, confidence=confidence, seed=run.settings.seed,
        label=run.settings.label, precision=precision, batch_size=batch, out=out, progress=not quiet,
        **run.settings.truncation,
    )  # fmt: skip


def methods(
    out: Path,
    *,
    methods: str | None,
    codes: int,
    step: float,
    step_unit: StepUnit,
    confidence: float,
    num_gradients: int = 256,
    batch: int | None,
    precision: Wish,
    places: Places,
    quiet: bool,
) -> Comparison:
    run = RunFolder.open(out, **places)
    _check_comparing(
        methods=methods, codes=codes, step=step, step_unit=step_unit, confidence=confidence, batch=batch,
        precision=precision, num_gradients=num_gradients,
    )  # fmt: skip
    precision = chosen_precision(precision, run.generator.device)
    say_where("comparing methods", run, quiet, precision)
    return probing.compare_methods(
        run.generator, run.predictor, run.samples, run.boundaries, _names_in(methods), codes=codes, step=step,
        step_unit=step_unit, confidence=confidence, num_gradients=num_gradients, precision=precision,
        batch_size=batch, out=out, progress=not quiet,
    )  # fmt: skip


def _check_comparing(*, methods: str | None, batch: int | None, **options: Any) -> None:
    check_comparing(_names_in(methods), batch_size=batch, **options)


def _names_in(methods: str | None) -> tuple[str, ...]:
    """``"svm=1, difference"`` → its names; those of the library where there is no list."""
    return METHODS_COMPARED if methods is None else tuple(name.strip() for name in methods.split(","))


def dose(
    out: Path,
    *,
    steps: Sequence[float],
    num: int,
    part: float,
    confidence: float,
    semantics: Sequence[str] | None,
    batch: int | None,
    precision: Wish,
    places: Places,
    quiet: bool,
    step_unit: StepUnit | None = None,
) -> Sweep:
    run = RunFolder.open(out, **places)
    check_sweeping(
        steps=steps, num=num, part=part, confidence=confidence, precision=precision, batch_size=batch,
        step_unit=step_unit,
    )  # fmt: skip
    semantics, verification = scored(run, semantics), run.verification
    precision = chosen_precision(precision, run.generator.device)
    say_where("sweeping", run, quiet, precision)
    found = probing.sweep_steps(
        run.generator, run.predictor, run.boundaries, steps, num=num, verification=verification,
        semantics=semantics, part=part, confidence=confidence, step_unit=step_unit, seed=run.settings.seed,
        label=run.settings.label, precision=precision, batch_size=batch, out=out, progress=not quiet,
        **run.settings.truncation,
    )  # fmt: skip
    write_dose_files(run, found, quiet=quiet)
    return found


def show(out: Path) -> tuple[Verification | None, list[Verification], Results]:
    """The current verification, all others, and what other stages and experiments found; reads alone.

    There is no verification where no boundary was fitted that could be verified.
    """
    run = RunFolder.open(out)
    results = results_of(run)
    return results.verification, run.kept_beside if results.verification else [], results


def results_of(run: RunFolder) -> Results:
    """All that was found; says what is of something else, and is left out."""
    results, stale = run.results()
    for reason in stale:
        say(f"left out: {reason}")
    return results


def inversion_of(run: RunFolder) -> Inversion | None:
    """Codes of pictures; says where they are another network's, and left out."""
    try:
        return run.inversion
    except ValueError as error:
        say(f"left out: {error}")
        return None


def _check_verifying(
    boundaries: Boundaries | None, *, exhaustive: bool, max_samples: int, batch: int | None, **options: Any
) -> None:
    check_verifying(
        boundaries, num=max_samples if exhaustive else None, max_samples=max_samples, batch_size=batch,
        **options,
    )  # fmt: skip


def report(out: Path, places: Places, *, quiet: bool) -> None:
    run = RunFolder.open(out, **places)
    results = results_of(run)
    if places.get("predictor") is not None:
        _ = run.predictor  # must be that of the run, though no page needs it
    say_where("drawing", run, quiet)
    path = write_report(
        out / "report.html",
        title=f"What each layer decides: {run.settings.network}",
        settings={**run.about, "command": command_of(run)},
        generator=run.generator,
        samples=run.samples,
        boundaries=run.boundaries,
        **results._asdict(),
        inversion=inversion_of(run),
        progress=not quiet,
    )
    click.echo(path)


def say_where(what: str, run: RunFolder, quiet: bool, precision: Precision | None = None) -> None:
    """Which device a stage has taken, and which precision where there is a choice."""
    if not quiet:
        taken = f", precision {precision}" if precision else ""
        say(f"{what} on {describe_device(run.generator.device)}{taken}")
