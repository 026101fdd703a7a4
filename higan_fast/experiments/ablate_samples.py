"""How many samples a boundary needs: refits to fewer of them, and what these still move."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundaries, Boundary
from higan_fast.boundaries.fitting import fit_boundaries
from higan_fast.boundaries.methods import Method
from higan_fast.boundaries.sides import MIN_PER_SIDE
from higan_fast.checks import check_confidence, check_count, check_number
from higan_fast.experiments.drawing import INK, LEVEL_COLORS, SOFT, canvas
from higan_fast.experiments.finding import Finding, plain
from higan_fast.experiments.given import checked
from higan_fast.experiments.intervals import interval
from higan_fast.experiments.refits import fitted_like
from higan_fast.experiments.subject import Subject
from higan_fast.probing.comparison_figures import cosine_of
from higan_fast.probing.sweep_scores import Curve
from higan_fast.progress import progress as show_progress
from higan_fast.sampling.samples import Samples
from higan_fast.statistics.comparison import Differences, differences_from_first
from higan_fast.statistics.student import DISTINCT
from higan_fast.tables import Table, shown
from higan_fast.wording import listing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

ENOUGH = 0.9  # of the effect that all samples give


class Refits(NamedTuple):
    """The boundaries of one size: fitted to parts of the samples that share none."""

    size: int
    fits: tuple[Mapping[str, Boundary], ...]


@checked
def ablate_samples(
    subject: Subject,
    samples: Samples,
    boundaries: Boundaries,
    *,
    method: Method = "svm",
    C: float | None = None,  # noqa: N803 (the field's name for it)
    sizes: int = 4,
    refits: int = 3,
    num: int = 48,
    step: float = 2.0,
    confidence: float = 0.99,
) -> Finding:
    """Fits boundaries to fewer and fewer samples, and measures what each still moves on fresh ones.

    The sizes are a geometric series, from as few as leave 50 samples a side up to all. The sides keep their
    ratio to the samples. Refits of one size are to parts that share no sample, so that there are fewer of
    them where the parts are large, and one of all samples.

    Args:
        subject: the networks that were probed.
        samples: to which boundaries are fitted.
        boundaries: those of the run, which say how large the two sides are.
        method: how to fit, as for ``fit_boundaries``; "gradient" sees no samples.
        C: as for ``fit_boundaries``.
        sizes: how many, at least 2.
        refits: of each size at most.
        num: fresh samples, at least 24; each takes two images for every refit and semantic.
        step: how far, in length.
        confidence: of all intervals of differences together; half of what may fail is for the means over
            the semantics.

    Raises:
        ValueError: when an argument is out of range, there are too few samples for two sizes, or no semantic
            has a boundary at every size.
    """
    check_count("sizes (--sizes)", sizes, 2)
    check_count("refits (--refits)", refits)
    check_count("num (--num)", num, DISTINCT)
    check_number("step (--step)", step, "a positive number", above=0)
    check_confidence(confidence)
    if method == "gradient":
        raise ValueError("method (--boundary): got 'gradient', which sees no samples; choose another")
    like = fitted_like(boundaries, samples)
    fitted = _fit(samples, like, method, C, _sizes(len(samples), like["chosen_num"], sizes), refits, subject)
    names = [name for name in fitted[0].fits[0] if all(name in fit for each in fitted for fit in each.fits)]
    if not names:
        raise ValueError("ablate samples: no semantic has a boundary at every size; sample more")
    curves = [Curve(fit[name]) for each in fitted for fit in each.fits for name in names]
    walk = subject.walk(curves, (step, -step), num=num, doing="moving refits")
    columns = [walk.column(name) for name in names]
    effects = walk.effects().reshape(num, -1, len(names), len(walk.semantics))
    own = effects[:, :, range(len(names)), columns]  # [n, fits, B]
    ends = np.cumsum([0, *(len(each.fits) for each in fitted)])
    parts = [own[:, first:last] for first, last in pairwise(ends)]
    means = np.stack([part.mean(axis=1) for part in parts], axis=1)  # [n, K, B]
    level, reach = (1 - confidence) / 2, walk.reach[columns]
    single = differences_from_first(means, level / ((len(fitted) - 1) * len(names)) / 2, reach)
    of_all, against = means.mean(axis=2), level / (2 * (len(fitted) - 1)) / 2
    together = differences_from_first(of_all, against, reach.mean())
    part = of_all.copy()
    part[:, 0] *= ENOUGH  # a size has enough where it exceeds this part of what all give
    enough = differences_from_first(part, against, reach.mean())
    rows = _rows(fitted, parts, names, walk.reach[columns] / 2, single, together, confidence)
    used = fitted[0].fits[0][names[0]].origin
    about = {"method": method, "C": used.C if used else C, "chosen_num": like["chosen_num"]}
    return Finding(
        experiment="ablate-samples",
        title="How many samples does a boundary need?",
        sentences=[
            *_sentences(fitted, names, rows, single, together, enough),
            *walk.too_wide(names, confidence),
        ],
        limits=(
            "The intervals are of these boundaries, over all codes. Those of other samples would differ: "
            "refits of one size show by how much, where there are several; of all samples there is one.",
            "A part of the samples is among all of them, so that its boundary nears theirs as it grows; two "
            "refits share no sample, and need not come as near to each other.",
            "What more samples than these would add is not measured.",
        ),
        table=_table(rows, len(names), num, walk.images, about),
        rows=rows,
        images=walk.images,
        settings={**walk.settings, **about, "step": step, "confidence": confidence, "refits": refits},
        figures={"enough": ENOUGH},
    )


def _sizes(num: int, ratio: float, sizes: int) -> list[int]:
    """From all samples down to as few as leave enough a side."""
    least = math.ceil(MIN_PER_SIDE / ratio)
    if num < 2 * least:
        raise ValueError(
            f"ablate samples: got {num:,} samples, expected at least {2 * least:,}, so that half of them "
            f"leave {MIN_PER_SIDE} a side; sample more"
        )
    series = (round(least * (num / least) ** (place / (sizes - 1))) for place in reversed(range(sizes)))
    return list(dict.fromkeys(series))


def _fit(
    samples: Samples,
    like: Mapping[str, Any],
    method: Method,
    weight: float | None,
    sizes: Sequence[int],
    refits: int,
    subject: Subject,
) -> list[Refits]:
    counts = [min(refits, len(samples) // size) for size in sizes]
    fitted = []
    with show_progress("fitting", sum(counts), unit="fits", enabled=subject.progress) as advance:
        for size, count in zip(sizes, counts, strict=True):
            fits = []
            for start in range(0, count * size, size):
                part = samples.part(start, start + size)
                with warnings.catch_warnings(action="ignore"):  # of solvers, as of any small part
                    fits.append(fit_boundaries(part, method=method, C=weight, progress=False, **like))
                advance(1)
            fitted.append(Refits(size, tuple(fits)))
    return fitted


def _rows(
    fitted: Sequence[Refits],
    parts: Sequence[Array],
    names: Sequence[str],
    reach: Array,
    single: Differences,
    together: Differences,
    confidence: float,
) -> list[dict[str, Any]]:
    """A row for each size, and one for each of its semantics."""
    full, rows = fitted[0].fits[0], []
    for place, (each, values) in enumerate(zip(fitted, parts, strict=True)):
        accuracies = np.array([[fit[name].accuracy for name in names] for fit in each.fits], np.float64)
        to_full, between = np.full((2, len(names)), np.nan)
        for index, name in enumerate(names):
            if place:
                to_full[index] = np.mean([cosine_of((fit, full), name) for fit in each.fits])
            pairs = [
                cosine_of((one, other), name)
                for first, one in enumerate(each.fits) for other in each.fits[first + 1 :]
            ]  # fmt: skip
            between[index] = np.mean(pairs) if pairs else np.nan
        of_each, mean = values.mean(axis=1), values.mean(axis=(1, 2))[:, None]
        spread = (
            values.mean(axis=0).std(axis=0, ddof=1) if len(each.fits) > 1 else np.full(len(names), np.nan)
        )
        members = [("", mean, reach.mean(keepdims=True), together, 0, slice(None))]
        members += [
            (name, of_each[:, [index]], reach[[index]], single, index, slice(index, index + 1))
            for index, name in enumerate(names)
        ]
        for name, measured, most, differences, index, chosen in members:
            effect, low, high = (float(end[0]) for end in interval(measured, most, confidence))
            where = (place, index) if name else (place,)
            figures = {
                "accuracy": accuracies[:, chosen].mean(),
                "cosine_to_all": to_full[chosen].mean(),
                "cosine_between_refits": between[chosen].mean(),
                "effect_in_deviations": effect,
                "low": low,
                "high": high,
                "effect_spread": spread[chosen].mean(),
                "difference": differences.mean[where],
                "difference_low": differences.low[where],
                "difference_high": differences.high[where],
            }
            rows.append(
                {
                    "samples": each.size,
                    "semantic": name or None,
                    "level": full[name].level if name else None,
                    "refits": len(each.fits),
                    **{key: plain(value) for key, value in figures.items()},
                    "codes": len(values),
                }
            )
    return rows


def _sentences(
    fitted: Sequence[Refits],
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    single: Differences,
    together: Differences,
    enough: Differences,
) -> list[str]:
    means = [row for row in rows if not row["semantic"]]
    series = [
        f"{shown(row['effect_in_deviations'], '.2f')} with {row['samples']:,}" for row in reversed(means)
    ]
    sentences = [
        f"The mean effect over {len(names)} semantics, in SD of their scores, is {listing(series)} samples."
    ]
    sizes = [each.size for each in fitted]
    reached = 0  # the smallest size so that it and all larger ones have enough
    while reached + 1 < len(sizes) and enough.low[reached + 1] > 0:
        reached += 1
    part = f"{ENOUGH:.0%}".replace("%", " %")
    if reached:
        sentences.append(
            f"From {sizes[reached]:,} samples on it is surely at least {part} of what all {sizes[0]:,} give."
        )
    else:
        sentences.append(f"No smaller size surely gives {part} of what all {sizes[0]:,} samples give.")
    less = [place for place in range(1, len(sizes)) if enough.high[place] < 0]
    if less:
        sentences.append(f"With {listing([f'{sizes[place]:,}' for place in less])} it is surely below that.")
    between = [place for place in range(reached + 1, len(sizes)) if place not in less]
    if between:
        sentences.append(f"With {listing([f'{sizes[place]:,}' for place in between])} that is undecided.")
    ends = " to ".join(shown(float(end[1]), "+.3f") for end in (-together.high, -together.low))
    sentences.append(
        f"From {sizes[1]:,} to all {sizes[0]:,} samples the mean effect changes by "
        f"{shown(float(-together.mean[1]), '+.3f')} SD [{ends}]."
    )
    last = len(sizes) - 1
    gaining = [name for name, high in zip(names, single.high[last], strict=True) if high < 0]
    if gaining:
        others = "" if len(gaining) == len(names) else "; for the others that is not established"
        sentences.append(
            f"All {sizes[0]:,} surely move {listing(gaining)} further than {sizes[last]:,} do{others}."
        )
    return sentences


def _table(
    rows: Sequence[Mapping[str, Any]], semantics: int, num: int, images: int, about: Mapping[str, Any]
) -> Table:
    lines = [
        (
            f"{row['samples']:,}", str(row["refits"]), shown(row["accuracy"]),
            shown(row["cosine_to_all"], ".2f"), shown(row["cosine_between_refits"], ".2f"),
            f"{shown(row['effect_in_deviations'], '.2f')} [{shown(row['low'], '.2f')}, "
            f"{shown(row['high'], '.2f')}]",
            "–" if row["difference_low"] is None
            else " to ".join(shown(row[f"difference_{end}"], "+.3f") for end in ("low", "high")),
        )
        for row in rows if not row["semantic"]
    ]  # fmt: skip
    method = about["method"] + ("" if about["C"] is None else f", C = {about['C']:g}")
    return Table(
        f"Boundaries ({method}) of parts of the samples, means over {semantics} semantics: a step on {num} "
        f"fresh codes ({images:,} images)",
        (
            "samples",
            "refits",
            "accuracy",
            "cosine to all",
            "between refits",
            "effect in SD",
            "minus that of all",
        ),
        lines,
    )


def draw(finding: Finding) -> Figure:
    """Accuracy, cosine and effect against the number of samples: each semantic, and the mean."""
    panels = (
        ("accuracy", "Held-out accuracy"),
        ("cosine_between_refits", "Cosine between refits"),
        ("effect_in_deviations", "Effect on fresh codes (SD)"),
    )
    names = list(dict.fromkeys(row["semantic"] for row in finding.rows if row["semantic"]))
    with canvas(9.5, 3.6, columns=3) as (figure, axes):
        for panel, (key, title) in zip(axes, panels, strict=True):
            for name in [*names, None]:
                rows = [row for row in finding.rows if row["semantic"] == name and row[key] is not None]
                sizes, values = [row["samples"] for row in rows], [row[key] for row in rows]
                if name:
                    color = LEVEL_COLORS[rows[0]["level"]] if rows else SOFT
                    panel.plot(sizes, values, color=color, linewidth=0.9, alpha=0.7, marker=".")
                else:
                    panel.plot(sizes, values, color=INK, linewidth=2.2, marker="o")
            ticks = sorted({row["samples"] for row in finding.rows})
            panel.set_xscale("log")
            panel.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
            panel.minorticks_off()
            panel.set_xlim(ticks[0] * 0.85, ticks[-1] * 1.18)
            panel.set_xlabel("samples", color=SOFT)
            panel.set_title(title)
            panel.grid(axis="y")
        for level, color in LEVEL_COLORS.items():
            if level in {row["level"] for row in finding.rows}:
                axes[-1].plot([], [], color=color, label=level)
        axes[-1].plot([], [], color=INK, linewidth=2.2, label="mean")
        figure.legend(loc="outside lower center", ncols=5, fontsize=8)
    return figure
