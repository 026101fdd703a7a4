"""In which space a boundary is fitted and moved: z, w, or the code of each layer (W+)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from higan_fast.boundaries.boundary import Boundaries, Space
from higan_fast.boundaries.fitting import fit_boundaries
from higan_fast.boundaries.methods import Method
from higan_fast.checks import check_confidence, check_count, check_number
from higan_fast.experiments.drawing import SOFT, canvas, dumbbells
from higan_fast.experiments.finding import Finding, plain
from higan_fast.experiments.given import checked
from higan_fast.experiments.paired import Changes, Paired, difference_in_words, told_apart
from higan_fast.experiments.refits import fitted_like
from higan_fast.experiments.subject import Subject
from higan_fast.probing.sweep_scores import Curve
from higan_fast.sampling.samples import Samples
from higan_fast.statistics.student import DISTINCT
from higan_fast.tables import Table, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The first is what the others are compared with.
ORDER: tuple[Space, ...] = ("w", "z", "layers")
CALLED = {"w": "w", "z": "z", "layers": "W+"}
SAME = 1 - 1e-6  # cosine from which on two directions are one

PANELS = (
    ("target_effect", "target", "Target effect (SD of its score)"),
    ("off_target", "off_target", "Change of others (SD, RMS)"),
    ("off_target_per_target", "per_target", "Others per SD of target effect"),
)


@checked
def ablate_space(
    subject: Subject,
    samples: Samples,
    boundaries: Boundaries,
    *,
    method: Method = "svm",
    C: float | None = None,  # noqa: N803 (the field's name for it)
    num: int = 64,
    step: float = 2.0,
    num_gradients: int = 64,
    confidence: float = 0.99,
) -> Finding:
    """Fits boundaries in z, in w and in the code of each layer, and moves the same fresh samples along each.

    All are fitted to the same samples with the same sides, and move all layers. Lengths do not compare across
    spaces, so that a step is as many standard deviations of the codes along each normal: equally far from the
    mean, seen from how codes spread. What else changes for each unit of target effect hardly depends on how
    long it is.

    Args:
        subject: the networks that were probed.
        samples: to which boundaries are fitted.
        boundaries: those of the run, which say how large the two sides are.
        method: how to fit, as for ``fit_boundaries``.
        C: as for ``fit_boundaries``.
        num: fresh samples, at least 24; each takes two images for every space and semantic.
        step: how far, in standard deviations of the codes along each normal.
        num_gradients: as for ``fit_boundaries``; each takes one for every space and semantic.
        confidence: of all intervals of differences together; half of what may fail is for the means over
            the semantics.

    Raises:
        ValueError: when an argument is out of range, or no semantic has a boundary in every space.
    """
    check_count("num (--num)", num, DISTINCT)
    check_number("step (--step)", step, "a positive number", above=0)
    check_confidence(confidence)
    like = fitted_like(boundaries, samples) | {"method": method, "C": C, "num_gradients": num_gradients}
    fits = _fit(subject, samples, like)
    names = [name for name in fits["w"] if all(name in fit for fit in fits.values())]
    if not names:
        raise ValueError("ablate space: no semantic has a boundary in every space; sample more")
    same = _is_same(fits, names)
    spaces = [space for space in ORDER if not (same and space == "layers")]
    walks = [
        subject.walk(
            [Curve(fits[space][name]) for name in names], (step, -step), num=num, step_unit="sd",
            doing=f"moving in {CALLED[space]}",
        )
        for space in spaces
    ]  # fmt: skip
    changes = Changes.of(walks, names)
    reach = walks[0].reach[[walks[0].column(name) for name in names]]
    level = (1 - confidence) / 2
    single = Paired.of(changes, reach, level)
    together = Paired.of(changes.joined(), reach.mean(keepdims=True), level)
    rows = _rows(fits, spaces, names, together, single, num)
    settings = walks[0].settings | {"space": spaces, "step": step, "confidence": confidence}
    return Finding(
        experiment="ablate-space",
        title="z, w or W+",
        sentences=[
            *_sentences(together, single, spaces, names, rows, step, same),
            *walks[0].too_wide(names, confidence),
        ],
        limits=(
            f"Equal steps are {step:g} standard deviations of the codes along each normal; by another "
            "measure, such as how much the image changes, they would not be equal.",
            "Boundaries in z and w move all layers here; in w a part of the layers can be moved, which z "
            "cannot (higan-fast ablate layers).",
            "Intervals of changes off target hold as samples grow many, as do those of effects on scores of "
            "which the range is not known; they are of these boundaries, not of others that the method would "
            "give on other samples.",
        ),
        table=_table(rows, num, sum(walk.images for walk in walks), step, confidence),
        rows=rows,
        images=sum(walk.images for walk in walks),
        settings={**settings, "method": method, "C": fits["w"].settings["C"]},
    )


def _fit(subject: Subject, samples: Samples, like: Mapping[str, Any]) -> dict[Space, Boundaries]:
    fits = {}
    with warnings.catch_warnings(action="ignore"):  # of solvers
        for space in ORDER:
            fits[space] = fit_boundaries(
                samples, generator=subject.generator, predictor=subject.predictor,
                progress=subject.progress, **{**like, "space": space},
            )  # fmt: skip
    return fits


def _is_same(fits: Mapping[Space, Boundaries], names: Sequence[str]) -> bool:
    """Whether the boundaries of all layers are those in w, as where every layer gets the same code."""
    for name in names:
        normal, each = fits["w"][name].normal, np.atleast_2d(fits["layers"][name].normal)
        if each.shape[1:] != normal.shape or not (each @ normal >= SAME).all():
            return False
    return True


def _rows(
    fits: Mapping[Space, Boundaries],
    spaces: Sequence[Space],
    names: Sequence[str],
    together: Paired,
    single: Paired,
    num: int,
) -> list[dict[str, Any]]:
    """For all semantics, and then for each, a row for every space."""
    rows = []
    for found, members in ((together, [""]), (single, names)):
        for place, name in enumerate(members):
            for way, space in enumerate(spaces):
                chosen = [name] if name else names
                accuracy = np.mean([fits[space][each].accuracy or np.nan for each in chosen])
                rows.append(
                    {
                        "semantic": name or None,
                        "level": fits["w"][name].level if name else None,
                        "space": space,
                        "accuracy": plain(float(accuracy)),
                        **found.values(way, place),
                        "samples": num,
                    }
                )
    return rows


def _sentences(
    together: Paired,
    single: Paired,
    spaces: Sequence[Space],
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    step: float,
    same: bool,
) -> list[str]:
    sentences = []
    accuracy = {row["space"]: shown(row["accuracy"], ".2f") for row in rows if not row["semantic"]}
    for way, space in enumerate(spaces[1:], start=1):
        called = CALLED[space]
        figures = {
            name: [shown(float(part[place, 0]), layout) for place in (0, way)]
            for name, part, layout in (
                ("target", together.target.mean, ".2f"),
                ("off", together.off.mean, ".3f"),
                ("relative", together.relative, ".3f"),
            )
        }
        sentences += [
            f"A step of {step:g} SD of the codes in {called} in place of w, over {len(names)} semantics: "
            f"target effect {figures['target'][0]} → {figures['target'][1]} SD "
            f"({difference_in_words(together.target_less, way)}), change of other scores "
            f"{figures['off'][0]} → {figures['off'][1]} SD ({difference_in_words(together.off_less, way)}).",
            f"For each SD of target effect, the change of others is {figures['relative'][0]} SD in w and "
            f"{figures['relative'][1]} in {called} ({difference_in_words(together.relative_less, way)}). "
            f"Held-out accuracy: {accuracy['w']} in w, {accuracy[space]} in {called}.",
            *(
                told_apart(found, way, names, f"{what}, {called} against w")
                for found, what in (
                    (single.target_less, "Target effect"),
                    (single.off_less, "Change off target"),
                    (single.relative_less, "Change off target for each SD of target effect"),
                )
            ),
        ]
    if same:
        sentences.append(
            "W+ is w here: every layer gets the same code, and the boundary that was fitted to each "
            "layer's is the one in w, so that it was not measured again."
        )
    return sentences


def _table(rows: Sequence[Mapping[str, Any]], num: int, images: int, step: float, confidence: float) -> Table:
    lines = []
    for row in rows:
        line = [row["semantic"] or "mean of all", CALLED[row["space"]], shown(row["accuracy"], ".2f")]
        for figure, difference, layout in (
            ("target_effect", "target", ".2f"),
            ("off_target", "off_target", ".3f"),
            ("off_target_per_target", "per_target", ".3f"),
        ):
            ends = [row[f"{difference}_{end}"] for end in ("low", "high")]
            line.append(shown(row[figure], layout))
            line.append("–" if None in ends else " to ".join(shown(end, f"+{layout}") for end in ends))
        lines.append(tuple(line))
    return Table(
        f"One step of {step:g} SD of the codes in each space, {num} fresh samples ({images:,} images); all "
        f"intervals of differences from w hold together at {confidence:.4g}",
        ("semantic", "space", "accuracy", "target effect", "minus that in w", "off target", "minus that in w",
         "off target per SD of target", "minus that in w"),
        lines,
    )  # fmt: skip


def draw(finding: Finding) -> Figure:
    """From w to each other space: the target effect, the change off target, and that for each unit of it."""
    rows = [row for row in finding.rows if row["semantic"]]
    names = list(dict.fromkeys(row["semantic"] for row in rows))
    others = [space for space in finding.settings["space"] if space != "w"]
    of = {(row["semantic"], row["space"]): row for row in rows}
    height = 1.1 + (0.5 + 0.28 * len(names)) * len(others)
    with canvas(9.5, height, columns=3, rows=len(others), sharey=True, squeeze=False) as (figure, panels):
        for line, space in zip(panels, others, strict=True):
            pairs = [(of[name, "w"], of[name, space]) for name in names]
            for axes, (value, difference, title) in zip(line, PANELS, strict=True):
                dumbbells(axes, names, pairs, value, difference)
                axes.set_title(title)
            line[0].set_ylabel(f"w → {CALLED[space]}")
        words = " and ".join(CALLED[space] for space in others)
        figure.supxlabel(f"open: w; filled: {words}; blue: surely different", color=SOFT, fontsize=8)
    return figure
