"""Runs the study's stages one after the other, says what each took, and keeps that beside what they made."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks import rows
from benchmarks.paper.pilot import STAGES, Guess, pilot
from benchmarks.paper.stages import Outcome, Stages
from benchmarks.paper.study import Study
from benchmarks.paper.watch import Watch
from benchmarks.paper.world import networks
from higan_fast.engine.precision import chosen_precision
from higan_fast.environment import environment
from higan_fast.files import write_whole
from higan_fast.progress import duration
from higan_fast.progress import stage as shown_stage

FOLDER = Path(__file__).parent.parent.parent / "build" / "paper"
WHOLE = "whole study"


def run_paper(device: str, scale: float, out: Path | None) -> list[str]:
    """Runs what is left of the study; returns what was found wrong, for which there are no rows.

    Args:
        scale: in (0, 1].
        out: folder of the rows, in which the study gets one of its own; None: the committed rows, and
            ``FOLDER``.

    Raises:
        click.UsageError: if the folder's study was begun on another device or in another precision.
    """
    study = Study.of(scale)
    folder = (out or FOLDER) / f"paper-{scale:g}"
    folder.mkdir(parents=True, exist_ok=True)
    click.echo("\n".join(study.lines()))
    generator, scorer = networks(study, device, folder / "networks.pt")
    precision = chosen_precision("auto", generator.device)
    stages = Stages(study, generator, scorer, device, precision, folder)
    begun = {"study": asdict(study), "machine": rows.machine(device), "precision": precision}
    log = Log(folder / "study.json", begun)
    click.echo(f"  precision {precision} ({stages.dtype}); in {folder}\n")
    if log.guesses is None:
        log.guesses = pilot(study, generator, scorer, device, precision)
    click.echo(_foretold(log.guesses))
    problems, done_here = [], 0
    for number, name in enumerate(STAGES, 1):
        if (kept := log.done(name)) is not None:
            click.echo(f"{name}: done before: {kept['said']}")
            continue
        resumed = log.begin(name)
        with shown_stage(number, of=len(STAGES)), _watch(device, stages, name) as watch:
            stages.run(name)
        outcome = stages.outcome(name)
        problems += _conclude(log, study, name, watch, outcome, resumed=resumed)
        if not resumed and outcome.error <= outcome.tolerance:
            done_here += 1
            dtype = "float64" if name == "fit" else stages.dtype
            rows.record(_row(study, name, watch.seconds, outcome, dtype), device, out)
    if done_here == len(STAGES):
        whole = Outcome(stages.verification.images + study.samples, "images", log.worst(), 1.0, "")
        rows.record(_row(study, WHOLE, log.seconds(), whole, stages.dtype), device, out)
    _sum_up(log, study, stages)
    return problems


def _watch(device: str, stages: Stages, name: str) -> Watch:
    return Watch(device, stages.samples_done if name == "sample" else None)


class Log:
    """``study.json``: what the study is, what it was to take, and how each stage went.

    A stage that was begun and is not done was interrupted: it goes on, but its time tells nothing.
    """

    def __init__(self, path: Path, begun: dict[str, Any]) -> None:
        self._path = path
        self._kept: dict[str, Any] = {"begun": begun, "guesses": None, "stages": {}}
        if (path.parent / "samples.zarr").exists():  # made by a run of which nothing else is known
            self._kept["stages"] = {name: {} for name in STAGES}
        if path.exists():
            self._kept = json.loads(path.read_text())
            found = self._kept["begun"]
            for key, value in begun.items():
                if found[key] != value:
                    raise click.UsageError(
                        f"--out: {path} was begun with {key} = {found[key]!r}, and this run has {value!r}; "
                        "take another folder"
                    )

    @property
    def guesses(self) -> dict[str, Guess] | None:
        kept = self._kept["guesses"]
        return None if kept is None else {name: Guess(*values) for name, values in kept.items()}

    @guesses.setter
    def guesses(self, values: dict[str, Guess]) -> None:
        self._kept["guesses"] = values
        self._write()

    def begin(self, name: str) -> bool:
        """Notes that a stage is being run; returns whether it was before."""
        resumed = name in self._kept["stages"]
        self._kept["stages"][name] = {}
        self._write()
        return resumed

    def finish(self, name: str, **record: Any) -> None:
        self._kept["stages"][name] = record | {"commit": environment()["commit"]}
        self._write()

    def done(self, name: str) -> dict[str, Any] | None:
        return self._kept["stages"].get(name) or None

    def seconds(self) -> float:
        return sum(record["seconds"] for record in self._kept["stages"].values())

    def worst(self) -> float:
        return max(record["error"] for record in self._kept["stages"].values())

    def _write(self) -> None:
        with write_whole(self._path) as file:
            file.write(json.dumps(self._kept, indent=2).encode())


def _foretold(guesses: dict[str, Guess]) -> str:
    lines = ["estimate, from a few batches of each stage:"]
    lines += [f"  {name}: {guess.seconds:,.1f} s ({guess.basis})" for name, guess in guesses.items()]
    total = sum(guess.seconds for guess in guesses.values())
    return "\n".join([*lines, f"  in all: {total:,.1f} s, {duration(total)}\n"])


def _conclude(
    log: Log, study: Study, name: str, watch: Watch, outcome: Outcome, *, resumed: bool
) -> list[str]:
    """Prints and keeps how a stage went; returns what is wrong with it."""
    rate = outcome.work / watch.seconds
    said = [f"{watch.seconds:,.1f} s, {outcome.work:,} {outcome.unit}, {rate:,.1f}/s"]
    said += [f"peak of host memory {watch.peak_host / 2**20:,.0f} MiB"]
    if watch.peak_device:
        said += [f"of device memory {watch.peak_device / 2**20:,.0f} MiB"]
    problems = []
    per, of = (10_000, "samples") if name == "sample" else (60, "s")
    for where, growth in watch.growth().items():
        said += [
            f"  {where} memory, second tenth against last: "
            + ("too short to tell" if growth is None else growth.said(per, of))
        ]
        if growth is not None and not growth.flat:
            problems.append(f"{study.name}: {name}: {where} memory grows: {growth.said(per, of)}")
    off = f"error {outcome.error:.1e} of at most {outcome.tolerance:.1e}"
    said += [f"  checked: {outcome.checked}; {off}"]
    if not outcome.error <= outcome.tolerance:  # NaN too
        problems.append(f"{study.name}: {name}: {outcome.checked}: {off}")
    if resumed:
        said += ["  it was interrupted before, so that its time is no measurement: no row"]
    text = "\n".join([", ".join(said[:2]), *said[2:]])
    click.echo(f"{name}: {text}")
    log.finish(
        name, said=said[0], seconds=watch.seconds, work=outcome.work, error=outcome.error, resumed=resumed,
        peak_host=watch.peak_host, peak_device=watch.peak_device, checked=outcome.checked,
    )  # fmt: skip
    return problems


def _row(study: Study, name: str, seconds: float, outcome: Outcome, dtype: str) -> dict[str, object]:
    return {
        "case": study.name,
        "dtype": dtype,
        "backend": name,
        "ms": f"{seconds * 1e3:.4g}",
        "images_per_s": f"{outcome.work / seconds:.1f}",
        "max_error": f"{outcome.error:.1e}",
    }


def _sum_up(log: Log, study: Study, stages: Stages) -> None:
    """Compares estimate and outcome, and projects the outcome to the whole study."""
    guesses = log.guesses
    records = {name: log.done(name) for name in STAGES}
    assert guesses is not None
    click.echo("\nestimate → outcome:")
    for name, record in records.items():
        assert record is not None
        seconds = record["seconds"]
        note = ", interrupted" if record["resumed"] else f", ×{seconds / guesses[name].seconds:.2f}"
        click.echo(f"  {name}: {guesses[name].seconds:,.1f} s → {seconds:,.1f} s{note}")
    foretold = sum(guess.seconds for guess in guesses.values())
    click.echo(f"  in all: {foretold:,.1f} s → {log.seconds():,.1f} s")
    if study.scale < 1 and not any(record and record["resumed"] for record in records.values()):
        click.echo(_projection({name: log.done(name)["seconds"] for name in STAGES}, study))  # type: ignore[index]


def _projection(seconds: dict[str, float], study: Study) -> str:
    """What the whole study would take here at these rates; no measurement."""
    whole = Study.of(1.0)
    network = whole.flops / study.flops
    factors = {
        "sample": whole.samples / study.samples * network,
        "fit": whole.attributes * whole.learnt_from / (study.attributes * study.learnt_from),
        "verify": whole.directions / study.directions * whole.num_layers / study.num_layers * network,
    }
    parts = {name: seconds[name] * factor for name, factor in factors.items()}
    return (
        f"projected at --scale 1, not measured: {duration(sum(parts.values()))} ("
        + ", ".join(f"{name} {duration(part)}" for name, part in parts.items())
        + "): by samples, codes of machines, and directions × layers, at as many operations per second; "
        "larger layers are mostly faster than that"
    )
