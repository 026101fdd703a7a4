"""Puts the report together: one HTML page that needs no other file and no network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from higan_fast.boundaries.boundary import Boundaries, by_reason, fingerprint_of
from higan_fast.boundaries.methods import IN_WORDS, is_recipe
from higan_fast.boundaries.origin import Origin
from higan_fast.experiments.finding import Finding
from higan_fast.experiments.results import Results
from higan_fast.files import write_whole
from higan_fast.fingerprint import fingerprint
from higan_fast.generators.base import Generator
from higan_fast.inversion import Inversion
from higan_fast.inversion.code_files import FOLDER
from higan_fast.predictors.base import LEVELS
from higan_fast.probing.attribution import Attribution
from higan_fast.probing.comparison import Comparison
from higan_fast.probing.null import IN_WORDS as NULLS_IN_WORDS
from higan_fast.probing.null import kinds_of
from higan_fast.probing.side_effects import SIDE_SAMPLES, SMALL, large_even_parts, side_effects
from higan_fast.probing.sweep import Sweep
from higan_fast.probing.sweep_pictures import sweep_picture
from higan_fast.probing.tables import to_csv
from higan_fast.probing.verification import Verification
from higan_fast.report.attribution import attributed
from higan_fast.report.comparison import methods
from higan_fast.report.dose import PLOT, dosed, heads, placed
from higan_fast.report.drawing import contact_sheet, labelled
from higan_fast.report.entanglement import entanglement, left_alone
from higan_fast.report.experiments import experiment
from higan_fast.report.findings import beside, economy, finding, order, wrecks
from higan_fast.report.histograms import histograms
from higan_fast.report.inversions import inverted
from higan_fast.report.layers import heat_map
from higan_fast.report.numerals import UNITS, count, number, p_value, percent
from higan_fast.report.ranking import ranking
from higan_fast.report.settings import about, described
from higan_fast.report.strips import NUM_SAMPLES, STEPS, anchors, strips
from higan_fast.sampling.samples import Samples
from higan_fast.statistics.hierarchy import ESTABLISHED, LEAST_MEMBERS, SUGGESTED
from higan_fast.statistics.student import DISTINCT
from higan_fast.wording import listing

# What must be of the boundaries of a report, and what to do where it is not.
OF_BOUNDARIES = {
    "verification": "it is of other boundaries; verify these (higan-fast verify RUN)",
    "comparison": "is with other boundaries; compare with these (higan-fast methods RUN)",
    "sweep": "it is of other boundaries; sweep these (higan-fast dose RUN)",
}

# What the picture along a sweep shows.
ALONG = "The first sample, moved along each boundary: a row for each, a column for each step"


def write_report(
    path: str | Path,
    *,
    title: str,
    settings: Mapping[str, Any],
    generator: Generator,
    samples: Samples,
    boundaries: Boundaries,
    verification: Verification | None,
    attribution: Attribution | None = None,
    comparison: Comparison | None = None,
    sweep: Sweep | None = None,
    findings: Sequence[Finding] = (),
    inversion: Inversion | None = None,
    progress: bool = True,
) -> Path:
    """Writes the report of a probe, with pictures that the generator makes for it, and its figures beside it.

    Args:
        path: the HTML file; the figures are written to the same name with ".csv", in the columns of
            ``higan-fast show --csv``; those of the attribution with ".layers.csv", of the comparison with
            ".methods.csv", and of the sweep with ".dose.csv".
        title: of the page.
        settings: what was run; ``network`` and ``predictor`` also stand at the top, and ``command``, which
            repeats the run, gets a button that copies it.
        generator: the one that was probed.
        samples: the samples.
        boundaries: those that were fitted; of those that were not, the reasons.
        verification: their effects; None when there is no boundary.
        attribution: to layers, without a direction; None where that was not measured.
        comparison: of methods with the one of these boundaries; None where that was not measured.
        sweep: of the boundaries, the dose-response; None likewise.
        findings: of experiments; their figures and pictures lie in ``experiments`` beside the page.
        inversion: codes of pictures; their files lie in ``invert`` beside the page. None: there are none.
        progress: whether to show it.

    Returns:
        The path.

    Raises:
        ValueError: when the samples are another generator's, the boundaries were not fitted to them, or the
            verification, the attribution, the comparison or the sweep is of other boundaries, networks,
            semantics or truncation.
        OSError: when a file cannot be written.
    """
    results = Results(verification, attribution, comparison, sweep, findings)
    _check_that_they_belong_together(generator, samples, boundaries, results)
    path = Path(path)
    figures, layer_figures = path.with_suffix(".csv"), path.with_suffix(".layers.csv")
    method_figures, dose_figures = path.with_suffix(".methods.csv"), path.with_suffix(".dose.csv")
    context: dict[str, Any] = {
        "title": title,
        "figures": (quote(figures.name), figures.name),
        "layer_figures": (quote(layer_figures.name), layer_figures.name),
        "method_figures": (quote(method_figures.name), method_figures.name),
        "dose_figures": (quote(dose_figures.name), dose_figures.name),
        "made_from": made_from(samples, boundaries, results, inversion),
        "inverted": inversion and inverted(inversion, path.parent / FOLDER),
        "experiments": [experiment(finding, path.parent / "experiments") for finding in findings],
        "today": date.today(),
        "about": about(settings, generator, samples, results),
        "finding": finding(verification),
        "order": order(verification),
        "economy": economy(verification),
        "beside": beside(side_effects(verification) if verification else ()),
        "wrecks": wrecks(large_even_parts(verification) if verification else ()),
        "samples": samples,
        "boundaries": boundaries,
        "skipped": by_reason(boundaries.skipped),
        "method": IN_WORDS.get(str(boundaries.settings.get("method")), "The boundary lies between them."),
        "is_recipe": is_recipe(boundaries.settings),
        "levels": LEVELS,
        "command": settings.get("command"),
        "settings": described(settings, samples, boundaries, results),
        "verification": verification,
        "attribution": attribution,
        "attributed": attribution and attributed(attribution, verification),
        "comparison": comparison,
        "methods": comparison and methods(comparison),
        "sweep": sweep,
        "dosed": sweep and dosed(sweep),
        "dose_picture": sweep and labelled(sweep_picture(generator, boundaries, sweep), ALONG),
        "dose_unit": sweep and UNITS[sweep.settings["step_unit"]],
        "plot": PLOT,
        "heat_map": None,
        "distinct": DISTINCT,
        "nulls": "",
        "nulls_each": False,
        "small": SMALL,
        "side_samples": SIDE_SAMPLES,
        "established": ESTABLISHED,
        "suggested": SUGGESTED,
        "least_members": LEAST_MEMBERS,
        "trends": (),
        "sheets": contact_sheet(generator, samples),
        "histograms": histograms(samples, boundaries),
    }
    if verification is not None:
        pictured = strips(generator, boundaries, verification, progress)
        kinds = kinds_of(verification.settings["null"], verification.settings["space"])
        links = anchors(pictured)
        context |= {
            "ranking": ranking(verification, boundaries),
            "nulls": listing([NULLS_IN_WORDS[kind] for kind in kinds]),
            "nulls_each": len(kinds) > 1,
            "to": {name: place for (name, layer), place in links.items() if layer is None},
            "heat_map": heat_map(verification, links) if verification.layers else None,
            "trends": list(
                filter(None, (verification.hierarchy.trend, verification.hierarchy.without_single))
            ),
            "strips": [strip for strip in pictured if strip.beats_null],
            "other_strips": [strip for strip in pictured if not strip.beats_null],
            "not_pictured": len(verification.boundary_names) - len(pictured),
            "steps": [number(step, 1 if step % 1 else 0, signed=True) for step in STEPS],
            "strip_unit": UNITS[verification.settings["step_unit"]],
            "num_on_strips": NUM_SAMPLES,
            "entanglement": entanglement(verification),
            "left_alone": left_alone(verification),
        }
    page = _environment().get_template("page.html").render(context)
    with write_whole(figures) as file:
        file.write(to_csv([verification] if verification else []).encode())
    for result, place in ((attribution, layer_figures), (comparison, method_figures), (sweep, dose_figures)):
        place.unlink(missing_ok=True)
        if result is not None:
            with write_whole(place) as file:
                file.write(result.to_csv().encode())
    with write_whole(path) as file:
        file.write(page.encode())
    return path


def dose_figure(sweep: Sweep) -> str:
    """Returns the curves of a sweep as an SVG picture that needs no other file."""
    found = dosed(sweep)
    places, (width, height) = placed([*found.charts, *found.acting])
    context = {"placed": places, "width": width, "height": height, "plot": PLOT, **heads(sweep)}
    return _environment().get_template("dose.svg").render(context)


def made_from(
    samples: Samples, boundaries: Boundaries, results: Results, inversion: Inversion | None = None
) -> str:
    """Returns a hash of what a report shows; the page carries it in its head."""
    digest = hashlib.sha256(json.dumps([len(samples), samples.settings, boundaries.settings]).encode())
    digest.update(fingerprint_of(boundaries).encode())
    digest.update(results.fingerprint().encode())
    if inversion is not None:
        digest.update(json.dumps([inversion.names, inversion.settings]).encode() + inversion.psnr.tobytes())
    return digest.hexdigest()[:32]


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # names come from users
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "count": count, "p_value": p_value}
    return environment


def _check_that_they_belong_together(
    generator: Generator, samples: Samples, boundaries: Boundaries, results: Results
) -> None:
    """A strip of one network beside the effects of another would be a false report."""
    network = fingerprint(generator)
    if samples.settings["generator"] != network:
        raise ValueError("samples: another generator made them; give the one that was probed")
    for boundary in boundaries.values():
        if boundary.origin not in (None, Origin.of(samples.settings)):
            raise ValueError(
                f"boundaries: {boundary.name!r} was not fitted to these samples; fit boundaries to them"
            )
    found = results.of_stages()
    for what, instead in OF_BOUNDARIES.items():
        if what in found and found[what].settings.get("boundaries") != fingerprint_of(boundaries):
            raise ValueError(f"{what}: {instead}")
    for what, result in found.items():
        _check_is_of(what, result, network, samples)


def _check_is_of(
    what: str, result: Verification | Attribution | Comparison | Sweep, network: str, samples: Samples
) -> None:
    """Raises ValueError where a result is not of the samples' networks, truncation and class."""
    if result.settings["generator"] != network:
        raise ValueError(f"{what}: it is of another generator; give the one that was probed")
    for name in ("predictor", "truncation_psi", "truncation_layers", "label"):
        found, sampled = result.settings.get(name), samples.settings.get(name)
        if found != sampled:
            raise ValueError(
                f"{what}: has {name} = {found!r}, and the samples {sampled!r}; make it as they were drawn "
                "and scored, which is the default"
            )
    if set(result.semantics) != set(samples.semantics):
        raise ValueError(
            f"{what}: its semantics {[s.name for s in result.semantics]} are not those of the samples, "
            f"{[s.name for s in samples.semantics]}; make it with the predictor that scored them"
        )
