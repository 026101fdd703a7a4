"""Style mixing: layer codes of one sample in another, as a picture, and what they change in scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundary
from higan_fast.checks import check_confidence, check_count
from higan_fast.experiments.drawing import canvas, cells
from higan_fast.experiments.finding import Finding, plain, with_interval
from higan_fast.experiments.given import checked
from higan_fast.experiments.hierarchy import groups_of
from higan_fast.experiments.intervals import interval
from higan_fast.experiments.subject import Mixed, Subject
from higan_fast.pictures import check_picture_name, labelled_grid, save_picture
from higan_fast.predictors.base import LEVELS
from higan_fast.probing.layers import format_layers, layers_in_words, parse_layers
from higan_fast.probing.wide import too_wide_in_words
from higan_fast.statistics.effects import in_deviations
from higan_fast.statistics.student import DISTINCT
from higan_fast.tables import Table, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Groups = Mapping[str, tuple[int, ...]]

LIMITS = (
    "Another sample's codes replace all that the codes of a group decide together. What changes is no "
    "direction, and a level that changes may have no boundary that moves it.",
    "Groups differ in how many layers they have, and a level is what the scorer knows of it.",
)


@checked
def mix(
    subject: Subject,
    boundaries: Mapping[str, Boundary],
    *,
    layers: str | None = None,
    group: str | None = None,
    sources: int = 4,
    targets: int = 6,
    samples: Sequence[int] | None = None,
    num: int = 96,
    confidence: float = 0.99,
    picture: Path | None = None,
) -> Finding:
    """Gives samples the codes of others on one group of layers at a time, and scores what changes.

    Besides draws a grid: in each row the codes of one source on the chosen layers, in each column the other
    codes of one target.

    Args:
        subject: the networks that were probed.
        boundaries: say how samples are drawn, and the standard deviations of scores.
        layers: those of the grid, such as "0-3".
        group: in place of ``layers`` a group; None, both: lower, or the first where there is none.
        sources: rows of the grid.
        targets: columns of the grid.
        samples: fresh samples of the grid: the first ``sources`` are its sources, the others its targets;
            None: the first ones.
        num: pairs of fresh samples, at least 24; each takes an image, and one for every group.
        confidence: of each interval, and of all claims together.
        picture: file that gets the grid too.

    Raises:
        ValueError: when an argument is out of range, the generator has one group of layers, or no score
            varies.
    """
    check_count("num (--num)", num, DISTINCT)
    check_confidence(confidence)
    if picture is not None:
        check_picture_name(picture)
    groups = groups_of(subject.generator.layers)
    if len(groups) < 2:
        raise ValueError("mix: got a generator with one group of layers, which has nothing to mix")
    chosen = _chosen(layers, group, groups, subject.generator.num_layers)
    rows_of_grid, columns = _grid_samples(sources, targets, samples)
    like = [boundaries[name] for name in boundaries]
    mixed = subject.mix(like, list(groups.values()), num=num)
    rows, sentences = _rows(mixed, groups, confidence)
    return Finding(
        experiment="mix",
        title="What mixing layer codes changes",
        sentences=sentences,
        limits=LIMITS,
        table=_table(rows, groups),
        rows=rows,
        images=num * (1 + len(groups)) + (1 + len(rows_of_grid)) * (1 + len(columns)) - 1,
        settings=mixed.settings | {"confidence": confidence, "layers": format_layers(chosen)},
        figures={"groups": {name: format_layers(members) for name, members in groups.items()}},
        pictures=_save_grid(subject, like, chosen, rows_of_grid, columns, picture),
    )


def _chosen(layers: str | None, group: str | None, groups: Groups, num_layers: int) -> tuple[int, ...]:
    """The layers of the grid."""
    if layers is not None and group is not None:
        raise ValueError("--layers, --group: got both, expected one of them")
    if layers is not None:
        return parse_layers(layers, num_layers)
    if group is None:
        group = "lower" if "lower" in groups else next(iter(groups))
    if group not in groups:
        raise ValueError(f"group (--group): got {group!r}, expected one of {', '.join(groups)}")
    return groups[group]


def _grid_samples(
    sources: int, targets: int, samples: Sequence[int] | None
) -> tuple[Sequence[int], Sequence[int]]:
    check_count("sources (--sources)", sources, 1)
    check_count("targets (--targets)", targets, 1)
    some = range(sources + targets) if samples is None else samples
    if len(some) <= sources:
        raise ValueError(
            f"samples (--samples): got {len(some)}, expected more than {sources}: the first {sources} are "
            "sources (--sources), the others targets"
        )
    return some[:sources], some[sources:]


def _rows(mixed: Mixed, groups: Groups, confidence: float) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each level and group; and which group surely changes a level most."""
    changes = np.abs(in_deviations(mixed.mixed - mixed.base[:, None], mixed.deviation))  # [N, G, S]
    varies = mixed.deviation > 0
    widths = mixed.ranges[:, 1] - mixed.ranges[:, 0]
    of_level = {
        level: [
            column for column, semantic in enumerate(mixed.semantics)
            if semantic.level == level and varies[column]
        ]
        for level in LEVELS
    }  # fmt: skip
    of_level = {level: columns for level, columns in of_level.items() if columns}
    if not of_level:
        raise ValueError("mix: no score varies over these samples, so nothing can be said to change")
    rows, sentences = [], []
    claims = len(of_level) * (len(groups) - 1)  # whichever group is the largest by chance
    for level, columns in of_level.items():
        values = changes[:, :, columns].mean(axis=2)
        reach = float((widths[columns] / mixed.deviation[columns]).mean())
        mean, low, high = interval(values, reach, confidence)
        for place, (group, layers) in enumerate(groups.items()):
            rows.append(
                {
                    "level": level,
                    "group": group,
                    "layers": format_layers(layers),
                    "change_in_deviations": plain(mean[place]),
                    "low": plain(max(low[place], 0.0)),
                    "high": plain(high[place]),
                    "semantics": len(columns),
                    "pairs": len(values),
                }
            )
        best = int(mean.argmax())
        beyond = np.delete(values[:, best : best + 1] - values, best, axis=1)
        _, least, _ = interval(beyond, reach, 1 - (1 - confidence) / claims)
        group = list(groups)[best]
        sure = "surely change" if (least > 0).all() else "seem to change, and not surely,"
        sentences.append(
            f"{level}: codes of another sample on the {group} layers ({format_layers(groups[group])}) {sure} "
            f"it most, by {shown(float(mean[best]), '.2f')} SD of its {len(columns)} "
            f"semantic{'s' * (len(columns) > 1)} on average."
        )
    reach_of = {
        mixed.semantics[column].name: float(widths[column] / mixed.deviation[column])
        for columns in of_level.values() for column in columns
    }  # fmt: skip
    return rows, sentences + too_wide_in_words(reach_of, len(mixed.base), confidence)


def _table(rows: list[dict[str, Any]], groups: Groups) -> Table:
    lines: dict[str, list[str]] = {}
    for row in rows:
        name = f"{row['level']}, mean of {row['semantics']}"
        lines.setdefault(name, []).append(with_interval(row, "change_in_deviations"))
    return Table(
        "Mean |change| of scores with another sample's codes on a group of layers, in standard deviations",
        ("", *(f"{group} {format_layers(layers)}" for group, layers in groups.items())),
        [(name, *texts) for name, texts in lines.items()],
    )


def _save_grid(
    subject: Subject,
    like: Sequence[Boundary],
    layers: tuple[int, ...],
    sources: Sequence[int],
    targets: Sequence[int],
    file: Path | None,
) -> dict[str, str]:
    """Draws the grid; returns where it is, from the folder of findings; nothing where nothing is kept."""
    if subject.out is None and file is None:
        return {}
    grid = subject.mixed_images(like, layers, sources, targets)
    picture = labelled_grid(
        grid,
        ["", *(f"source {index}" for index in sources)],
        ["as it is", *(f"target {index}" for index in targets)],
        f"Codes of {layers_in_words(format_layers(layers))} of sources",
    )
    if file is not None:
        save_picture(file, picture)
    if subject.out is None:
        return {}
    subject.out.mkdir(parents=True, exist_ok=True)
    save_picture(subject.out / "grid.png", picture)
    return {
        f"{subject.out.name}/grid.png": "Targets with the codes of sources on "
        f"{layers_in_words(format_layers(layers))}; the first row and column show both as they are"
    }


def draw(finding: Finding) -> Figure:
    """The mean change of each level by each group, as a matrix."""
    groups = finding.figures["groups"]
    levels = list(dict.fromkeys(row["level"] for row in finding.rows))
    values = np.array([row["change_in_deviations"] for row in finding.rows], np.float64)
    values = values.reshape(len(levels), len(groups))
    lines = [with_interval(row, "change_in_deviations").replace(" ", "\n", 1) for row in finding.rows]
    with canvas(6.5, 1.1 + 0.55 * len(levels)) as (figure, axes):
        labels = [f"{group}\n{layers_in_words(layers)}" for group, layers in groups.items()]
        texts = np.array(lines).reshape(values.shape)
        cells(axes, values, levels, labels, texts, max(float(values.max()), 1e-9))
        axes.set_title("Mean |change| of scores with another sample's codes (SD)")
    return figure
