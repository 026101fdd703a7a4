"""Own layers against all layers: what a boundary loses, and what it no longer changes beside its target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from higan_fast.boundaries.boundary import Boundary
from higan_fast.checks import check_confidence, check_count
from higan_fast.experiments.drawing import SOFT, canvas, dumbbells
from higan_fast.experiments.finding import Finding
from higan_fast.experiments.given import checked
from higan_fast.experiments.paired import Changes, Paired, difference_in_words, told_apart
from higan_fast.experiments.subject import Subject
from higan_fast.probing.layers import parse_layers
from higan_fast.probing.results import Verification
from higan_fast.probing.sweep import acting_layers
from higan_fast.probing.sweep_scores import Curve
from higan_fast.statistics.student import DISTINCT
from higan_fast.tables import Table, shown
from higan_fast.wording import listing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAYS = ("all layers", "own layers")
ALL, OWN = range(2)
PANELS = (
    ("target_effect", "target", "Target effect (SD of its score)"),
    ("off_target", "off_target", "Change of others (SD, RMS)"),
    ("off_target_per_target", "per_target", "Others per SD of target effect"),
)


@checked
def ablate_layers(
    subject: Subject,
    boundaries: Mapping[str, Boundary],
    verification: Verification,
    *,
    num: int = 192,
    confidence: float = 0.99,
) -> Finding:
    """Moves boundaries on the layers that were found to act, and on all layers, on the same fresh samples.

    A boundary's own layers are those on which it moves its semantic beyond random directions, each alone, as
    the verification found on other samples. What else a step changes is the root mean square of the true mean
    changes of all other scores, over a step forth and a step back: what both have in common counts too.

    Args:
        subject: the networks that were probed.
        boundaries: those that were verified.
        verification: says which layers are a boundary's own, and how far a step is.
        num: fresh samples, at least 24; each takes four images for every boundary.
        confidence: of all intervals of differences together; half of what may fail is for the means over
            the boundaries.

    Raises:
        ValueError: when an argument is out of range, or no boundary acts on a part of the layers.
    """
    check_count("num (--num)", num, DISTINCT)
    check_confidence(confidence)
    own = acting_layers(verification, verification.boundary_names)
    if not own:
        raise ValueError(
            "ablate layers: no boundary was found to act on a part of the layers, alone; there is nothing "
            "to compare with all of them (higan-fast verify with more samples, or boundaries in w or layers)"
        )
    names = list(own)
    layers = {name: tuple(parse_layers(own[name], len(verification.layers))) for name in names}
    curves = [Curve(boundaries[name], each) for name in names for each in (None, layers[name])]
    step, unit = float(verification.settings["step"]), verification.settings["step_unit"]
    walk = subject.walk(
        curves, (step, -step), num=num, step_unit=unit, doing="moving own layers and all layers"
    )
    changes = Changes.of([walk], names, ways=2)
    reach = walk.reach[[walk.column(name) for name in names]]
    level = (1 - confidence) / 2
    single, together = (
        Paired.of(changes, reach, level),
        Paired.of(changes.joined(), reach.mean(keepdims=True), level),
    )
    level_of = {semantic.name: semantic.level for semantic in verification.semantics}
    rows = [
        {
            "semantic": name or None,
            "level": level_of.get(name),
            "layers": WAYS[way] if way == ALL or not name else own[name],
            "own": way == OWN,
            **found.values(way, place),
            "samples": num,
        }
        for found, members in ((together, [""]), (single, names))
        for place, name in enumerate(members)
        for way in range(2)
    ]  # fmt: skip
    left = [name for name in verification.boundary_names if name not in own]
    return Finding(
        experiment="ablate-layers",
        title="Own layers against all layers",
        sentences=[*_sentences(together, single, names, left), *walk.too_wide(names, confidence)],
        limits=(
            "Own layers are those that were found to act, each alone: one that acts too little to be "
            "found, or only together with others, is not among them.",
            "It is one step: a longer one on own layers may move the target as far, and then changes more.",
            "Off target is what the scores of this predictor see; what none of them reads may change more.",
            "Intervals of changes off target hold as samples grow many, as do those of effects on scores of "
            "which the range is not known.",
        ),
        table=_table(rows, num, walk.images, confidence),
        rows=rows,
        images=walk.images,
        settings={**walk.settings, "step": step, "confidence": confidence},
    )


def _sentences(together: Paired, single: Paired, names: list[str], left: list[str]) -> list[str]:
    count = f"{len(names)} boundar{'y' if len(names) == 1 else 'ies'}"
    target, off = ([float(part.mean[way, 0]) for way in range(2)] for part in (together.target, together.off))
    relative = [float(together.relative[way, 0]) for way in range(2)]
    by_target, by_off, by_relative = (
        difference_in_words(found, OWN)
        for found in (together.target_less, together.off_less, together.relative_less)
    )
    sentences = [
        f"Over {count}, moving own layers alone in place of all changes the target effect from "
        f"{shown(target[ALL], '.2f')} to {shown(target[OWN], '.2f')} SD ({by_target}), and "
        f"the change of other scores from {shown(off[ALL], '.3f')} to {shown(off[OWN], '.3f')} SD "
        f"({by_off}).",
        f"For each SD of target effect, the change of others is {shown(relative[ALL], '.3f')} SD on all "
        f"layers and {shown(relative[OWN], '.3f')} on own ones ({by_relative}).",
    ]
    for found, what in (
        (single.target_less, "Target effect"),
        (single.off_less, "Change off target"),
        (single.relative_less, "Change off target for each SD of target effect"),
    ):
        sentences.append(told_apart(found, OWN, names, f"{what}, own layers against all"))
    if left:
        sentences.append(
            f"Not compared, for no layer alone surely does more than random directions, or every one does: "
            f"{listing(left)}."
        )
    return sentences


def _table(rows: Sequence[Mapping[str, Any]], num: int, images: int, confidence: float) -> Table:
    lines = []
    for all_, own in zip(rows[::2], rows[1::2], strict=True):
        line = [own["semantic"] or "mean of all", own["layers"] if own["semantic"] else "own"]
        for figure, difference, layout in (
            ("target_effect", "target", ".2f"),
            ("off_target", "off_target", ".3f"),
            ("off_target_per_target", "per_target", ".3f"),
        ):
            line.append(f"{shown(all_[figure], layout)} → {shown(own[figure], layout)}")
            ends = " to ".join(shown(own[f"{difference}_{end}"], f"+{layout}") for end in ("low", "high"))
            line.append(ends if own[f"{difference}_low"] is not None else "–")
        line.append(f"{shown(all_['off_target_even'])} → {shown(own['off_target_even'])}")
        lines.append(tuple(line))
    return Table(
        f"One step on all layers → on own layers alone, in SD of the scores, {num} fresh samples ({images:,} "
        f"images); all intervals of differences hold together at {confidence:.4g}",
        ("semantic", "layers", "target effect", "difference", "off target", "difference",
         "off target per SD of target", "difference", "of it even"),
        lines,
        ("Of it even: the part of the change off target that a step forth and one back have in common.",),
    )  # fmt: skip


def draw(finding: Finding) -> Figure:
    """From all layers to own ones: the target effect, the change off target, and that for each unit of it."""
    rows = [row for row in finding.rows if row["semantic"]]
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    labels = [f"{own['semantic']} ({own['layers']})" for _, own in pairs]
    with canvas(9.5, 1.3 + 0.3 * len(pairs), columns=3, sharey=True) as (figure, panels):
        for axes, (value, difference, title) in zip(panels, PANELS, strict=True):
            dumbbells(axes, labels, pairs, value, difference)
            axes.set_title(title)
        figure.supxlabel(
            "open: all layers; filled: own layers, which are named on the left; blue: surely different",
            color=SOFT, fontsize=8,
        )  # fmt: skip
    return figure
