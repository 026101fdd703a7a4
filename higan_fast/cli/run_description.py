"""What is in a run folder: each stage's result, what is stale or missing, and what to run next."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from higan_fast.cli.commandlines import samples_needed, sampling_command, shard_commands, stage_command
from higan_fast.cli.printing import echo_line
from higan_fast.image_shapes import shape_in_words
from higan_fast.predictors.source import named
from higan_fast.probing import Verification
from higan_fast.report import made_from
from higan_fast.run_folder import RunFolder
from higan_fast.sampling.manifests import MissingShardsError

COMPLETE, PARTIAL, STALE, MISSING = "complete", "partial", "stale", "missing"
PARTS = (
    *("network", "predictor", "samples", "boundaries", "verification"),
    *("attribution", "comparison", "sweep", "directions", "experiments", "report"),
)
Part = dict[str, Any]
OPTIONAL = (("attribution", MISSING), ("comparison", MISSING), ("sweep", MISSING))


def is_run(path: Path) -> bool:
    """Whether a folder is, or was, that of a probe; networks come in folders too."""
    return any((path / name).exists() for name in ("run.json", "samples.zarr"))


def describe_run(path: Path) -> dict[str, Any]:
    """Describes a run folder, and changes nothing in it.

    Returns:
        JSON values. ``settings`` and ``made_with`` as in ``run.json``; ``network``, ``predictor``,
        ``samples``, ``boundaries``, ``verification``, ``attribution``, ``comparison``, ``sweep`` and
        ``report``: each with a ``state`` ("complete", "partial", "stale" or "missing"), ``what`` it is in
        words, its figures, and any ``problem``;
        ``next``: the command to run, None when all is complete.

    Raises:
        FileNotFoundError: when no probe was begun there.
        ValueError: when its settings cannot be read.
    """
    run = RunFolder.open(path, device="cpu")
    stored = json.loads((path / "run.json").read_text())
    found: dict[str, Any] = {
        "run": str(path),
        **{name: stored.get(name) for name in ("begun", "settings", "made_with")},
        "network": _part(lambda: _network(run)),
        "predictor": _part(lambda: _predictor(run)),
        "samples": _part(lambda: _samples(run), path / "samples.zarr"),
        "boundaries": _part(lambda: _boundaries(run), run.boundaries_file),
    }
    needed = found["boundaries"]["state"] != COMPLETE or run.scored_boundaries
    if needed:
        found["verification"] = _part(lambda: _verification(run), run.verification_file)
        if found["verification"]["state"] == MISSING and (path / "verification").exists():
            found["verification"] |= {"state": PARTIAL, "what": "begun, and not finished"}
    else:
        found["verification"] = {"state": COMPLETE, "what": "none: there is no boundary to verify"}
    found["attribution"] = _part(lambda: _attribution(run), run.attribution_file)
    if found["attribution"]["state"] == MISSING:
        found["attribution"] = _no_attribution(run)
    found["comparison"] = _part(lambda: _comparison(run), run.comparison_file)
    if found["comparison"]["state"] == MISSING:
        found["comparison"] = _no_comparison(run)
    found["sweep"] = _part(lambda: _sweep(run), run.sweep_file)
    if found["sweep"]["state"] == MISSING:
        found["sweep"] = _no_sweep(run, bool(needed))
    found["directions"] = _part(lambda: _directions(run))
    found["experiments"] = _part(lambda: _experiments(run))
    report = path / "report.html"
    found["report"] = _part(lambda: _report(run, report), report)
    return found | {"next": _next(run, found)}


def print_run(found: dict[str, Any]) -> None:
    """Prints what ``describe_run`` returned, a line for each part."""
    settings = {name: value for name, value in found["settings"].items() if value not in (None, {})}
    begun = f", begun {found['begun'].replace('T', ' ')[:16]}" if found["begun"] else ""
    echo_line(f"{found['run']}: a probe of {settings['network']} by {_scorers(settings['predictor'])}{begun}")
    shown = [
        f"{name.replace('_', ' ')} {_told(settings[name])}"
        for name in settings
        if name not in ("network", "predictor")
    ]
    echo_line(f"{'settings':13} {', '.join(shown)}")
    for name in PARTS:
        part = found[name]
        state = "" if part["state"] == COMPLETE else f"{part['state']}: "
        text = part.get("problem") or part["what"]
        echo_line(f"{name:13} {state if text != part['state'] else ''}{text}")
    echo_line(f"{'next':13} {found['next'] or 'nothing; all stages are complete'}")


def _scorers(predictor: str | list[dict[str, Any]]) -> str:
    """Returns what names the predictors; older runs have one as a text."""
    return predictor if isinstance(predictor, str) else ", ".join(each["predictor"] for each in predictor)


def _told(value: Any) -> str:
    """Returns a setting as a command line has it."""
    return (
        ", ".join(f"{name}={part}" for name, part in value.items()) if isinstance(value, dict) else str(value)
    )


def _part(describe: Callable[[], Part], file: Path | None = None) -> Part:
    """What a stage left; missing where its file is, and stale where it does not belong to the rest."""
    if file is not None and not file.exists():
        return {"state": MISSING, "what": MISSING}
    try:
        return {"state": COMPLETE} | describe()
    except (FileNotFoundError, ValueError) as error:
        state = MISSING if file is None and isinstance(error, FileNotFoundError) else STALE
        return {"state": state, "what": state, "problem": str(error)}


def _network(run: RunFolder) -> Part:
    generator = run.generator
    layers = f"{generator.num_layers} layer{'s' * (generator.num_layers > 1)}"
    what = f"{run.settings.network} ({generator.family}, {shape_in_words(generator.image_shape)}, {layers})"
    figures = {
        "resolution": generator.resolution,
        "image_shape": list(generator.image_shape),
        "num_layers": generator.num_layers,
    }
    return {"what": what, "family": generator.family, **figures}


def _predictor(run: RunFolder) -> Part:
    """Of one that runs code of a file, whether its files are what they were: looking at a run runs none."""
    runs_code = any(source.runs_code for source in run.settings.predictor)
    for source in run.settings.predictor if runs_code else ():
        source.check_files()
    semantics = run.samples.semantics if runs_code else run.predictor.semantics
    names = [semantic.name for semantic in semantics]
    code = ", whose code is not run to look at it" if runs_code else ""
    what = f"{named(run.settings.predictor)} ({len(names)} semantic{'s' * (len(names) > 1)}{code})"
    return {"what": what, "semantics": names}


def _samples(run: RunFolder) -> Part:
    try:
        num, asked = len(run.samples), run.samples.num_asked
    except MissingShardsError as error:
        commands = {"commands": shard_commands(error), "num_asked": error.num}
        return {"state": PARTIAL, "what": str(error).removeprefix(f"{run.path}: "), **commands}
    what = f"{num:,}" if num >= asked else f"{num:,} of {asked:,}; sampling was interrupted"
    return {"state": COMPLETE if num >= asked else PARTIAL, "what": what, "num": num, "num_asked": asked}


def _boundaries(run: RunFolder) -> Part:
    boundaries = run.boundaries
    accuracies = [boundary.accuracy for boundary in boundaries.values() if boundary.accuracy is not None]
    words = [str(len(boundaries)) if boundaries else "none could be fitted"]
    if accuracies:
        words.append(f"held-out accuracy {min(accuracies):.3f} to {max(accuracies):.3f}")
    words += [f"{len(boundaries.skipped)} skipped"] if boundaries.skipped else []
    words += [boundaries.fitted_to] if boundaries.fitted_to else []
    return {
        "what": ", ".join(words),
        "names": list(boundaries),
        "accuracy": [min(accuracies), max(accuracies)] if accuracies else None,
        "skipped": dict(boundaries.skipped),
        "num_samples": boundaries.settings.get("num_samples"),
    }


def _verification(run: RunFolder) -> Part:
    current, *beside = [_verified(verification) for verification in (run.verification, *run.kept_beside)]
    left_out = len(run.boundaries) - len(current["names"])
    words = [current["what"]]
    words += [f"{left_out} not verified"] if left_out else []
    words += [f"{len(beside)} more: higan-fast show prints all"] if beside else []
    return current | {"what": "; ".join(words), "beside": beside}


def _verified(verification: Verification) -> Part:
    settings, names = verification.settings, verification.boundary_names
    statuses = Counter(verification.status(name) for name in names)
    goal = "all effects" if settings["decide"] is None else settings["decide"]
    counted = ", ".join(f"{num} {status}" for status, num in statuses.items())
    what = f"{goal} at {100 * settings['confidence']:g} %: {counted}"
    return {
        "what": f"{what}; {verification.images:,} images, precision {settings['precision']}",
        "names": list(names),
        "statuses": dict(statuses),
        "images": verification.images,
        "settings": settings,
    }


def _attribution(run: RunFolder) -> Part:
    found = run.attribution
    assert found is not None  # its file is there
    known = [semantic.name for semantic in found.semantics if found.best_layer(semantic.name) is not None]
    what = f"top layers at {100 * found.settings['confidence']:g} %"
    how = f"{found.images:,} images, precision {found.settings['precision']}"
    return {
        "what": f"{what}: {len(known)} of {len(found.semantics)} known; {how}",
        "known": known,
        "images": found.images,
        "settings": found.settings,
    }


def _no_attribution(run: RunFolder) -> Part:
    """Why there is none; it need not be there."""
    if (run.path / "attribution").exists():
        return {"state": PARTIAL, "what": "begun, and not finished"}
    with suppress(FileNotFoundError, ValueError):  # of the samples, which have a line of their own
        if run.samples.settings["num_layers"] == 1:
            return {"state": COMPLETE, "what": "none: the generator has one layer"}
    return {"state": MISSING, "what": f"none; {stage_command('layers', run)} makes one"}


def _comparison(run: RunFolder) -> Part:
    found = run.comparison
    assert found is not None  # its file is there
    more = [name for place, name in enumerate(found.methods) if found.moves(place) > 0]
    compared = f"{len(found.methods)} methods, {len(more)} surely move more than {found.methods[0]}"
    return {
        "what": f"{compared}; {found.images:,} images, precision {found.settings['precision']}",
        "methods": list(found.methods),
        "move_more": more,
        "images": found.images,
        "settings": found.settings,
    }


def _no_comparison(run: RunFolder) -> Part:
    """Why there is none; it need not be there."""
    if (run.path / "comparison").exists():
        return {"state": PARTIAL, "what": "begun, and not finished"}
    return {"state": MISSING, "what": f"none; {stage_command('methods', run)} makes one"}


def _sweep(run: RunFolder) -> Part:
    found = run.sweep
    assert found is not None  # its file is there
    names = list(dict.fromkeys(found.boundary_names))
    rising = [found.boundary_names[curve] for curve in found.curves() if found.rises[curve]]
    confidence = f"{100 * found.settings['confidence']:g} %"
    what = f"dose-response at {confidence}: {len(rising)} of {len(names)} surely rise"
    how = f"{found.images:,} images, precision {found.settings['precision']}"
    return {
        "what": f"{what}; {how}",
        "names": names,
        "rising": rising,
        "images": found.images,
        "settings": found.settings,
    }


def _no_sweep(run: RunFolder, verified: bool) -> Part:
    """Why there is none; it need not be there."""
    if (run.path / "sweep").exists():
        return {"state": PARTIAL, "what": "begun, and not finished"}
    if not verified:
        return {"state": COMPLETE, "what": "none: there is no boundary to move along"}
    return {"state": MISSING, "what": f"none; {stage_command('dose', run)} makes one"}


def _directions(run: RunFolder) -> Part:
    """Of codes and of styles; none need be."""
    results = [run.directions(file) for file in run.directions_files]
    if not results:
        return {"state": MISSING, "what": f"none; {stage_command('directions', run)} --sefa 8 makes one"}
    names = [name for found in results for name in found.boundary_names]
    moving = [name for found in results for name in found.boundary_names if found.moved_by(name)]
    samples = max(found.most_samples for found in results)
    what = f"{len(names)}, of which {len(moving)} surely move a semantic; {samples:,} samples"
    return {"what": what, "names": names, "moving": moving, "samples": samples}


def _experiments(run: RunFolder) -> Part:
    """Those that are done; none need be."""
    found, stale = run.findings()
    names = [finding.stem for finding in found]
    what = {"what": ", ".join(names) or "none; higan-fast --help lists them", "names": names}
    if stale:
        return {"state": STALE, **what, "problem": "; ".join(stale)}
    return {"state": COMPLETE if names else MISSING, **what}


def _report(run: RunFolder, file: Path) -> Part:
    """A page says in its head what it was made from."""
    results, _ = run.results()
    try:
        inversion = run.inversion
    except ValueError:  # of another network: the report has none then
        inversion = None
    if made_from(run.samples, run.boundaries, results, inversion) not in file.read_text(errors="replace"):
        raise ValueError(f"{file}: is of other results; run {stage_command('report', run)}")
    return {"what": str(file)}


def _next(run: RunFolder, found: dict[str, Any]) -> str | None:
    """The first stage that is not complete; the ones after it follow from it. Not all need be measured."""
    samples = found["samples"]
    if samples.get("commands"):
        return str(samples["commands"][0])
    if samples["state"] != COMPLETE:
        return sampling_command(run, samples.get("num_asked"))
    fitted = found["boundaries"]
    if fitted["state"] == COMPLETE and not fitted["names"] and "labels" not in run.boundaries.settings:
        needed = samples_needed(run.boundaries)
        if samples["num"] < needed:
            return sampling_command(run, needed)
    stages = {"boundaries": "fit", "verification": "verify", "attribution": "layers", "comparison": "methods"}
    stages |= {"sweep": "dose", "report": "report"}
    for name, stage in stages.items():
        state = found[name]["state"]
        if state != COMPLETE and (name, state) not in OPTIONAL:
            return stage_command(stage, run)
    return None
