"""The findings in words: computed from a verification, whatever it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from higan_fast.predictors.base import LEVELS
from higan_fast.probing.side_effects import SMALL, EvenPart, SideEffect
from higan_fast.probing.verification import Verification
from higan_fast.report.numerals import count, decimals, number, p_value
from higan_fast.statistics.effects import LARGE_EVEN
from higan_fast.statistics.hierarchy import Claim, Hierarchy
from higan_fast.wording import listing

NUM_PAIRS = 5  # so many boundaries with what they wreck are named


def finding(verification: Verification | None) -> str:
    """One sentence: how many semantics beat the null, and which moves most."""
    if verification is None:
        return "No boundary was fitted, so there is no effect to report; the reasons stand under Boundaries."
    num, beating = len(verification.boundary_names), int(verification.beats_null.sum())
    if beating == 0:
        open_ones = sum(verification.status(name) == "undecided" for name in verification.boundary_names)
        rest = f"; {open_ones} of them may yet, on more samples" if open_ones else ""
        return (
            f"None of the {count(num, 'semantic')} beats random directions of the same length{rest}: "
            "on this evidence, no boundary controls its semantic."
        )
    first = verification.rank()[0]
    names = [semantic.name for semantic in verification.semantics]
    effect = verification.in_deviations()[verification.row(first), 0, names.index(first)]
    who = (
        "The only semantic"
        if num == 1
        else f"All {num} semantics"
        if beating == num
        else f"{beating} of {num} semantics"
    )
    verb = "beats" if beating == 1 else "beat"
    return (
        f"{who} {verb} random directions of the same length; the largest effect is that of {first}, "
        f"{number(effect, decimals([effect], 2), signed=True)} standard deviations of its score for one step "
        "on all layers."
    )


def order(verification: Verification | None) -> str:
    """What the mean layers say of HiGAN's order of levels, and no more; empty where that is nothing."""
    if verification is None or not verification.beats_null.any():
        return ""
    if not verification.layers:
        return "The boundaries lie in z, which moves all layers at once, so that no layer can be named."
    if len(verification.layers) == 1:
        return "This generator has one layer, so that there is no order of layers to see."
    return _order(verification.hierarchy)


def economy(verification: Verification | None) -> str:
    """How many images it took to decide, and how many a fixed number of samples would have taken."""
    if verification is None or verification.settings["decide"] is None:
        return ""
    settings, images, fixed = verification.settings, verification.images, verification.images_fixed
    question = {
        "effect": "which semantics have an effect",
        "top-layer": "which semantics have an effect, and on which layer the most",
        "ranking": "which semantics have an effect, and in which order",
    }[settings["decide"]]
    open_ones, confidence = verification.num_undecided(), f"{100 * settings['confidence']:g} %"
    sentence = (
        f"To decide {question}, with {confidence} confidence "
        f"for all of it together, took {count(images, 'image')}. Measuring everything on "
        f"{settings['max_samples']:,} samples takes {fixed:,}, {fixed / images:.0f} times as many."
    )
    if open_ones:
        sentence += (
            f" For {count(open_ones, 'semantic')} the answer was still open on the most samples that were "
            "allowed; the ranking says why."
        )
    return sentence


def beside(effects: Sequence[SideEffect]) -> str:
    """Which other semantics the boundaries surely move; empty where none is moved by much."""
    if not effects:
        return ""
    return (
        "Beside their own, the boundaries whose effect is shown surely move other semantics by "
        f"{number(SMALL, 2)} standard deviations or more: {_pairs(effects)}."
    )


def wrecks(parts: Sequence[EvenPart]) -> str:
    """Which boundaries change a score whichever way they go; empty where none surely does by much."""
    if not parts:
        return ""
    return (
        f"Steps in both directions change these scores alike, by {number(LARGE_EVEN, 1)} standard deviations "
        f"or more, which no effect shows: {_pairs(parts)}."
    )


def _pairs(effects: Sequence[SideEffect | EvenPart]) -> str:
    pairs = [f"{e.boundary} → {e.semantic} ({number(e.size, 1, signed=True)})" for e in effects]
    return listing(pairs, NUM_PAIRS)


def _order(found: Hierarchy) -> str:
    if not found.levels:
        return ""
    means = listing([f"{level.name} {level.mean:.1f}" for level in found.levels])
    missing = [name for name in LEVELS if name not in [level.name for level in found.levels]]
    if found.trend is None:
        return (
            f"Only one level has semantics that beat random directions (mean layer: {means}), so there is no "
            "order of levels to test."
        )
    sentences = [f"Mean layers: {means}."]
    claims = []
    for claim in get_args(Claim):
        pairs = [f"{pair.before} before {pair.after}" for pair in found.pairs if pair.claim == claim]
        if pairs:
            claims.append(f"{listing(pairs)} {'is' if len(pairs) == 1 else 'are'} {claim}")
    sentences.append(f"Of HiGAN’s order, {'; '.join(claims)}.")
    trend = f"The trend over all of them has p = {p_value(found.trend.p)}"
    if found.without_single is not None:
        has = "which has one semantic" if len(found.single) == 1 else "which have one semantic each"
        trend += f", and {p_value(found.without_single.p)} without {listing(found.single)}, {has}"
    sentences.append(f"{trend}.")
    if missing:
        sentences.append(
            f"No {' or '.join(missing)} semantic beats random directions, so it has no place here."
        )
    return " ".join(sentences)
