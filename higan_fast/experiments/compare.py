"""Probes side by side: two networks, scorers or methods; what surely differs from the first one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundary
from higan_fast.checks import check_confidence, check_count
from higan_fast.experiments.drawing import SOFT, canvas, cells, dumbbells
from higan_fast.experiments.finding import Finding, plain
from higan_fast.experiments.given import EXPECTED, Expected, check_given
from higan_fast.experiments.intervals import interval
from higan_fast.experiments.subject import Subject, Walk
from higan_fast.probing.results import Verification
from higan_fast.probing.sweep_scores import Curve
from higan_fast.statistics.comparison import Differences
from higan_fast.statistics.student import DISTINCT
from higan_fast.tables import Table, shown
from higan_fast.wording import listing, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

QUESTIONS = 2  # how far each semantic moves, and in which order
MOST_NAMED = 5  # of semantics, or pairs of them, in one sentence

# What decides which samples are drawn: where these are the same, samples are, and effects are paired.
DRAWN_BY = ("generator", "seed", "truncation_psi", "truncation_layers", "label")


@dataclass(frozen=True)
class Probe:
    """A run that is compared: what it is called, its networks, its boundaries and their verification.

    Raises:
        TypeError: when it is made of anything else.
    """

    name: str
    subject: Subject
    boundaries: Mapping[str, Boundary]
    verification: Verification

    def __post_init__(self) -> None:
        for each in fields(self)[1:]:
            check_given(each.name, getattr(self, each.name), EXPECTED[str(each.type)])


class Own(NamedTuple):
    """Effects of boundaries on their own semantics, in standard deviations of the scores.

    Attributes:
        effect: ``[N, S]``.
        reach: the largest possible size of each, ``[S]``; inf where it is not known.
        drawn: what decided the samples.
        images: how many were synthesised.
    """

    effect: Array
    reach: Array
    drawn: tuple[Any, ...]
    images: int

    @classmethod
    def of(cls, walk: Walk, names: Sequence[str]) -> Own:
        """Of a walk along the boundaries of some semantics, one step forth and one back."""
        columns = [walk.column(name) for name in names]
        effects = walk.effects()[:, range(len(names)), columns]
        drawn = tuple(walk.settings.get(name) for name in DRAWN_BY)
        return cls(effects, walk.reach[columns] / 2, drawn, walk.images)


def compare(probes: Sequence[Probe], *, num: int = 192, confidence: float = 0.99) -> Finding:
    """Sets probes side by side: how far each boundary moves its semantic, and where in the network it lies.

    Every probe moves fresh samples by the step of the first one's verification. Where two of them draw the
    same samples of the same generator, their effects are compared sample by sample. Layers are compared by
    relative depth: 0 is the first layer of a network, and 1 its last.

    Args:
        probes: two or more; each is compared with the first.
        num: fresh samples of each, at least 24; each takes two images for every semantic in common.
        confidence: of all differences together; a half of what may fail is for each question: how far, and in
            which order.

    Raises:
        ValueError: when an argument is out of range, or no semantic is verified in all of them.
    """
    check_given("probes", probes, Expected("a list of compare.Probe", Sequence, Probe))
    check_count("num (--num)", num, DISTINCT)
    check_confidence(confidence)
    if len(probes) < 2:
        raise ValueError(f"compare: got {len(probes)} run, expected at least two")
    first = probes[0]
    names = [
        name
        for name in first.verification.boundary_names
        if all(name in probe.verification.boundary_names for probe in probes)
    ]
    if not names:
        each = "; ".join(
            f"{probe.name}: {printable(', '.join(probe.verification.boundary_names))}" for probe in probes
        )
        raise ValueError(f"compare: no semantic is verified in all runs, so that nothing compares ({each})")
    step, unit = float(first.verification.settings["step"]), first.verification.settings["step_unit"]
    found, wide = [], []
    for probe in probes:
        curves = [Curve(probe.boundaries[name]) for name in names]
        doing = f"moving samples of {probe.name}"
        walk = probe.subject.walk(curves, (step, -step), num=num, step_unit=unit, doing=doing)
        found.append(Own.of(walk, names))
        wide += [f"{probe.name}: {text}" for text in walk.too_wide(names, confidence)]
    level = (1 - confidence) / QUESTIONS
    single = level / (len(probes) - 1) / len(names)
    depths = [_depths(probe.verification, names) for probe in probes]
    signs = _orders(found, level)
    rows, sentences = _rows(first, names, found[0], depths[0], None, None), []
    for place, probe in enumerate(probes[1:], 1):
        effects = _difference(found[0], found[place], single)
        places = depths[place] - depths[0]
        rows += _rows(probe, names, found[place], depths[place], effects, places)
        sentences += _sentences(first, probe, names, effects, places, signs[0], signs[place])
    return Finding(
        experiment="compare",
        title=f"What differs between {listing([probe.name for probe in probes])}",
        sentences=[*sentences, *dict.fromkeys(wide)],
        limits=(
            "An effect is in standard deviations of its own score: a noisier scorer shows smaller ones.",
            "A step of the same length may be far in one network, and near in another; verify the first run "
            "with --step-unit sd for steps that are as long as codes vary.",
            "Relative depth takes layers as evenly spaced, and a mean layer is over those that were found to "
            "act: a run with fewer samples finds fewer. No difference of depths is said to be sure.",
            "Intervals of effects on scores of which the range is not known hold as samples grow many.",
            "Each run has its own fit: another training, or boundaries of other samples, may differ as much.",
        ),
        table=_table(rows, num, sum(own.images for own in found), confidence),
        rows=rows,
        images=sum(own.images for own in found),
        settings={"num": num, "confidence": confidence, "step": step, "step_unit": unit},
        figures={
            "runs": [probe.name for probe in probes],
            "semantics": names,
            "profiles": [_profile(probe.verification, names) for probe in probes],
        },
    )


def _difference(first: Own, other: Own, level: float) -> Differences:
    """How much further the other probe moves each semantic, ``[1, S]``.

    Of the same samples, it is a mean of differences. Of others, the ends of two intervals are subtracted,
    which share what may fail: it holds however the two depend on each other.
    """
    if first.drawn == other.drawn:
        ends = interval(other.effect - first.effect, first.reach + other.reach, 1 - level)
        return Differences(*(end[None] for end in ends))
    (mean, low, high), (before, least, most) = (
        interval(own.effect, own.reach, 1 - level / 2) for own in (other, first)
    )
    return Differences(*(end[None] for end in (mean - before, low - most, high - least)))


def _depths(found: Verification, names: Sequence[str]) -> Array:
    """The relative depth of each semantic's mean layer, ``[S]``; NaN: not known."""
    last = len(found.layers) - 1
    if last < 1:
        return np.full(len(names), np.nan)
    return np.array([found.mean_layer(name) for name in names], np.float64) / last


def _orders(found: Sequence[Own], level: float) -> list[NDArray[np.int8]]:
    """For each probe and each two semantics, 1 where the former surely moves further, −1: the latter."""
    pairs = list(combinations(range(found[0].effect.shape[1]), 2))
    signs = []
    for own in found:
        if not pairs:
            signs.append(np.zeros(0, np.int8))
            continue
        former, latter = np.array(pairs).T
        values, reach = own.effect[:, former] - own.effect[:, latter], own.reach[former] + own.reach[latter]
        _, low, high = interval(values, reach, 1 - level / len(pairs) / len(found))
        signs.append((low > 0).astype(np.int8) - (high < 0).astype(np.int8))
    return signs


def _rows(
    probe: Probe,
    names: Sequence[str],
    own: Own,
    depths: Array,
    effects: Differences | None,
    places: Array | None,
) -> list[dict[str, Any]]:
    level_of = {semantic.name: semantic.level for semantic in probe.verification.semantics}
    mean = own.effect.mean(axis=0)
    rank = (-mean).argsort(kind="stable").argsort() + 1
    rows = []
    for place, name in enumerate(names):
        row = {
            "run": probe.name,
            "semantic": name,
            "level": level_of[name],
            "status": probe.verification.status(name),
            "effect_in_deviations": plain(mean[place]),
            "rank": int(rank[place]),
            "relative_depth": plain(depths[place]),
            "depth_difference": None if places is None else plain(places[place]),
        }
        parts = ("difference", "low", "high")
        values = (None,) * 3 if effects is None else (plain(part[0, place]) for part in effects)
        row |= {f"effect_{part}": value for part, value in zip(parts, values, strict=True)}
        rows.append(row)
    return rows


def _sentences(
    first: Probe,
    other: Probe,
    names: Sequence[str],
    effects: Differences,
    places: Array,
    signs: NDArray[np.int8],
    other_signs: NDArray[np.int8],
) -> list[str]:
    against = f"{other.name} against {first.name}"
    count = f"{len(names)} semantic{'s' * (len(names) > 1)} in common"
    sentences = [
        f"How far {against} moves {count}: {_verdicts(names, effects, 'further', 'less far', ' SD')}.",
    ]
    known = np.flatnonzero(np.isfinite(places)).tolist()
    if known:
        most = max(known, key=lambda place: abs(places[place]))
        mean, largest = float(np.abs(places[known]).mean()), float(places[most])
        sentences.append(
            f"The mean layers of {len(known)} of them differ by {shown(mean, '.2f')} of the network's depth, "
            f"on average; the largest estimate is that of {names[most]} ({shown(largest, '+.2f')})."
        )
    else:
        sentences.append(f"{against}: no semantic has layers in both that were found to act alone.")
    if len(signs):
        pairs = list(combinations(names, 2))
        swapped = [pair for pair, turned in zip(pairs, signs * other_signs == -1, strict=True) if turned]
        which = listing([f"{former} and {latter}" for former, latter in swapped[:MOST_NAMED]])
        more = f" and {len(swapped) - MOST_NAMED} more" if len(swapped) > MOST_NAMED else ""
        named, same = f": {which}{more}" if swapped else "", int((signs * other_signs == 1).sum())
        sentences.append(
            f"Of {len(pairs)} pairs of semantics, {len(swapped)} surely swap their order of effects{named}; "
            f"{same} surely keep it."
        )
    for probe, beside in ((first, other), (other, first)):
        others = beside.verification.boundary_names
        single = [name for name in probe.verification.boundary_names if name not in others]
        if single:
            sentences.append(f"Only {probe.name} has {listing(single[:12])}{_more(len(single) - 12)}.")
    return sentences


def _more(num: int) -> str:
    return f", and {num} more" if num > 0 else ""


def _verdicts(names: Sequence[str], found: Differences, more: str, less: str, unit: str) -> str:
    """``"surely further: lamp (+0.31 SD) and bed (+0.10 SD); undecided for 12"``."""
    signs = found.signs[0]
    parts = []
    for sign, word in ((1, more), (-1, less)):
        chosen = sorted(np.flatnonzero(signs == sign).tolist(), key=lambda place: -abs(found.mean[0, place]))
        each = [f"{names[place]} ({shown(float(found.mean[0, place]), '+.2f')}{unit})" for place in chosen]
        if each:
            parts.append(f"surely {word}: {listing(each, MOST_NAMED)}")
    unknown = int((signs == 0).sum())
    parts += [f"undecided for {unknown}" if parts else f"undecided for all {unknown}"] if unknown else []
    return "; ".join(parts)


def _profile(found: Verification, names: Sequence[str]) -> dict[str, Any]:
    """The effect of each layer alone on each semantic, in standard deviations; None: not measured."""
    columns = [[semantic.name for semantic in found.semantics].index(name) for name in names]
    rows = [found.row(name) for name in names]
    values = found.in_deviations()[rows, 1:, columns] if found.layers else np.zeros((len(names), 0))
    return {
        "layers": [f"{layer.index}" for layer in found.layers],
        "effects": [[plain(value) for value in line] for line in values],
    }


def _table(rows: Sequence[Mapping[str, Any]], num: int, images: int, confidence: float) -> Table:
    lines = []
    for row in rows:
        cells_ = [row["run"], row["semantic"], row["status"], shown(row["effect_in_deviations"], ".2f")]
        cells_ += [str(row["rank"]), _difference_text(row)]
        cells_ += [shown(row["relative_depth"], ".2f"), shown(row["depth_difference"], "+.2f")]
        lines.append(tuple(cells_))
    return Table(
        f"Effects of one step in SD of the scores, {num} fresh samples of each run ({images:,} images); all "
        f"differences from the first run hold together at {confidence:.4g}",
        ("run", "semantic", "verified", "effect", "rank", "difference", "relative depth", "difference"),
        lines,
    )


def _difference_text(row: Mapping[str, Any]) -> str:
    if row["effect_difference"] is None:
        return "–"
    ends = ", ".join(shown(row[f"effect_{end}"], "+.2f") for end in ("low", "high"))
    return f"{shown(row['effect_difference'], '+.2f')} [{ends}]"


def draw(finding: Finding) -> Figure:
    """For each run, from the first one to it: effects and depths; beside them, both profiles of layers."""
    runs, names, profiles = (finding.figures[name] for name in ("runs", "semantics", "profiles"))
    of_run = {run: [row for row in finding.rows if row["run"] == run] for run in runs}
    with_layers = all(profile["layers"] for profile in profiles)
    values = [
        np.array(profile["effects"], np.float64).reshape(len(names), -1) if with_layers else np.zeros((0, 0))
        for profile in profiles
    ]
    full = max((float(np.nanmax(np.abs(each), initial=0)) for each in values), default=0) or 1.0
    height, num = 1.2 + 0.26 * len(names), len(runs) - 1
    with canvas(12 if with_layers else 8, height * num, columns=4 if with_layers else 2, rows=num,
                sharey=True, squeeze=False) as (figure, lines):  # fmt: skip
        for place, panels in enumerate(lines, 1):
            pairs = list(zip(of_run[runs[0]], of_run[runs[place]], strict=True))
            dumbbells(panels[0], names, pairs, "effect_in_deviations", "effect")
            panels[0].set_title("Effect of a step (SD of the score)")
            none_sure = {"depth_low": None, "depth_high": None}
            unsure = [(before, {**after, **none_sure}) for before, after in pairs]
            dumbbells(panels[1], names, unsure, "relative_depth", "depth")
            panels[1].set_xlim(-0.03, 1.03)
            panels[1].set_title("Relative depth of the mean layer")
            panels[1].set_xlabel(f"open: {runs[0]}; filled: {runs[place]}", color=SOFT)
            for axes, run in zip(panels[2:], (0, place), strict=False):
                none = np.full(values[run].shape, "")
                cells(axes, values[run], names, profiles[run]["layers"], none, full)
                axes.set_title(f"{runs[run]}: effect of each layer")
        note = "blue lines: surely different; cells without colour were not measured"
        figure.supxlabel(note, color=SOFT, fontsize=8)
    return figure
