"""Whether the accuracy of a boundary says how far it moves its semantic: two rankings."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from higan_fast.boundaries.boundary import Boundaries
from higan_fast.boundaries.fitting import fit_boundaries
from higan_fast.checks import check_confidence, check_count, check_number
from higan_fast.experiments.drawing import LEVEL_COLORS, LINE, SOFT, canvas
from higan_fast.experiments.finding import Finding, Row, plain, with_interval
from higan_fast.experiments.given import checked
from higan_fast.experiments.intervals import interval
from higan_fast.experiments.refits import fitted_like
from higan_fast.experiments.subject import Subject, Walk
from higan_fast.probing.sweep_scores import Curve
from higan_fast.sampling.samples import Samples
from higan_fast.statistics.ranks import LEAST, RankCorrelation, rank_correlation
from higan_fast.statistics.student import DISTINCT
from higan_fast.tables import Table, shown
from higan_fast.wording import listing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACCURATE = 0.9
CORRELATIONS = {
    "effect": "Held-out accuracy of an SVM and its effect in SD of the score, over {num} semantics",
    "accurate": f"Over the {{num}} with an accuracy of at least {ACCURATE:g} alone",
    "higan_delta": "By HiGAN's measure, the mean rise of the raw score with falls as 0, over {num} semantics",
}


@checked
def ablate_ranking(
    subject: Subject,
    samples: Samples,
    boundaries: Boundaries,
    *,
    num: int = 192,
    step: float = 2.0,
    confidence: float = 0.99,
) -> Finding:
    """Ranks semantics by the held-out accuracy of an SVM, and by what a step along its normal changes.

    HiGAN says that the former does not tell the latter. The boundaries are HiGAN's own, linear SVMs with
    C = 1 fitted to the run's samples, whatever method the run's boundaries are of: so the accuracy is that of
    the direction that is moved. Effects are measured on fresh samples.

    Args:
        subject: the networks that were probed.
        samples: to which the SVMs are fitted.
        boundaries: those of the run, which say how large the two sides are.
        num: fresh samples, at least 24; each takes two images for every semantic.
        step: how far, in length, as HiGAN's.
        confidence: of each interval of an effect, and of all rank correlations together.

    Raises:
        ValueError: when an argument is out of range, or fewer than five semantics have a boundary.
    """
    check_count("num (--num)", num, DISTINCT)
    check_number("step (--step)", step, "a positive number", above=0)
    check_confidence(confidence)
    with warnings.catch_warnings(action="ignore"):  # of solvers: the rows say which did not converge
        fitted = fit_boundaries(
            samples, recipe="higan", progress=subject.progress, **fitted_like(boundaries, samples)
        )
    if len(fitted) < LEAST:
        raise ValueError(
            f"ablate ranking: got {len(fitted)} semantics with a boundary, expected at least {LEAST} to rank"
        )
    names = list(fitted)
    walk = subject.walk(
        [Curve(fitted[name]) for name in names], (step, -step), num=num, doing="moving SVM boundaries"
    )
    rows = _rows(fitted, walk, confidence)
    level = (1 - confidence) / len(CORRELATIONS)
    accuracy, effect, higan = (
        np.array([row[name] for row in rows], np.float64)
        for name in ("accuracy", "effect_in_deviations", "higan_delta")
    )
    well = accuracy >= ACCURATE
    found = {"effect": rank_correlation(accuracy, effect, level)}
    if LEAST <= well.sum() < len(rows):
        found["accurate"] = rank_correlation(accuracy[well], effect[well], level)
    found["higan_delta"] = rank_correlation(accuracy, higan, level)
    return Finding(
        experiment="ablate-ranking",
        title="Does accuracy tell what can be moved?",
        sentences=[*_sentences(rows, found, level), *walk.too_wide(names, confidence)],
        limits=(
            f"With {len(rows)} semantics a |τ| below {shown(found['effect'].least, '.2f')} cannot be told "
            "from 0, so that undecided does not mean that there is nothing. The intervals take them for a "
            "sample of many, which nobody drew, and say nothing of other predictors.",
            "Accuracies of 1 tie, so that the order of the best separated semantics is not compared.",
            "The effects are of SVMs with C = 1; other methods move the same semantics further "
            "(higan-fast methods).",
        ),
        table=_table(rows, num, walk.images, confidence),
        rows=rows,
        images=walk.images,
        settings={
            **walk.settings, "step": step, "confidence": confidence, "method": "svm", "C": 1.0,
            "chosen_num": fitted.settings["chosen_num"],
        },
        figures={name: _plain(each) for name, each in found.items()} | {"skipped": fitted.skipped},
    )  # fmt: skip


def _rows(fitted: Boundaries, walk: Walk, confidence: float) -> list[dict[str, Any]]:
    columns = [walk.column(name) for name in fitted]
    places = range(len(columns))
    own = walk.effects()[:, places, columns]  # [N, B]
    mean, low, high = interval(own, walk.reach[columns] / 2, confidence)
    risen = np.maximum(walk.moved[:, places, 0, columns] - walk.base[:, columns], 0).mean(axis=0)
    accuracies, effects = np.array([each.accuracy for each in fitted.values()]), mean
    return [
        {
            "semantic": name,
            "level": fitted[name].level,
            "accuracy": plain(accuracies[place]),
            "rank_by_accuracy": int(1 + (accuracies > accuracies[place]).sum()),
            "effect_in_deviations": plain(mean[place]),
            "low": plain(low[place]),
            "high": plain(high[place]),
            "rank_by_effect": int(1 + (effects > effects[place]).sum()),
            "higan_delta": plain(risen[place]),
            "rank_by_higan_delta": int(1 + (risen > risen[place]).sum()),
            "converged": fitted[name].converged,
            "samples": len(own),
        }
        for place, name in enumerate(fitted)
    ]


def _sentences(rows: list[dict[str, Any]], found: dict[str, RankCorrelation], level: float) -> list[str]:
    sentences = [
        f"{CORRELATIONS[name].format(num=each.num)}: {_agreement(each)}. {_verdict(each, level)}"
        for name, each in found.items()
    ]
    for chosen, words in (
        ([row for row in rows if row["accuracy"] >= ACCURATE], f"an accuracy of at least {ACCURATE:g}"),
        ([row for row in rows if row["accuracy"] < ACCURATE], "a lower one"),
    ):
        if len(chosen) > 1:
            ordered = sorted(chosen, key=lambda row: row["effect_in_deviations"])
            ends = " to ".join(
                f"{with_interval(row, 'effect_in_deviations')} ({row['semantic']})"
                for row in (ordered[0], ordered[-1])
            )
            sentences.append(f"The estimated effects of the {len(chosen)} with {words} go from {ends} SD.")
    nothing = [row["semantic"] for row in rows if row["accuracy"] >= ACCURATE and not (row["low"] or 0) > 0]
    if nothing:
        sentences.append(f"Well separated, and not surely moved at all: {listing(nothing)}.")
    return sentences


def _agreement(found: RankCorrelation) -> str:
    ends = ", ".join(shown(end, ".2f") for end in (found.low, found.high))
    return (
        f"Kendall's τ = {shown(found.tau, '.2f')} [{ends}], Spearman's ρ = {shown(found.rho, '.2f')}, "
        f"permutation p = {found.p:.2g}"
    )


def _verdict(found: RankCorrelation, level: float) -> str:
    if found.p > level:
        return "Whether the one tells anything of the other is undecided."
    if found.tau > 0:
        return "So what is separated better tends to move more."
    return "So what is separated better tends to move less."


def _plain(found: RankCorrelation) -> dict[str, Any]:
    return {name: plain(value) for name, value in found._asdict().items()}


def _table(rows: list[dict[str, Any]], num: int, images: int, confidence: float) -> Table:
    ordered = sorted(rows, key=lambda row: -row["effect_in_deviations"])
    lines = [
        (
            row["semantic"], row["level"], shown(row["accuracy"]), str(row["rank_by_accuracy"]),
            with_interval(row, "effect_in_deviations"), str(row["rank_by_effect"]),
            shown(row["higan_delta"]), str(row["rank_by_higan_delta"]),
        )
        for row in ordered
    ]  # fmt: skip
    return Table(
        f"SVM boundaries (C = 1), and one step along them on {num} fresh samples ({images:,} images); each "
        f"interval at {confidence:.4g}",
        ("semantic", "level", "accuracy", "rank", "effect in SD", "rank", "HiGAN's measure", "rank"),
        lines,
    )


def draw(finding: Finding) -> Figure:
    """Effect against accuracy; the names in a column on the right, in the order of effects."""
    rows = sorted(finding.rows, key=lambda row: row["effect_in_deviations"])
    found = finding.figures["effect"]
    with canvas(7.5, max(4.2, 0.17 * len(rows) + 1)) as (figure, axes):
        for row in rows:
            color, ends = LEVEL_COLORS[row["level"]], [row["low"], row["high"]]
            if None not in ends:
                axes.plot([row["accuracy"]] * 2, ends, color=color, linewidth=1, alpha=0.5)
            axes.plot([row["accuracy"]], [row["effect_in_deviations"]], "o", color=color)
        left = min(0.5, *(row["accuracy"] for row in rows)) - 0.02
        names = 1 + 0.06 * (1 - left) / 0.5
        for row, place in zip(rows, _spread(rows, axes.get_ylim()), strict=True):
            color, effect = LEVEL_COLORS[row["level"]], row["effect_in_deviations"]
            axes.plot([row["accuracy"], names], [effect, place], color=LINE, linewidth=0.7, zorder=0)
            axes.text(names, place, f" {row['semantic']}", color=color, va="center", fontsize=8)
        axes.plot([left, 1], [0, 0], color=SOFT, linewidth=0.6)
        axes.set_xlim(left, names + 0.16 * (1 - left) / 0.5)
        axes.set_xticks([tick for tick in axes.get_xticks() if left <= tick <= 1.001])
        axes.set_xlabel("held-out accuracy of an SVM")
        axes.set_ylabel("effect of a step on its score (SD)")
        axes.set_title(
            f"Kendall's τ = {shown(found['tau'], '.2f')} "
            f"[{shown(found['low'], '.2f')}, {shown(found['high'], '.2f')}], p = {found['p']:.2g}"
        )
        for level, color in LEVEL_COLORS.items():
            if level in {row["level"] for row in rows}:
                axes.plot([], [], "o", color=color, label=level)
        axes.legend(loc="upper left", fontsize=8)
    return figure


def _spread(rows: list[Row], ends: tuple[float, float]) -> list[float]:
    """Where the names of rows, sorted by their effects, stand: near these, and apart from each other."""
    low, high = ends
    gap = (high - low) / max(len(rows) + 1, 24)
    places = [row["effect_in_deviations"] for row in rows]
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + gap)
    limit = high
    for index in reversed(range(len(places))):
        places[index] = min(places[index], limit)
        limit = places[index] - gap
    return places
