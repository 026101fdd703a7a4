"""Entanglement: what boundaries move of each other's semantics, what goes with it, and what removes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundary
from higan_fast.checks import check_confidence, check_count
from higan_fast.experiments.drawing import INK, SOFT, canvas, cells, dumbbells
from higan_fast.experiments.entanglement import REASONS, Entanglement
from higan_fast.experiments.finding import Finding, plain
from higan_fast.experiments.given import checked
from higan_fast.experiments.intervals import interval
from higan_fast.experiments.paired import Changes, Paired
from higan_fast.experiments.subject import Subject, Walk
from higan_fast.probing.results import Verification
from higan_fast.probing.side_effects import SMALL, side_effects
from higan_fast.probing.sweep_scores import Curve
from higan_fast.sampling.samples import Samples
from higan_fast.statistics.student import DISTINCT
from higan_fast.tables import Table, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Pair = tuple[str, str]

MOST_PAIRS = 6  # freed where none are chosen


@checked
def correlate(
    subject: Subject,
    samples: Samples,
    boundaries: Mapping[str, Boundary],
    verification: Verification,
    *,
    pairs: Sequence[Pair] = (),
    num: int = 192,
    confidence: float = 0.99,
) -> Finding:
    """Sets effects beside the correlations of scores and the cosines of normals, and frees some boundaries.

    A boundary is freed of another by ``Boundary.conditional_on``, and both move the same fresh samples by a
    step of the same length.

    Args:
        subject: the networks that were probed.
        samples: whose scores are correlated.
        boundaries: those that were verified.
        verification: has the effects, and how far a step is.
        pairs: names of a boundary and of another that it is freed of. None: those with the largest side
            effects that are sure and of at least 0.25 standard deviations, 6 at most.
        num: fresh samples, at least 24; each takes two images for every pair and for every boundary in one.
        confidence: of all correlations together, and of all intervals of differences together.

    Raises:
        ValueError: when an argument is out of range, there is one boundary, or a pair cannot be freed.
    """
    check_count("num (--num)", num, DISTINCT)
    check_confidence(confidence)
    names = verification.boundary_names
    if len(names) < 2:
        raise ValueError(f"correlate: got {len(names)} verified boundary, expected at least two")
    found = Entanglement.of(samples, boundaries, verification, confidence)
    chosen, freed = _freed(boundaries, verification, pairs)
    rows, of_pairs, images, wide = found.rows(), [], 0, []
    settings: dict[str, Any] = {"num": num, "confidence": confidence, "num_samples": len(samples)}
    step = float(verification.settings["step"])
    if chosen:
        unit = verification.settings["step_unit"]
        first = list(dict.fromkeys(name for name, _ in chosen))
        curves = [Curve(boundaries[name]) for name in first] + [Curve(each) for each in freed]
        walk = subject.walk(curves, (step, -step), num=num, step_unit=unit, doing="moving freed boundaries")
        images, wide = walk.images, walk.too_wide(list(dict.fromkeys(sum(chosen, ()))), confidence)
        settings |= walk.settings
        places = [
            (first.index(name), len(first) + place) for place, (name, _) in enumerate(chosen)
        ]  # before, after
        of_pairs = _before_and_after(walk, chosen, places, confidence)
    by_pair = {(each["boundary"], each["semantic"]): each for each in of_pairs}
    of_none = {f"freed_{name}": None for name in FREED}
    for row in rows:
        each = by_pair.get((row["boundary"], row["semantic"]))
        row |= of_none if each is None else {f"freed_{name}": each[name] for name in FREED}
    return Finding(
        experiment="correlate",
        title="What is entangled, and what goes with it",
        sentences=(*_of_all(found, confidence), *map(_of_pair, of_pairs), *wide),
        limits=(
            "Scores or normals that go together need not be the cause: a boundary may move both semantics "
            "by a third thing, which no score reads.",
            "A cosine is compared with those of directions drawn evenly; codes vary more in some.",
            "A freed boundary takes a step of the same length, and may move semantics that it left alone "
            "before: the change of all others says how much.",
            "Effects of the verification have an interval each; which are sure, and what freeing changes, is "
            "said for all together. Correlations, and changes of all others, hold as samples grow many.",
        ),
        table=_table(of_pairs, num, images, confidence),
        rows=rows,
        images=images,
        settings={**settings, "step": step},
        figures={
            "order": [names[place] for place in found.order],
            "tree": found.tree.tolist(),
            "random_cosine": found.random,
            "freed": of_pairs,
        },
    )


FREED = (
    *("own_before", "own_after", "own_difference", "own_low", "own_high"),
    *("other_before", "other_after", "other_difference", "other_low", "other_high", "other_falls"),
    *("others_before", "others_after", "others_difference", "others_low", "others_high"),
)


def _freed(
    boundaries: Mapping[str, Boundary], verification: Verification, pairs: Sequence[Pair]
) -> tuple[list[Pair], list[Boundary]]:
    """Pairs and their freed boundaries; of those that nobody chose, the largest that can be freed."""
    names = verification.boundary_names
    for name in (name for pair in pairs for name in pair):
        if name not in names:
            raise ValueError(f"pairs (--pair): got {name!r}, expected one of {', '.join(names)}")
    for name, other in pairs:
        if name == other:
            raise ValueError(f"pairs (--pair): got {name}:{other}, expected two different boundaries")
    effects = [] if pairs else [each for each in side_effects(verification) if each.semantic in names]
    chosen, freed = [], []
    for name, other in list(dict.fromkeys(pairs)) or [(each.boundary, each.semantic) for each in effects]:
        try:
            rest = boundaries[name].conditional_on(boundaries[other])
        except ValueError:
            if pairs:
                raise
            continue  # it is free of something already, or nothing is left
        chosen.append((name, other))
        freed.append(replace(rest, code_deviations=boundaries[name].code_deviations))  # for the same step
        if not pairs and len(chosen) == MOST_PAIRS:
            break
    return chosen, freed


def _before_and_after(
    walk: Walk, pairs: Sequence[Pair], places: Sequence[tuple[int, int]], confidence: float
) -> list[dict[str, Any]]:
    """Of each pair: the effect on its own semantic, on the other one, and the change of all others.

    A half of what may fail is for the other semantic alone, of which each pair has two intervals: |after| is
    less than |before| exactly where (before − after) and (before + after) have the same sign.
    """
    order = [place for both in places for place in both]
    twice = replace(walk, curves=[walk.curves[place] for place in order], moved=walk.moved[:, order])
    level = (1 - confidence) / 2
    own = [walk.column(name) for name, _ in pairs]
    paired = Paired.of(Changes.of([twice], [name for name, _ in pairs], ways=2), walk.reach[own], level)
    other = [walk.column(name) for _, name in pairs]
    effects = walk.effects()
    before, after = (
        np.stack([effects[:, both[way], column] for both, column in zip(places, other, strict=True)], axis=1)
        for way in range(2)
    )
    each = 1 - level / (2 * len(pairs))
    falls, low, high = interval(before - after, walk.reach[other], each)
    _, least, most = interval(before + after, walk.reach[other], each)
    less = ((low > 0) & (least > 0)) | ((high < 0) & (most < 0))
    more = ((low > 0) & (most < 0)) | ((high < 0) & (least > 0))
    rows = []
    for place, (name, without) in enumerate(pairs):
        first, second = (paired.values(way, place) for way in range(2))
        rows.append(
            {
                "boundary": name,
                "semantic": without,
                "own_before": first["target_effect"],
                "own_after": second["target_effect"],
                **{f"own_{part}": second[f"target_{part}"] for part in ("difference", "low", "high")},
                "other_before": plain(before[:, place].mean()),
                "other_after": plain(after[:, place].mean()),
                "other_difference": plain(-falls[place]),
                "other_low": plain(-high[place]),
                "other_high": plain(-low[place]),
                "other_falls": "surely" if less[place] else "surely not" if more[place] else "undecided",
                "others_before": first["off_target"],
                "others_after": second["off_target"],
                **{f"others_{part}": second[f"off_target_{part}"] for part in ("difference", "low", "high")},
            }
        )
    return rows


def _of_all(found: Entanglement, confidence: float) -> list[str]:
    num, sure = len(found.names), np.argwhere(found.moves)
    all_pairs = num * (num - 1)
    sentences = [
        f"Of {all_pairs} pairs of a boundary and the semantic of another, {len(sure)} surely move it at one "
        f"step (all together at {confidence:.4g})."
    ]
    if not len(sure):
        return sentences
    sizes = np.abs(found.effect[tuple(sure.T)])
    row, column = sure[int(np.argmax(sizes))]
    sentences.append(
        f"The largest estimate: {found.names[row]} moves {found.names[column]} by "
        f"{shown(float(found.effect[row, column]), '+.2f')} SD."
    )
    count = Counter(found.reason(*pair) for pair in sure.tolist())
    both, scores, normals, neither = (count[reason] for reason in REASONS.values())
    said = {
        "the two scores surely go together in the samples, as the boundary moves them": both + scores,
        "the two boundaries point more alike than random directions do, but their scores are not shown to go "
        "together": normals,
        "neither the scores nor the boundaries explain it": neither,
    }
    sentences += [f"In {count} of these {len(sure)}, {why}." for why, count in said.items() if count]
    sentences.append(
        "This counts the pairs of all boundaries, however little they move. A report begins with side "
        f"effects of {SMALL} SD or more, of boundaries whose own effect was shown."
    )
    return sentences


def _of_pair(row: Mapping[str, Any]) -> str:
    verdict = {"surely": "surely less", "surely not": "surely more", "undecided": "undecided whether less"}
    own = {1: "which is more", -1: "which it surely costs", 0: "undecided whether it changes"}
    low, high = (row[f"own_{end}"] for end in ("low", "high"))
    sign = (low is not None and low > 0) - (high is not None and high < 0)
    return (
        f"{row['boundary']} freed of {row['semantic']} moves {row['semantic']} by "
        f"{shown(row['other_after'], '+.2f')} SD in place of {shown(row['other_before'], '+.2f')} "
        f"({verdict[row['other_falls']]}), and its own semantic by {shown(row['own_after'], '.2f')} in place "
        f"of {shown(row['own_before'], '.2f')} ({_ends(row, 'own')}; {own[sign]})."
    )


def _ends(row: Mapping[str, Any], what: str, layout: str = "+.2f") -> str:
    ends = ", ".join(shown(row[f"{what}_{end}"], layout) for end in ("low", "high"))
    return f"{shown(row[f'{what}_difference'], layout)} [{ends}]"


def _table(rows: Sequence[Mapping[str, Any]], num: int, images: int, confidence: float) -> Table:
    caption = (
        "No pair was freed: no side effect is sure and of at least 0.25 SD; --pair FIRST:SECOND names one"
        if not rows
        else f"Boundaries freed of another, before → after, in SD of the scores, {num} fresh samples "
        f"({images:,} images); all intervals of differences hold together at {confidence:.4g}"
    )
    lines = [
        (
            f"{row['boundary']} without {row['semantic']}",
            f"{shown(row['other_before'], '+.2f')} → {shown(row['other_after'], '+.2f')}",
            _ends(row, "other"),
            row["other_falls"],
            f"{shown(row['own_before'], '.2f')} → {shown(row['own_after'], '.2f')}",
            _ends(row, "own"),
            f"{shown(row['others_before'])} → {shown(row['others_after'])}",
            _ends(row, "others", "+.3f"),
        )
        for row in rows
    ]
    head = ("boundary", "effect on the other", "difference", "less", "on its own", "difference",
            "change of all others (RMS)", "difference")  # fmt: skip
    return Table(caption, head, lines)


MATRICES = (
    ("effect_in_deviations", "surely_moves", "Effect of a step along the row's boundary (SD)"),
    ("score_correlation", None, "Correlation of the scores over samples"),
    ("cosine_of_normals", None, "Cosine of the normals"),
)
PANELS = (
    ("other", "Effect on the other semantic (SD)"),
    ("own", "Effect on its own semantic (SD)"),
    ("others", "Change of all others (SD, RMS)"),
)


def draw(finding: Finding) -> Figure:
    """The three matrices, with a number where it is sure; below, what freeing does to each pair."""
    names, freed = finding.figures["order"], finding.figures["freed"]
    size, random = len(names), finding.figures["random_cosine"]
    heights = (0.235 * size + 1.2, 0.7 + 0.27 * len(freed))[: 2 if freed else 1]
    with canvas(3.4 + 0.75 * size, sum(heights), columns=3, rows=len(heights), squeeze=False,
                height_ratios=heights) as (figure, axes):  # fmt: skip
        for panel, (value, _, title) in zip(axes[0], MATRICES, strict=True):
            numbers = [row[value] for row in finding.rows]
            values = np.array(numbers, np.float64).reshape(size, size)
            if value != "effect_in_deviations":
                np.fill_diagonal(values, np.nan)  # which is 1
            texts = [
                f"{number:.1f}".replace("-", "−") if abs(number) >= 0.05 and _sure(row, value, random) else ""
                for row, number in zip(finding.rows, values.ravel(), strict=True)
            ]
            full = max(float(np.nanmax(np.abs(values), initial=0)), 1e-9) if value == MATRICES[0][0] else 1.0
            cells(panel, values, names, names, np.reshape(texts, (size, size)), full)
            panel.tick_params(axis="x", rotation=90)
            panel.set_title(title)
        for panel in axes[0, 1:]:
            panel.set_yticklabels([])
        before, after = (
            [{name: row[f"{name}_{way}"] for name, _ in PANELS} | row for row in freed]
            for way in ("before", "after")
        )
        pairs = list(zip(before, after, strict=True))
        labels = [f"{row['boundary']} without {row['semantic']}" for row in freed]
        for panel, (name, title) in zip(axes[-1] if freed else (), PANELS, strict=False):
            dumbbells(panel, labels, pairs, name, name)
            panel.axvline(0, color=INK, linewidth=0.6)
            panel.set_title(title)
            if name != "other":
                panel.set_yticklabels([])
        note = "a number where it is sure and not 0.0 (a cosine: beyond random ones); ordered by clustering"
        note += (
            "\nbelow, open: as fitted; filled: freed of the other; blue: surely different" if freed else ""
        )
        figure.supxlabel(note, color=SOFT, fontsize=8)
    return figure


def _sure(row: Mapping[str, Any], value: str, random: float) -> bool:
    """Whether a number of a matrix is to be read."""
    if value == "effect_in_deviations":
        own = row["boundary"] == row["semantic"]
        return bool(row["surely_moves"]) or (own and row["low"] is not None and row["low"] > 0)
    if value == "score_correlation":
        low, high = row["score_low"], row["score_high"]
        return low is not None and (low > 0 or high < 0)
    return abs(row[value]) > random
