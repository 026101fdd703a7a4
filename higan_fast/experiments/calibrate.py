"""Whether the claims of a probe are true: generators whose truth is known exactly are probed, many times."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from higan_fast.checks import check_count
from higan_fast.experiments.drawing import DOWN, LINE, SOFT, UP, canvas
from higan_fast.experiments.finding import Finding
from higan_fast.experiments.simulated_probe import SIZE, STEP, Scorer, kept_probe
from higan_fast.files import only_writer, remove_leftovers
from higan_fast.probing.side_effects import SMALL
from higan_fast.progress import progress as show_progress
from higan_fast.scenes.simulated import NAMES
from higan_fast.statistics.hierarchy import ESTABLISHED
from higan_fast.statistics.proportions import proportion_interval
from higan_fast.tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVEL = round(1 - SIZE["confidence"], 6)  # of false claims, which the probe promises to keep
BINS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5)  # of true effects, in SD
COLORS: dict[Scorer, str] = {"labels": UP, "pictures": DOWN}
READERS: dict[Scorer, str] = {"labels": "labels read without error", "pictures": "rendered rooms"}
NOTHING = {
    "shuffled": "fitted to shuffled scores",
    "blind": "of factors that no direction moves",
    "sofa": "of sofa, which a step lowers both ways",
}

Record = Mapping[str, Any]


class Case(NamedTuple):
    """One thing that a probe may claim."""

    claimed: bool
    wrong: bool  # whether the claim, if it is made, is false
    real: bool  # whether it is true, and by enough to count for the power: 0.25 standard deviations


def calibrate(
    *, probes: int = 60, pictures: int = 10, out: Path | None = None, progress: bool = True
) -> Finding:
    """Probes simulated generators, and counts how many claims are false and how many truths are found.

    A simulated generator maps Gaussian latents linearly to codes of 64 numbers, and its four layers decide
    the factors of a room, in part and linearly, and two by chance alone. What a step moves is therefore known
    in closed form (``scenes.simulated``). Each probe samples, fits and verifies as any other, at reduced
    size.

    Args:
        probes: how many, with the labels of rooms read without error: what is false then is the probe's.
        pictures: how many, with rooms rendered at 12 × 12 pixels and read by a regression that errs: what is
            false then is the probe's or the reader's.
        out: folder that keeps every probe; None: nothing is kept.
        progress: whether to show it.

    Raises:
        ValueError: when a count is below 1 (``pictures``: below 0).
        RuntimeError: when another process is writing to ``out``.
    """
    check_count("probes (--probes)", probes)
    check_count("pictures (--pictures)", pictures, 0)
    asked: dict[Scorer, int] = {"labels": probes, "pictures": pictures}
    records: dict[Scorer, list[Record]] = {}
    threads = torch.get_num_threads()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) if out is None else out
        stack.enter_context(only_writer(folder))
        remove_leftovers(folder)
        torch.set_num_threads(1)  # its tensors are small
        stack.callback(torch.set_num_threads, threads)
        for scorer, num in asked.items():
            doing = f"probing simulated generators, {READERS[scorer]}"
            with show_progress(doing, num, unit="probes", enabled=progress) as advance:
                records[scorer] = []
                for number in range(num):
                    records[scorer].append(kept_probe(folder, number, scorer))
                    advance(1)
    return counted({scorer: found for scorer, found in records.items() if found})


def counted(records: Mapping[Scorer, Sequence[Record]]) -> Finding:
    """Returns what simulated probes say of the claims of a probe."""
    rows = [
        _row(scorer, claim, found, cases)
        for scorer, found in records.items()
        for claim, cases in CLAIMS.items()
        if scorer == "labels" or claim != "interval"  # those of pictures are of other scores
    ]
    curves = [row for scorer, found in records.items() for row in _curve(scorer, found)]
    sentences = [text for scorer in records for text in _sentences(scorer, rows, curves)]
    return Finding(
        experiment="calibrate",
        title="Are the claims of a probe true?",
        sentences=sentences,
        limits=(
            "The codes of simulated generators are Gaussian, and their factors follow them linearly, up to "
            "noise; a trained generator bends. This shows whether the tests keep their level, and what they "
            "find at this size, not whether a scorer sees what its semantics are named for.",
            "An effect counts as there where it is above 0: that it beats random directions is tested by "
            "boundaries of nothing alone.",
            f"Each probe fits to {SIZE['num']} samples and verifies on {SIZE['max_samples']} at most: larger "
            "ones find more. Intervals of shares take boundaries of one probe as independent of each other.",
        ),
        table=_table(rows),
        rows=[*rows, *curves],
        images=sum(record["images"] for found in records.values() for record in found),
        settings={**SIZE, "step": STEP, **{scorer: len(found) for scorer, found in records.items()}},
    )


def _shown(record: Record) -> Iterable[Case]:
    for each in record["boundaries"]:
        moved, true = each["kind"] == "moved", each["true"][0]
        yield Case(each["status"] == "shown", not moved or true <= 0, moved and true >= SMALL)


def _shown_of_nothing(kind: str) -> Callable[[Record], Iterable[Case]]:
    def cases(record: Record) -> Iterable[Case]:
        for each in record["boundaries"]:
            if each["kind"] == kind:
                yield Case(each["status"] == "shown", True, False)

    return cases


def _top_layers(record: Record) -> Iterable[Case]:
    for each in record["boundaries"]:
        wrong = each["top"] != each["true_top"] or not any(each["true"][1:])
        yield Case(each["top"] >= 0, wrong, each["kind"] == "moved" and each["true"][0] >= SMALL)


def _layers(record: Record) -> Iterable[Case]:
    for each in record["boundaries"]:
        for sign, true in zip(each["layers"], each["true"][1:], strict=True):
            yield _signed(sign, true, each["kind"] == "moved" and abs(true) >= SMALL)


def _side_effects(record: Record) -> Iterable[Case]:
    for each in record["boundaries"]:
        for name, sign, true in zip(NAMES, each["moves"], each["true_others"], strict=True):
            if name != each["name"]:
                yield _signed(sign, true, each["status"] == "shown" and abs(true) >= SMALL)


def _even_parts(record: Record) -> Iterable[Case]:
    for each in record["boundaries"]:
        for sign, true in zip(each["even"], each["true_even"], strict=True):
            yield _signed(sign, true, abs(true) >= SMALL)


def _order(record: Record) -> Iterable[Case]:
    claimed = record["trend"] is not None and record["trend"] <= ESTABLISHED
    yield Case(claimed, not record["ordered"], record["ordered"])


def _intervals(record: Record) -> Iterable[Case]:
    for each in record["boundaries"]:
        for low, high, true in zip(each["low"], each["high"], each["true"], strict=True):
            if low is not None and high is not None:
                yield Case(True, not low - 1e-5 <= true <= high + 1e-5, False)


def _signed(sign: int, true: float, real: bool) -> Case:
    return Case(sign != 0, sign * true <= 0, real)


CLAIMS: dict[str, Callable[[Record], Iterable[Case]]] = {
    "effect shown": _shown,
    **{f"effect shown, boundary {words}": _shown_of_nothing(kind) for kind, words in NOTHING.items()},
    "top layer": _top_layers,
    "a layer alone moves it": _layers,
    "side effect": _side_effects,
    "even part": _even_parts,
    "order of levels": _order,
    "interval": _intervals,
}


def _row(
    scorer: str, claim: str, records: Sequence[Record], cases: Callable[[Record], Iterable[Case]]
) -> dict[str, Any]:
    """Counts of one claim, over all probes."""
    of_probes = [list(cases(record)) for record in records]
    flat = [case for of_probe in of_probes for case in of_probe]
    claims = sum(case.claimed for case in flat)
    false = sum(case.claimed and case.wrong for case in flat)
    erring = sum(any(case.claimed and case.wrong for case in of_probe) for of_probe in of_probes)
    real = sum(case.real for case in flat)
    found = sum(case.real and case.claimed and not case.wrong for case in flat)
    return {
        "scorer": scorer,
        "claim": claim,
        "true_effect": None,
        "probes": len(records),
        "cases": len(flat),
        "claims": claims,
        "false": false,
        **_share("false_of_claims", false, claims),
        "erring_probes": erring,
        **_share("erring", erring, len(records)),
        "real": real,
        "found": found,
        **_share("power", found, real),
    }


def _curve(scorer: str, records: Sequence[Record]) -> list[dict[str, Any]]:
    """Power by the size of the true effect."""
    rows = []
    moved = [each for record in records for each in record["boundaries"] if each["kind"] == "moved"]
    for low, high in pairwise(BINS):
        here = [each for each in moved if low < each["true"][0] <= high]
        for claim, found in (
            ("effect shown", sum(each["status"] == "shown" for each in here)),
            ("top layer", sum(each["top"] == each["true_top"] for each in here)),
        ):
            empty = dict.fromkeys(_row(scorer, claim, [], lambda record: ()))
            rows.append(
                empty
                | {"scorer": scorer, "claim": claim, "true_effect": f"{low:g} to {high:g}"}
                | {"probes": len(records), "real": len(here), "found": found}
                | _share("power", found, len(here))
            )
    return rows


def _share(name: str, count: int, num: int) -> dict[str, float | None]:
    low, high = proportion_interval(count / num, num, 1 - LEVEL) if num else (None, None)
    return {name: count / num if num else None, f"{name}_low": low, f"{name}_high": high}


def _percent(row: Mapping[str, Any], name: str) -> str:
    """``"0.3 % [0.1, 0.9]"``, an exact interval at the confidence of the probes."""
    if row[name] is None:
        return "–"
    return f"{100 * row[name]:.3g} % [{100 * row[f'{name}_low']:.2g}, {100 * row[f'{name}_high']:.3g}]"


def _sentences(scorer: Scorer, rows: list[dict[str, Any]], curves: list[dict[str, Any]]) -> list[str]:
    of = {row["claim"]: row for row in rows if row["scorer"] == scorer}
    shown, top, side, order = (
        of[name] for name in ("effect shown", "top layer", "side effect", "order of levels")
    )
    nothing = [of[f"effect shown, boundary {words}"] for words in NOTHING.values()]
    cases, claimed = sum(row["cases"] for row in nothing), sum(row["claims"] for row in nothing)
    probes = f"{shown['probes']:,} probe{'s' * (shown['probes'] != 1)}"
    text = [
        f"With {READERS[scorer]}, {probes}: {_percent(shown, 'erring')} claimed an effect "
        f"that is not there, and {_percent(top, 'erring')} named a wrong top layer; the level is "
        f"{100 * LEVEL:g} % of probes for both together. Of {cases:,} boundaries of nothing {claimed:,} "
        f"{'was' if claimed == 1 else 'were'} shown.",
        f"Of effects of {SMALL} SD or more, {_percent(shown, 'power')} were shown, and the top layer was "
        f"named for {_percent(top, 'power')}.",
        f"Of {side['claims']:,} claimed side effects {side['false']:,} were on a semantic that does not "
        f"move or moves the other way, in {_percent(side, 'erring')} of probes; of those of {SMALL} SD or "
        f"more along shown boundaries {_percent(side, 'power')} were found.",
    ]
    if order["real"]:
        scattered = order["probes"] - order["real"]
        text.append(
            f"HiGAN's order of levels was found at p ≤ {ESTABLISHED} in {_percent(order, 'power')} of the "
            f"generators that have it, and in {order['false']:,} of {scattered:,} that do not."
        )
    if (interval := of.get("interval")) is not None:
        text.append(
            f"{_percent(interval, 'false_of_claims')} of {interval['claims']:,} intervals at "
            f"{100 * (1 - LEVEL):g} % miss the true effect."
        )
    return text


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    cells = [
        (
            READERS[row["scorer"]],
            row["claim"],
            f"{row['claims']:,} of {row['cases']:,}",
            f"{row['false']:,}",
            _percent(row, "erring"),
            _percent(row, "power"),
        )
        for row in rows
    ]
    head = ("scorer", "claim", "claimed", "false", "probes with a false one", f"found, of ≥ {SMALL} SD")
    return Table(
        f"Claims of simulated probes against the truth; stated level {100 * LEVEL:g} % of probes",
        head,
        cells,
        (
            f"In brackets: exact intervals of shares, at {100 * (1 - LEVEL):g} % as those of effects, which "
            "count one by one.",
        ),
    )


def draw(finding: Finding) -> Figure:
    """Power by true effect on the left; on the right how many probes made a false claim, beside the level."""
    with canvas(9.5, 3.6, columns=2, width_ratios=(1.15, 1)) as (figure, (left, right)):
        for scorer, color in COLORS.items():
            _draw_power(left, finding, scorer, color)
        left.set(xlabel="true effect of a step (SD of the score)", xlim=(0, BINS[-1]), ylim=(-0.02, 1.02))
        left.set_title("Share that was found")
        left.legend(fontsize=7, loc="upper left")
        claims = [claim for claim in CLAIMS if "," not in claim and claim != "interval"]
        right.axvline(100 * LEVEL, color=SOFT, linewidth=0.8, linestyle="--")
        for row in finding.rows:
            if row["true_effect"] is None and row["claim"] in claims:
                shift = 0.14 if row["scorer"] == "pictures" else -0.14
                place, color = claims.index(row["claim"]) + shift, COLORS[row["scorer"]]
                ends = [100 * row["erring_low"], 100 * row["erring_high"]]
                right.plot(ends, [place] * 2, color=color, linewidth=1.5)
                right.plot([100 * row["erring"]], [place], "o", color=color, markersize=4)
        right.set_yticks(range(len(claims)), claims)
        right.set_ylim(len(claims) - 0.5, -0.5)
        right.set_xlim(left=0)
        right.grid(axis="x", color=LINE, linewidth=0.6)
        right.set_xlabel(f"% of probes (dashed: the level, {100 * LEVEL:g} %)")
        right.set_title("Probes with a false claim of this kind")
    return figure


def _draw_power(axes: Axes, finding: Finding, scorer: Scorer, color: str) -> None:
    """Which share of effects was shown, and of how many the top layer was named, by their true sizes."""
    for claim, line in (("effect shown", "-"), ("top layer", ":")):
        curve = [
            row
            for row in finding.rows
            if row["true_effect"] and row["scorer"] == scorer and row["claim"] == claim and row["real"]
        ]
        if curve:
            places = [sum(map(float, row["true_effect"].split(" to "))) / 2 for row in curve]
            label = f"{claim}, {READERS[scorer]}"
            shares = [row["power"] for row in curve]
            axes.plot(places, shares, line, color=color, marker="o", markersize=3, label=label)
            low, high = ([row[f"power_{end}"] for row in curve] for end in ("low", "high"))
            axes.fill_between(places, low, high, color=color, alpha=0.12, linewidth=0)
