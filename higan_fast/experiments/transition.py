"""Category transition: from a bed to a table along their boundaries, where it flips, and all pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from higan_fast.boundaries.boundary import Boundary
from higan_fast.checks import check_confidence, check_count, check_number
from higan_fast.experiments.finding import Finding
from higan_fast.experiments.given import checked
from higan_fast.experiments.subject import Subject
from higan_fast.experiments.transition_figure import draw, save_pictures
from higan_fast.experiments.transition_walk import LEAST, Rule, Seen, walk_between
from higan_fast.experiments.transition_words import pair_told, pairs_told, passing_of, rows_of, table_of
from higan_fast.probing.layers import format_layers, layers_in_words, parse_layers
from higan_fast.probing.results import Verification
from higan_fast.wording import listing

__all__ = ["draw", "transition"]

Pair = tuple[str, str]

STEPS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
MOST_CLASSES = 8  # of all pairs, unless they are named
NUM_OF_ONE, NUM_OF_EACH = 128, 64
LIMITS = (
    "Samples are chosen by what the scorer sees in them as they are, and the shares hold for such samples "
    "alone. Each is compared with itself, unmoved, so that nothing regresses to a mean; how much any move of "
    "this length undoes what was chosen, the random directions show. These are few, and the comparison holds "
    "for those that were drawn.",
    "A class is what the scorer sees. It says nothing of the picture, or of what else has changed in it.",
)


@checked
def transition(
    subject: Subject,
    boundaries: Mapping[str, Boundary],
    verification: Verification,
    source: str | None = None,
    target: str | None = None,
    *,
    semantics: Sequence[str] | None = None,
    layers: str = "all",
    steps: Sequence[float] = STEPS,
    num: int | None = None,
    most: int = 2048,
    threshold: float | None = None,
    largest: bool = False,
    confidence: float = 0.99,
) -> Finding:
    """Moves samples that have one class and not another back along its boundary and forth along the other's.

    The direction is the difference of both normals, as long as one. The same samples move along random
    directions of that length. A sample flips where it has the second class and no longer the first.

    Args:
        subject: the networks that were probed.
        boundaries: those that were verified.
        verification: says how long a step is, which effects are shown and which layers act.
        source: the class that samples have; None, as for ``target``: all ordered pairs of classes.
        target: the class that they lack.
        semantics: the classes of all pairs; None: the objects whose effect is shown, the strongest eight.
        layers: which move, such as "1-3"; "all"; "own": those on which the effect of the second is shown.
        steps: how far, above 0.
        num: samples of each pair; None: 128 of one pair, 64 of each of several. Each takes an image for every
            step and direction: that of the pair and four random ones, of several pairs two.
        most: samples are looked for among so many.
        threshold: from which score on a sample has a class; None: the middle of what the score can be.
        largest: a sample has the one of the classes whose score is the largest, as where they exclude each
            other (a softmax).
        confidence: of each interval, and of all claims together.

    Raises:
        ValueError: when an argument is out of range, there are fewer than two classes, the boundaries of two
            are the same, or too few samples fit.
    """
    walked = _check(steps, num, most, threshold, largest, confidence)
    pairs = _pairs(boundaries, verification, source, target, semantics)
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    rule = Rule.of(subject.predictor, names, threshold, largest)
    single, unit = source is not None, verification.settings["step_unit"]
    num = num or (NUM_OF_ONE if single else NUM_OF_EACH)
    moved = {pair: _layers(layers, verification, boundaries[pair[1]]) for pair in pairs}
    if not any(moved.values()):
        raise ValueError(
            f"layers (--layers): got 'own', and no layer alone has a shown effect on {pairs[0][1]!r}; name "
            "layers, or leave it out"
        )
    seen: dict[Pair, Seen] = {}
    for pair, on in moved.items():
        if on is None:
            continue
        here, there = (boundaries[name] for name in pair)
        every = there.space == "z" or len(on) == len(verification.layers)
        found = walk_between(
            subject, here, there, rule, walked, layers=None if every else on, num=num, most=most,
            num_random=2 if single else 1, step_unit=unit, confidence=1 - (1 - confidence) / len(pairs),
        )  # fmt: skip
        if found is not None:
            seen[pair] = found
    if not seen:
        first, second = pairs[0]
        raise ValueError(
            f"transition: fewer than {LEAST} of the first {most:,} samples have {first!r} and not "
            f"{second!r}{'' if single else ', and so on for every pair'}, where {rule.in_words()}; take a "
            f"larger --most{'' if largest else ', another --threshold, or --by largest'}"
        )
    # Beside what moves all layers, and not in its place.
    apart = "" if layers == "all" else f"layers {layers}"
    where = _where(layers, moved, seen)
    told = pair_told if single else pairs_told
    kept = next(iter(seen.values())).walk.settings
    thresholds = None if rule.thresholds is None else dict(zip(names, rule.thresholds, strict=True))
    return Finding(
        experiment="transition",
        of=" ".join(filter(None, [f"{source}-to-{target}" if single else "", apart])),
        title=(f"From {source} to {target}" if single else "Transitions between categories")
        + (f", {where}" if apart else ""),
        sentences=told(seen, pairs, verification, rule, confidence),
        limits=LIMITS,
        table=table_of(seen, where, confidence),
        rows=[row for pair, found in seen.items() for row in rows_of(pair, found, confidence)],
        images=sum(found.walk.images + found.drawn for found in seen.values()),
        settings=kept
        | {"layers": layers, "num": num, "most": most, "confidence": confidence, "thresholds": thresholds},
        figures={
            "on": where,
            "unit": unit,
            "levels": {name: boundaries[name].level for name in names},
            "changes": [
                {
                    "from": first,
                    "to": second,
                    "more_than_random": found.more,
                    "passing": passing_of(found, confidence),
                    **found.change._asdict(),
                }
                for (first, second), found in seen.items()
            ],
        },
        pictures=save_pictures(subject, seen, walked, unit, where, single),
    )


def _where(layers: str, moved: Mapping[Pair, tuple[int, ...] | None], seen: Mapping[Pair, Seen]) -> str:
    """Which layers moved, in words; of its own, those of each class that was walked to."""
    if layers != "own":
        return "all layers" if layers == "all" else layers_in_words(layers)
    of_each = {pair[1]: layers_in_words(format_layers(moved[pair] or ())) for pair in seen}
    if len(set(of_each.values())) == 1:
        return f"{next(iter(of_each.values()))}, where {listing(list(of_each))} acts alone"
    return f"the layers where the second acts alone ({'; '.join(f'{a}: {b}' for a, b in of_each.items())})"


def _check(
    steps: Sequence[float],
    num: int | None,
    most: int,
    threshold: float | None,
    largest: bool,
    confidence: float,
) -> list[float]:
    """Raises ValueError for arguments out of range; returns the steps, ascending."""
    walked = sorted({float(step) for step in steps if step})
    if not walked or walked[0] < 0:
        got = ", ".join(f"{step:g}" for step in steps) or "none"
        raise ValueError(f"steps (--steps): got {got}, expected steps above 0, such as 1,2,3")
    for step in walked:
        check_number("steps (--steps)", step, "finite numbers above 0")
    if num is not None:
        check_count("num (--num)", num, LEAST)
    check_count("most (--most)", most, num or LEAST)
    if threshold is not None:
        check_number("threshold (--threshold)", threshold, "a finite number")
    if threshold is not None and largest:
        raise ValueError("threshold (--threshold): got one, but of the largest score none is asked; leave it")
    check_confidence(confidence)
    return walked


def _pairs(
    boundaries: Mapping[str, Boundary],
    verification: Verification,
    source: str | None,
    target: str | None,
    semantics: Sequence[str] | None,
) -> list[Pair]:
    if (source is None) != (target is None):
        given = "--from" if target is None else "--to"
        raise ValueError(f"{given}: got it alone; give --from and --to, or neither for all pairs")
    if source is not None and target is not None:
        if semantics:
            raise ValueError("semantics (--semantic): names the classes of all pairs; leave out --from, --to")
        names = [source, target]
    else:
        level_of = {semantic.name: semantic.level for semantic in verification.semantics}
        shown = [
            name for name in verification.rank()
            if level_of[name] == "object" and verification.status(name) == "shown"
        ]  # fmt: skip
        names = list(semantics) if semantics else shown[:MOST_CLASSES]
        if len(names) < 2:
            raise ValueError(
                f"transition: the effect of {len(names)} object{'' if len(names) == 1 else 's'} is shown, "
                "and a transition has two; name classes: --from … --to …, or --semantic"
            )
    for name in names:
        _ = boundaries[name]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"got {twice!r} twice, expected different classes")
    if source is not None and target is not None:
        return [(source, target)]
    return [(one, other) for one in names for other in names if one != other]


def _layers(layers: str, verification: Verification, boundary: Boundary) -> tuple[int, ...] | None:
    """Which move towards a class; None where its own are asked for, and there are none."""
    num = len(verification.layers)
    if boundary.space == "z":
        if layers != "all":
            raise ValueError(
                f"layers (--layers): got {layers!r}, and boundaries in z move all; leave it out, or fit in w"
            )
        return (0,)
    if layers != "own":
        return parse_layers(layers, num)
    if boundary.name not in verification.boundary_names:
        return None
    found = np.flatnonzero(verification.layer_beats_null[verification.row(boundary.name)])
    return tuple(found.tolist()) or None
