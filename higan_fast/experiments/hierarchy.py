"""HiGAN's central figure: which level of semantics lives in which group of layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundary
from higan_fast.checks import check_confidence, check_count
from higan_fast.experiments.drawing import LEVEL_COLORS, SOFT, canvas, cells
from higan_fast.experiments.finding import Finding, plain, with_interval
from higan_fast.experiments.given import checked
from higan_fast.experiments.intervals import interval
from higan_fast.experiments.subject import Subject, Walk
from higan_fast.generators.base import Layer
from higan_fast.predictors.base import LEVELS
from higan_fast.probing.layers import format_layers, layers_in_words
from higan_fast.probing.results import Verification
from higan_fast.probing.sweep_scores import Curve
from higan_fast.statistics.hierarchy import ESTABLISHED, SUGGESTED
from higan_fast.statistics.student import DISTINCT
from higan_fast.tables import Table, shown
from higan_fast.wording import listing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]


@checked
def hierarchy(
    subject: Subject,
    boundaries: Mapping[str, Boundary],
    verification: Verification,
    *,
    num: int = 128,
    confidence: float = 0.99,
) -> Finding:
    """Moves each boundary whose effect is shown on each group of layers alone, and averages over levels.

    A cell is the mean effect of a level's boundaries on their own semantics, in standard deviations of each
    score, with one step of the verification. The order of levels is tested on the mean layers of the
    verification (``Verification.hierarchy``), by permutations.

    Args:
        subject: the networks that were probed.
        boundaries: those that were verified.
        verification: says which effects are shown, and how far a step is.
        num: fresh samples, at least 24; each takes two images for every boundary and group.
        confidence: of each interval, and of all groups together that are said to move a level, or one of its
            semantics, most.

    Raises:
        ValueError: when an argument is out of range, no effect is shown, or the generator has one group of
            layers.
    """
    check_count("num (--num)", num, DISTINCT)
    check_confidence(confidence)
    groups = groups_of(verification.layers)
    names = [name for name in verification.boundary_names if verification.status(name) == "shown"]
    if len(groups) < 2:
        raise ValueError("hierarchy: got a generator with one group of layers, which has no order to show")
    if not names:
        raise ValueError("hierarchy: no effect is shown; verify more samples, or other boundaries")
    level_of = {semantic.name: semantic.level for semantic in verification.semantics}
    names.sort(key=lambda name: LEVELS.index(level_of[name]))
    curves = [Curve(boundaries[name], layers) for name in names for layers in groups.values()]
    step, unit = float(verification.settings["step"]), verification.settings["step_unit"]
    walk = subject.walk(curves, (step, -step), num=num, step_unit=unit, doing="moving groups of layers")
    own = _own(walk, names, len(groups))
    rows, most = _rows(walk, own, names, level_of, groups, confidence)
    found = verification.hierarchy
    settings = {**walk.settings, "step": step, "confidence": confidence}
    return Finding(
        experiment="hierarchy",
        title="Which layers decide which level",
        sentences=(*most, *_order(verification), *walk.too_wide(names, confidence)),
        limits=(
            "A group moves a level where the codes of its layers do: what arises from layers together "
            "belongs to no single group, and effects of groups need not add up.",
        ),
        table=_table(rows, groups),
        rows=rows,
        images=walk.images,
        settings=settings,
        figures={
            "groups": {group: format_layers(layers) for group, layers in groups.items()},
            "num_layers": len(verification.layers),
            "mean_layers": [
                {"semantic": name, "level": level_of[name], "mean_layer": verification.mean_layer(name)}
                for name in names
            ],
            "levels": [
                {"level": level.name, "mean": level.mean, "low": level.low, "high": level.high}
                for level in found.levels
            ],
        },
    )


def groups_of(layers: tuple[Layer, ...]) -> dict[str, tuple[int, ...]]:
    """Returns the layers of each of HiGAN's groups, in order."""
    groups: dict[str, list[int]] = {}
    for layer in layers:
        groups.setdefault(layer.group, []).append(layer.index)
    return {group: tuple(members) for group, members in groups.items()}


def _own(walk: Walk, names: list[str], num_groups: int) -> Array:
    """The effects of boundaries on their own semantics, ``[N, B, G]``, in standard deviations."""
    effects = walk.effects().reshape(len(walk.base), len(names), num_groups, -1)
    columns = [walk.column(name) for name in names]
    return np.stack([effects[:, row, :, column] for row, column in enumerate(columns)], axis=1)


def _rows(
    walk: Walk,
    own: Array,
    names: list[str],
    level_of: Mapping[str, str],
    groups: Mapping[str, tuple[int, ...]],
    confidence: float,
) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each level and each boundary in each group; and what is surely the largest of a level."""
    rows, sentences = [], []
    reach = np.array([walk.reach[walk.column(name)] for name in names]) / 2  # of half a difference
    levels = [level for level in LEVELS if level in {level_of[name] for name in names}]
    of_level: dict[str, list[int]] = {
        level: [row for row, name in enumerate(names) if level_of[name] == level] for level in levels
    }
    members = {level: ("", own[:, rows].mean(axis=1), reach[rows].mean()) for level, rows in of_level.items()}
    each = [(level_of[name], name, own[:, row], reach[row]) for row, name in enumerate(names)]
    for level, name, values, most in [*((level, *value) for level, value in members.items()), *each]:
        mean, low, high = interval(values, most, confidence)
        for place, (group, layers) in enumerate(groups.items()):
            rows.append(
                {
                    "level": level,
                    "semantic": name or None,
                    "group": group,
                    "layers": format_layers(layers),
                    "effect_in_deviations": plain(mean[place]),
                    "low": plain(low[place]),
                    "high": plain(high[place]),
                    "semantics": 1 if name else len(of_level[level]),
                    "samples": len(own),
                }
            )
    apart = [place for places in of_level.values() if len(places) > 1 for place in places]
    each_at = 1 - (1 - confidence) / (len(levels) + len(apart))
    in_words = [f"the {group} layers ({format_layers(layers)})" for group, layers in groups.items()]
    for level, (_, values, most) in members.items():
        best, sure = _most_moving(values, most, each_at)
        size = shown(float(values[:, best].mean()), ".2f")
        over = f"{size} SD of its {_count(of_level[level])} at one step"
        surely = "surely move" if sure else "may move"
        found = {
            names[place]: which
            for place in of_level[level] if place in apart
            for which, known in [_most_moving(own[:, place], reach[place], each_at)] if known
        }  # fmt: skip
        if len({best, *found.values()}) == 1:
            sentences.append(f"{level}: {in_words[best]} {surely} it most, by {over}.")
            continue
        of_each = [f"{name} is surely moved most by {in_words[which]}" for name, which in found.items()]
        rest = [names[place] for place in of_level[level] if names[place] not in found]
        of_each += [f"undecided for {listing(rest)}"] if rest else []
        sentences.append(
            f"{level}: its semantics disagree: {'; '.join(of_each)}. So their mean, which {in_words[best]} "
            f"{surely} most, by {over}, speaks for no single one."
        )
    return rows, sentences


def _most_moving(values: Array, reach: float, confidence: float) -> tuple[int, bool]:
    """The group with the largest mean of effects ``[N, G]``, and whether it surely is that."""
    best = int(values.mean(axis=0).argmax())
    beyond = np.delete(values[:, best : best + 1] - values, best, axis=1)
    _, least, _ = interval(beyond, 2 * reach, confidence)
    return best, bool((least > 0).all())


def _order(verification: Verification) -> list[str]:
    """What permutations say of the order of levels."""
    found, sentences = verification.hierarchy, []
    if (trend := found.trend) is not None:
        how = f"all {trend.labelings:,}" if trend.exact else f"{trend.labelings:,} drawn"
        claim = "established" if trend.p <= ESTABLISHED else "suggested" if trend.p <= SUGGESTED else ""
        members = ", ".join(f"{level.name} {len(level.members)}" for level in found.levels)
        over = f"p = {trend.p:.2g}, over {how} labelings of mean layers"
        sentences.append(
            f"{' before '.join(trend.levels)}: {claim or 'not established'} as a trend ({over}; counted: "
            f"{members}, and those that move together once)."
        )
    claims: dict[str, list[str]] = {}
    for pair in found.pairs:
        needs = found.needs(pair)
        claims.setdefault(pair.claim, []).append(
            f"{pair.before} before {pair.after}{f' ({needs})' if needs else ''}"
        )
    sentences += [f"Of two levels alone, {claim}: {', '.join(pairs)}." for claim, pairs in claims.items()]
    without = [
        name
        for name in verification.boundary_names
        if verification.status(name) == "shown" and verification.mean_layer(name) is None
    ]
    if without:
        sentences.append(f"Without a mean layer, as no layer alone surely acts: {', '.join(without)}.")
    return sentences


def _table(rows: list[dict[str, Any]], groups: Mapping[str, tuple[int, ...]]) -> Table:
    lines: dict[str, list[str]] = {}
    for row in rows:
        name = f"  {row['semantic']}" if row["semantic"] else f"{row['level']}, mean of {row['semantics']}"
        lines.setdefault(name, []).append(with_interval(row, "effect_in_deviations"))
    head = [f"{group} {format_layers(layers)}" for group, layers in groups.items()]
    return Table(
        "Effect on the own semantic of moving one group of layers, in standard deviations of the score",
        ("", *head),
        [(name, *cells) for name, cells in lines.items()],
    )


def _count(rows: list[int]) -> str:
    return f"{len(rows)} semantic{'s' * (len(rows) > 1)}"


def draw(finding: Finding) -> Figure:
    """The mean effect of each level in each group, and the mean layer of each semantic."""
    groups, rows = finding.figures["groups"], [row for row in finding.rows if not row["semantic"]]
    levels = list(dict.fromkeys(row["level"] for row in rows))
    figures = np.array([row["effect_in_deviations"] for row in rows], np.float64)
    values = figures.reshape(len(levels), len(groups))
    lines = [with_interval(row, "effect_in_deviations").replace(" ", "\n", 1) for row in rows]
    texts = np.array(lines).reshape(values.shape)
    size = (9.5, 1.1 + 0.55 * len(levels))
    with canvas(*size, columns=2, width_ratios=(1.25, 1)) as (figure, (left, right)):
        labels = [f"{group}\n{layers_in_words(layers)}" for group, layers in groups.items()]
        cells(left, values, levels, labels, texts, max(float(np.abs(values).max()), 1e-9))
        left.set_title("Mean effect of moving one group of layers (SD of the score)")
        for place, level in enumerate(levels):
            color = LEVEL_COLORS[level]
            means = [
                each["mean_layer"] for each in finding.figures["mean_layers"]
                if each["level"] == level and each["mean_layer"] is not None
            ]  # fmt: skip
            right.plot(means, [place] * len(means), "o", color=color, alpha=0.5, markeredgewidth=0)
            found = next((each for each in finding.figures["levels"] if each["level"] == level), None)
            if found is not None:
                if found["low"] is not None:
                    right.plot([found["low"], found["high"]], [place, place], color=color, linewidth=1.5)
                right.plot([found["mean"]], [place], "|", color=color, markersize=14, markeredgewidth=2)
        right.set_yticks(range(len(levels)), levels)
        right.set_ylim(len(levels) - 0.5, -0.5)
        right.set_xlim(-0.3, finding.figures["num_layers"] - 0.7)
        right.set_xlabel("mean layer: semantics (dots), level with interval", color=SOFT)
        right.set_title("Where on the way through the network")
    return figure
