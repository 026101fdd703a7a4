"""Whether claims survive where they must not: shuffled scores, and layers that are broken on purpose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from higan_fast.boundaries.boundary import Boundaries, Boundary
from higan_fast.boundaries.fitting import fit_boundaries
from higan_fast.boundaries.origin import drawn_as
from higan_fast.checks import check_confidence, check_count
from higan_fast.experiments.drawing import DOWN, LINE, SOFT, UP, canvas
from higan_fast.experiments.finding import Finding, plain
from higan_fast.experiments.given import checked
from higan_fast.experiments.sabotage import Sabotaged
from higan_fast.experiments.subject import Subject, Walk
from higan_fast.generators.base import Generator
from higan_fast.probing.layers import format_layers
from higan_fast.probing.null import MOST_NULL
from higan_fast.probing.results import Verification
from higan_fast.probing.shuffled import FITTING
from higan_fast.probing.sweep_scores import Curve
from higan_fast.probing.verification import verify
from higan_fast.sampling.latents import NULL
from higan_fast.sampling.samples import Samples
from higan_fast.statistics.effects import in_deviations
from higan_fast.statistics.proportions import proportion_interval
from higan_fast.tables import Table
from higan_fast.wording import listing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A claim survives where the effect has the reported sign, and at least this part of the reported size.
SURVIVES = 0.5
GO, STAY, MAY = "must go", "must stay", "may stay"
INTACT, SHUFFLED, PERMUTED, SWAPPED = "nothing", "scores shuffled", "top layer permuted", "codes swapped"
SCRAMBLED = "channels permuted"


class Claim(NamedTuple):
    """One claim, and where to look whether it survives.

    Attributes:
        sabotage: what is broken.
        claim: what was claimed, such as "effect of its top layer".
        boundary: its name.
        layers: on which layers it is moved; None: all.
        reported: the effect that was reported, in standard deviations.
        expected: whether it must go, must stay, or may.
    """

    sabotage: str
    claim: str
    boundary: str
    layers: tuple[int, ...] | None
    reported: float
    expected: str


class Nothing(NamedTuple):
    """What became of boundaries that were fitted to shuffled scores."""

    rows: list[dict[str, Any]]
    images: int
    method: str


@checked
def falsify(
    subject: Subject,
    samples: Samples,
    boundaries: Mapping[str, Boundary],
    verification: Verification,
    *,
    num: int = 48,
    max_samples: int = 64,
    num_null: int = 16,
    confidence: float = 0.99,
) -> Finding:
    """Breaks what claims rest on, and asks whether the claims are gone.

    Shuffled scores: boundaries are fitted to shuffled scores of the samples, and verified; none may be shown.
    A permuted layer: the weights by which the top layer of a boundary reads its code are permuted; the effect
    of that layer must go. Permuted channels: what the top layer hands on has its channels in another order,
    as if the output channels of its convolution were permuted; the effect must go too. Swapped codes: the top
    layer trades codes with the layer that moves the semantic least; the effect must go from the one and
    follow to the other. What is measured without a sabotage says which claims are found again on so few
    samples.

    Args:
        subject: the networks that were probed; they stay as they are.
        samples: to which the boundaries were fitted.
        boundaries: those that were verified.
        verification: says what is claimed.
        num: fresh samples for each sabotage of a layer.
        max_samples: at most so many to verify boundaries of shuffled scores.
        num_null: random directions of each kind for that.
        confidence: of that verification, and of the shares that survive.

    Raises:
        ValueError: when an argument is out of range, or no effect is shown.
    """
    check_count("num (--num)", num, 2)
    check_count("max_samples (--max-samples)", max_samples, 4)
    check_count("num_null (--num-null)", num_null, 2, MOST_NULL)
    check_confidence(confidence)
    shown = [name for name in verification.boundary_names if verification.status(name) == "shown"]
    if not shown:
        raise ValueError(
            "falsify: no effect is shown, so that there is no claim to break; verify more samples"
        )
    nothing = _of_nothing(
        subject, samples, boundaries, verification,
        max_samples=max_samples, num_null=num_null, confidence=confidence,
    )  # fmt: skip
    images, rows, settings = nothing.images, [], {}
    for doing, generator, claims in _sabotages(subject.generator, verification, shown):
        of_it, walked = _measured(subject, generator, boundaries, claims, verification, num, doing)
        rows += of_it
        images += walked.images
        settings = walked.settings
    rows = [*(row for row in rows if row["sabotage"] == INTACT), *nothing.rows,
            *(row for row in rows if row["sabotage"] != INTACT)]  # fmt: skip
    counts = _counts(rows, confidence)
    return Finding(
        experiment="falsify",
        title="Do claims survive where they must not?",
        sentences=_sentences(rows, nothing.method, num, confidence),
        limits=(
            f"A claim counts as surviving where the mean effect over {num} samples has the reported sign and "
            "at least half the reported size: that counts claims, and proves no single one.",
            "A layer that reads its code, or hands on its channels, in another order draws other images, and "
            "what a step then does to a score may happen to be the same; other layers do as before, so that "
            "an effect of all layers may stay.",
            "It breaks scores, weights and codes; it says nothing of what the predictor mistakes.",
        ),
        table=_table(counts, num, confidence),
        rows=rows,
        images=images,
        settings={
            **settings,
            "max_samples": max_samples,
            "num_null": num_null,
            "confidence": confidence,
            "method_of_shuffled": nothing.method,
        },
        figures={"counts": counts},
    )


def _of_nothing(
    subject: Subject,
    samples: Samples,
    boundaries: Mapping[str, Boundary],
    verification: Verification,
    *,
    max_samples: int,
    num_null: int,
    confidence: float,
) -> Nothing:
    """Fits to shuffled scores as the boundaries were fitted, or by "logistic" where no scores decide them."""
    made = boundaries.settings if isinstance(boundaries, Boundaries) else {}
    method = made.get("method", "logistic")
    if method == "gradient" or "labels" in made:
        method = "logistic"
    random = np.random.default_rng((subject.seed or 0, NULL, 1))
    fitted = fit_boundaries(
        samples.with_scores(random.permuted(samples.scores, axis=0)),
        [semantic.name for semantic in samples.semantics if semantic.name in verification.boundary_names],
        method=method,
        progress=False,
        **{name: made[name] for name in FITTING if name in made},
    )
    found = verify(
        subject.generator, subject.predictor, fitted, decide="effect", null="both", confidence=confidence,
        step=float(verification.settings["step"]), step_unit=verification.settings["step_unit"],
        seed=subject.seed, truncation_psi=subject.truncation_psi,
        truncation_layers=subject.truncation_layers, label=subject.label, precision=subject.precision,
        batch_size=subject.batch_size, out=subject.out and subject.out / "shuffled",
        progress=subject.progress, max_samples=max_samples, num_null=num_null,
    )  # fmt: skip
    names = [semantic.name for semantic in found.semantics]
    effects = found.in_deviations()[:, 0]
    rows = [
        {
            "sabotage": SHUFFLED,
            "claim": "effect shown",
            "boundary": name,
            "layers": "all",
            "reported": None,
            "measured": plain(effects[row, names.index(name)]),
            "survived": found.status(name) == "shown",
            "expected": GO,
        }
        for row, name in enumerate(found.boundary_names)
    ]
    return Nothing(rows, found.images, method)


def _sabotages(
    generator: Generator, verification: Verification, shown: Sequence[str]
) -> Iterable[tuple[str, Generator, list[Claim]]]:
    """Yields what is done, a generator, and the claims that are looked for in it; first nothing is broken."""
    names = [semantic.name for semantic in verification.semantics]
    effects = verification.in_deviations()
    own = {name: effects[verification.row(name), :, names.index(name)] for name in shown}  # [1 + L]
    of_layer: dict[int, list[str]] = {}
    for name in shown:
        if verification.layers and (layer := verification.best_layer(name)) is not None:
            of_layer.setdefault(layer, []).append(name)

    def claim(sabotage: str, text: str, name: str, layer: int, at: int | None, expected: str) -> Claim:
        reported = own[name][0] if at is None else own[name][1 + layer]
        return Claim(sabotage, text, name, None if at is None else (at,), float(reported), expected)

    if generator.num_layers == 1:
        of_layer = {}
    partners = {
        layer: _weakest(layer, [own[name][1:] for name in members]) for layer, members in of_layer.items()
    }
    known = {name: layer for layer, members in of_layer.items() for name in members}
    intact = [claim(INTACT, "effect of all layers", name, 0, None, STAY) for name in shown]
    for name, layer in known.items():
        intact.append(claim(INTACT, "effect of its top layer", name, layer, layer, STAY))
        intact.append(claim(INTACT, "effect of the other layer", name, layer, partners[layer], GO))
    yield "moving what was shown", generator, intact
    for layer, members in sorted(of_layer.items()):
        other = partners[layer]
        broken = [claim(PERMUTED, "effect of all layers", name, layer, None, MAY) for name in members]
        broken += [claim(PERMUTED, "effect of its top layer", name, layer, layer, GO) for name in members]
        yield f"layer {layer} permuted", Sabotaged.permuted(generator, layer), broken
        if layer < generator.num_layers - 1:  # behind the last one nothing reads channels
            gone = [claim(SCRAMBLED, "effect of its top layer", name, layer, layer, GO) for name in members]
            yield f"channels of layer {layer} permuted", Sabotaged.scrambled(generator, layer), gone
        traded = [claim(SWAPPED, "effect of its top layer", name, layer, layer, GO) for name in members]
        traded += [claim(SWAPPED, "effect of the other layer", name, layer, other, STAY) for name in members]
        yield (
            f"codes of layers {layer} and {other} swapped",
            Sabotaged.swapped(generator, layer, other),
            traded,
        )


def _weakest(layer: int, profiles: Sequence[Any]) -> int:
    """The layer that moves these semantics least, as far as that was measured; another than ``layer``."""
    sizes = np.nan_to_num(np.abs(profiles).sum(axis=0), nan=np.inf)
    return min((other for other in range(len(sizes)) if other != layer), key=lambda other: sizes[other])


def _measured(
    subject: Subject,
    generator: Generator,
    boundaries: Mapping[str, Boundary],
    claims: Sequence[Claim],
    verification: Verification,
    num: int,
    doing: str,
) -> tuple[list[dict[str, Any]], Walk]:
    """What became of each claim; effects are in the unit of the verification."""
    drawn = drawn_as(
        [boundaries[claim.boundary] for claim in claims], seed=subject.seed, label=subject.label,
        truncation_psi=subject.truncation_psi, truncation_layers=subject.truncation_layers,
    )  # fmt: skip
    curves = [Curve(_of_it(generator, boundaries[claim.boundary]), claim.layers) for claim in claims]
    step, unit = float(verification.settings["step"]), verification.settings["step_unit"]
    walk = replace(subject, generator=generator, **drawn._asdict()).walk(
        curves, (step, -step), num=num, step_unit=unit, doing=doing
    )
    effects = (walk.moved[:, :, 0] - walk.moved[:, :, 1]).mean(axis=0) / 2  # [C, S]
    rows = []
    for place, claim in enumerate(claims):
        column = walk.column(claim.boundary)
        measured = float(in_deviations(effects[place], verification.deviation)[column])
        survived = measured * np.sign(claim.reported) >= SURVIVES * abs(claim.reported)
        rows.append(
            {
                "sabotage": claim.sabotage,
                "claim": claim.claim,
                "boundary": claim.boundary,
                "layers": "all" if claim.layers is None else format_layers(claim.layers),
                "reported": plain(claim.reported),
                "measured": plain(measured),
                "survived": bool(survived),
                "expected": claim.expected,
            }
        )
    return rows, walk


def _of_it(generator: Generator, boundary: Boundary) -> Boundary:
    """The boundary as it moves what the layers read; it no longer says of which generator it is."""
    if not isinstance(generator, Sabotaged):
        return boundary
    boundary = replace(boundary, origin=None)
    if boundary.space != "layers":
        return boundary
    reads = generator.reads.tolist()
    lengths = boundary.code_deviations
    return replace(
        boundary,
        normal=boundary.normal[reads],
        code_deviations=tuple(lengths[layer] for layer in reads) if lengths and len(lengths) > 1 else lengths,
    )


def _counts(rows: Sequence[Mapping[str, Any]], confidence: float) -> list[dict[str, Any]]:
    """How many claims of each kind survived, with an exact interval."""
    counts = []
    for kind in dict.fromkeys((row["sabotage"], row["claim"], row["expected"]) for row in rows):
        members = [row for row in rows if (row["sabotage"], row["claim"], row["expected"]) == kind]
        survived, of = sum(row["survived"] for row in members), len(members)
        low, high = proportion_interval(survived / of, of, confidence)
        counts.append(
            dict(zip(("sabotage", "claim", "expected"), kind, strict=True))
            | {"survived": survived, "of": of, "low": low, "high": high}
        )
    return counts


def _sentences(rows: Sequence[Mapping[str, Any]], method: str, num: int, confidence: float) -> list[str]:
    """The most important first: what survived of what must go."""

    def those(expected: str, *sabotages: str) -> list[Mapping[str, Any]]:
        return [row for row in rows if row["expected"] == expected and row["sabotage"] in sabotages]

    broken = those(GO, SHUFFLED, PERMUTED, SCRAMBLED, SWAPPED)
    left = [row for row in broken if row["survived"]]
    low, high = proportion_interval(len(left) / len(broken), len(broken), confidence)
    names = [f"{row['boundary']} ({row['sabotage']})" for row in left]
    shuffled = those(GO, SHUFFLED)
    lucky = sum(row["survived"] for row in shuffled)
    count = f"{len(left)} survived ({100 * low:.2g} to {100 * high:.2g} % at {100 * confidence:g} %)"
    were = "was" if lucky == 1 else "were"
    text = [
        f"Of {len(broken)} claims that must go when the scores, weights or codes they rest on are "
        f"broken, {count}{': ' + listing(names) if names else ''}.",
        f"Of {len(shuffled)} boundaries fitted to shuffled scores ({method}) {lucky} {were} shown; "
        f"in {100 * (1 - confidence):.2g} % of runs one may be.",
    ]
    if followed := those(STAY, SWAPPED):
        there = sum(row["survived"] for row in followed)
        text.append(
            f"Where the top layer traded its code with another, {there} of {len(followed)} effects followed "
            "to that layer."
        )
    intact = those(STAY, INTACT)
    again = sum(row["survived"] for row in intact)
    text.append(
        f"With nothing broken, {again} of {len(intact)} effects were found again on {num} fresh samples."
    )
    return text


def _table(counts: Sequence[Mapping[str, Any]], num: int, confidence: float) -> Table:
    rows = [
        (
            row["sabotage"],
            row["claim"],
            row["expected"],
            f"{row['survived']} of {row['of']}",
            f"{100 * row['low']:.2g} to {100 * row['high']:.3g} %",
        )
        for row in counts
    ]
    head = ("what is broken", "claim", "expected", "survived", f"at {100 * confidence:g} %")
    return Table(f"Claims under sabotage, on {num} fresh samples each", head, rows)


def draw(finding: Finding) -> Figure:
    """The share of claims that survived, with intervals: brown must go, blue must stay."""
    counts = finding.figures["counts"]
    with canvas(7.5, 1.0 + 0.36 * len(counts)) as (figure, axes):
        for place, row in enumerate(counts):
            color = {GO: DOWN, STAY: UP}.get(row["expected"], SOFT)
            share = row["survived"] / row["of"]
            axes.plot([row["low"], row["high"]], [place, place], color=color, linewidth=1.6)
            axes.plot([share], [place], "o", color=color, markersize=5)
            axes.text(1.03, place, f"{row['survived']} of {row['of']}", va="center", color=color, fontsize=8)
        labels = [f"{row['sabotage']} broken: {row['claim']}".replace("d broken", "d") for row in counts]
        axes.set_yticks(range(len(counts)), labels)
        axes.set_ylim(len(counts) - 0.5, -0.5)
        axes.set_xlim(-0.02, 1.15)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.grid(axis="x", color=LINE, linewidth=0.6)
        axes.set_title("Share of claims that survived: brown must go, blue must stay, grey may")
    return figure
