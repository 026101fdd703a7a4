"""Command lines that make a run again, or go on with it."""

from __future__ import annotations

import math
import shlex
from contextlib import suppress
from typing import Any

from higan_fast.boundaries.boundary import Boundaries, by_reason
from higan_fast.boundaries.sides import MIN_PER_SIDE
from higan_fast.cli.predictor_options import predictor_words
from higan_fast.run_folder import RunFolder
from higan_fast.sampling.manifests import MissingShardsError
from higan_fast.wording import argument


def command_of(run: RunFolder) -> str:
    """Returns what makes a run again, from its first sample to its report."""
    if "labels" in run.boundaries.settings:
        return _with_labels(run)
    words = ["higan-fast", "probe", *_sampling(run, len(run.samples)), *_fitting(run)]
    if run.boundaries:
        words += _verifying(run.verification.settings)
    words += ["--layer-samples", str(run.attribution.samples if run.attribution else 0)]
    if (compared := run.comparison) is not None:
        words += ["--methods", ",".join(compared.settings["methods"]), "--codes", str(compared.codes)]
    if run.sweep is not None:
        steps = ",".join(f"{step:g}" for step in run.sweep.steps)
        words += ["--dose-samples", str(run.sweep.samples), f"--dose-steps={steps}"]
    return shlex.join(words)


def _with_labels(run: RunFolder) -> str:
    """Returns what makes a run again whose boundaries are fitted to labels, command by command."""
    settings = run.boundaries.settings
    labels = ["--labels", settings.get("labels_file", "LABELS.csv"), *_fitting(run)]
    commands = [sampling_command(run, len(run.samples)), f"{stage_command('fit', run)} {shlex.join(labels)}"]
    if run.scored_boundaries:
        options = shlex.join(_verifying(run.verification.settings))
        commands.append(f"{stage_command('verify', run)} {options}")
    return " && ".join([*commands, stage_command("report", run)])


def _fitting(run: RunFolder) -> list[str]:
    """Returns the options of a fit."""
    settings = run.boundaries.settings
    words = ["--chosen-num", f"{settings['chosen_num']:g}"]
    words += ["--space", settings["space"], "--boundary", settings["method"]]
    if (weight := settings["C"]) is not None:
        words += ["--C", weight if weight == "auto" else f"{weight:g}"]
    return words


def sampling_command(run: RunFolder, num: int | None) -> str:
    """Returns what draws the samples of a run, or the rest of them; without ``num``, as many as is usual."""
    return shlex.join(["higan-fast", "sample", *_sampling(run, num)])


def shard_commands(error: MissingShardsError) -> list[str]:
    """Returns what makes each shard that is missing; nothing where the run folder does not say how."""
    with suppress(OSError, ValueError):
        command = sampling_command(RunFolder.open(error.run), error.num)
        return [f"{command} --shard {shard}" for shard in error.shards]
    return []


def stage_command(stage: str, run: RunFolder) -> str:
    """Returns what runs another stage of a run, such as ``"fit"``."""
    return f"higan-fast {stage} {argument(run.path)}"


def check_fitted(boundaries: Boundaries, run: RunFolder | None) -> None:
    """Raises ValueError, which says why and what to run, where no boundary could be fitted."""
    if len(boundaries):
        return
    why = "; ".join(
        f"{', '.join(names)}: {reason}" for reason, names in by_reason(boundaries.skipped).items()
    )
    settings = boundaries.settings
    there, asked = settings.get("num_samples", 0), settings.get("chosen_num", 0)  # where the file says so
    needed = samples_needed(boundaries)
    if "labels" in settings or run is None:
        advice = "give more codes with a label or score, high and low"
    elif there < needed:
        advice = f"draw more with {sampling_command(run, needed)}, then fit again"
    elif 1 < asked < MIN_PER_SIDE:
        advice = f"{stage_command('fit', run)} --chosen-num {MIN_PER_SIDE}"
    else:
        advice = f"try another method with {stage_command('fit', run)} --boundary …, or another predictor"
    raise ValueError(f"no boundary was fitted ({why or 'there is no semantic'}): {advice}")


def samples_needed(boundaries: Boundaries) -> int:
    """Returns how many samples it takes at least to fit boundaries with the settings of these."""
    asked = boundaries.settings.get("chosen_num", 0)
    return 2 * MIN_PER_SIDE if asked > 1 else max(2 * MIN_PER_SIDE, math.ceil(MIN_PER_SIDE / (asked or 1)))


def _verifying(verified: dict[str, Any]) -> list[str]:
    """Returns the options of a verification."""
    words = ["--step", f"{verified['step']:g}", "--step-unit", verified["step_unit"]]
    words += ["--confidence", f"{verified['confidence']:g}"]
    words += ["--recipe", verified["recipe"]] if "recipe" in verified else []
    if verified["decide"] is None:
        words += ["--exhaustive", "--max-samples", str(verified["num"])]
    else:
        words += ["--decide", verified["decide"], "--max-samples", str(verified["max_samples"])]
    words += ["--null", verified["null"], "--num-null", str(verified["num_null"])]
    words += ["--precision", verified["precision"]]
    return [*words, "--screening", str(verified["screening"])]


def _sampling(run: RunFolder, num: int | None) -> list[str]:
    settings = run.settings
    words = ["--network", settings.network]
    if settings.config is not None:
        words += ["--config", settings.config]
    if settings.bands is not None:
        words += ["--bands", ",".join(map(str, settings.bands))]
    words += [*predictor_words(settings.predictor, settings.levels), "--out", str(run.path)]
    words += [] if num is None else ["--num", str(num)]
    words += ["--seed", str(settings.seed), "--trunc", f"{settings.truncation_psi:g}"]
    if settings.truncation_layers is not None:
        words += ["--trunc-layers", str(settings.truncation_layers)]
    if settings.label is not None:
        words += ["--class", str(settings.label)]
    return words
