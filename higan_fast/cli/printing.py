"""What the commands print for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from higan_fast.boundaries.boundary import NO_BETTER, by_reason
from higan_fast.image_shapes import channels_in_words
from higan_fast.wording import LONGEST_MESSAGE, digits_apart, printable

if TYPE_CHECKING:
    from higan_fast.checkpoints import Description
    from higan_fast.experiments import Results
    from higan_fast.probing import Boundaries, Verification


def echo_line(text: str = "") -> None:
    """Prints one line; what could move the cursor or begin another line in it, such as a name, is escaped."""
    click.echo(printable(text, LONGEST_MESSAGE))


def print_boundaries(boundaries: Boundaries) -> None:
    """How good each is, or why there is none, and to how many samples they were fitted."""
    width = max([16, *map(len, boundaries)])
    for name, boundary in boundaries.items():
        how = "" if boundary.origin is None else f"  {boundary.origin.described}"
        remark = f"  {NO_BETTER}" if boundary.no_better_than_chance else ""
        echo_line(f"{name:{width}} held-out accuracy {boundary.accuracy:.3f}{how}{remark}")
    for reason, names in by_reason(boundaries.skipped).items():
        echo_line(f"{', '.join(names):{width}} skipped: {reason}")
    if boundaries:
        echo_line(boundaries.fitted_to)


def print_ranking(verification: Verification) -> None:
    """Effects, intervals, the null's band, what was shown by which p-value, and why where it was not.

    First stands the effect by which semantics are ranked: in standard deviations (SD) of each one's score.
    """
    from higan_fast.probing.claims import reason_lines
    from higan_fast.probing.ranking_table import notes_of

    result = verification.to_json()
    width = max([16, *(len(row["name"]) for row in result["semantics"])])
    echo_line(
        f"{'semantic':{width}} {'level':9}   in SD  effect [interval]            null     best layer  "
        f"{'p (Holm)':>8}  {'required':>8}  status"
    )
    for row in result["semantics"]:
        effect, low, high, null = (
            "–" if row[name] is None else f"{row[name]:+.3f}"
            for name in ("effect", "low", "high", "null_high")
        )
        relative = "–" if row["effect_in_deviations"] is None else f"{row['effect_in_deviations']:+.2f}"
        layer = "–" if row["best_layer"] is None else row["best_layer"]
        figures = f"{effect} [{low}, {high}]" + (" ≈" if row["asymptotic"] else "")
        line = (
            f"{row['name']:{width}} {row['level']:9}  {relative:>6}  {figures:26} ±{null.removeprefix('+')}"
        )
        digits = digits_apart(row["p_adjusted"], row["p_required"])
        ps = "  ".join(f"{row[name]:8.{digits}g}" for name in ("p_adjusted", "p_required"))
        echo_line(f"{line}  {layer:>10}  {ps}  {row['status']}")
    for line in notes_of(verification):
        echo_line(line)
    for line in reason_lines(verification):
        echo_line(line)
    _print_side_effects(verification)
    if any(row["asymptotic"] for row in result["semantics"]):
        echo_line(
            "≈: the range of the score is not known, so that its interval holds only as samples grow many"
        )
    _print_hierarchy(verification)
    saved = result["images_fixed"] - result["images"]
    if saved:
        echo_line(f"{result['images']:,} images; {saved:,} were not needed to decide")


def _print_side_effects(verification: Verification) -> None:
    """What each boundary surely moves beside, and what it costs to leave that alone."""
    from higan_fast.probing.side_effects import prices, side_effects

    beside: dict[str, list[str]] = {}
    for effect in side_effects(verification):
        beside.setdefault(effect.boundary, []).append(f"{effect.semantic} {effect.size:+.2f}")
    for name in filter(beside.__contains__, verification.rank()):
        echo_line(f"{name} surely moves too, in SD: {', '.join(beside[name])}")
    for price in prices(verification):
        own, other = price.own, price.other
        echo_line(
            f"{price.boundary} without {price.without}: own effect {own.before:+.2f} → {own.after:+.2f} SD "
            f"[{own.low:+.2f}, {own.high:+.2f}], {price.without} {other.before:+.2f} → {other.after:+.2f} SD "
            f"[{other.low:+.2f}, {other.high:+.2f}]"
        )


def _print_hierarchy(verification: Verification) -> None:
    """The mean layer of each level, with its interval and semantics, and what that says of their order."""
    if not verification.layers_measured:
        asked = verification.settings["decide"] != "effect"
        how = "no effect was sure" if asked else "higan-fast verify RUN --decide top-layer asks which decides"
        echo_line(f"no layer was moved alone: {how}")
        return
    found = verification.hierarchy
    levels = {level.name: level for level in found.levels}
    verified = {each.level for each in verification.semantics if each.name in verification.boundary_names}
    for name in filter(verified.__contains__, verification.mean_layer_by_level()):
        line = f"mean layer, {name:9} "
        if (level := levels.get(name)) is None:
            echo_line(f"{line}–")
            continue
        ends = "" if level.low is None else f"[{level.low:.2f}, {level.high:.2f}]"
        echo_line(f"{line}{level.mean:.2f} {ends:12}  of {len(level.members)}: {', '.join(level.members)}")
    for trend in filter(None, (found.trend, found.without_single)):
        how = (
            f"of all {trend.labelings:,} labelings"
            if trend.exact
            else f"of {trend.labelings:,} drawn labelings"
        )
        echo_line(f"trend, {' before '.join(trend.levels)}: p = {trend.p:.2g}, {how}")
    for pair in found.pairs:
        p = "" if pair.p is None else f"p = {pair.p_adjusted:.2g} after Holm"
        why = "; ".join(filter(None, (p, found.needs(pair))))
        echo_line(f"{pair.before} before {pair.after}: {pair.claim} ({why})")


def print_results(current: Verification | None, beside: Sequence[Verification], results: Results) -> None:
    """The current verification, layers, methods, sweep, experiments; then the other verifications, apart."""
    if current is not None:
        print_ranking(current)
    else:
        echo_line("verification: none, for there is no boundary that could be verified")
    for found in filter(None, (*results[1:-1], *results.findings)):
        click.echo(found)
    for other in beside:
        assert current is not None  # beside which these were kept
        same = set(other.boundary_names) == set(current.boundary_names)
        whose = "the same semantics" if same else ", ".join(other.boundary_names)
        echo_line()
        echo_line(f"verified apart, and corrected apart: {whose} ({_differing(other, current)})")
        print_ranking(other)


def _differing(other: Verification, current: Verification) -> str:
    """In which settings one verification differs from another, in words."""
    words = []
    for name in sorted(other.settings.keys() | current.settings.keys()):
        value = other.settings.get(name)
        if value == current.settings.get(name):
            continue
        if name in ("generator", "predictor", "boundaries", "semantics"):  # whose values tell nobody anything
            words.append(f"other {name}")
        elif value is not None:
            words.append(f"{name} {value}")
    return "; ".join(words) or "same settings"


def print_description(found: Description) -> None:
    """What a file holds."""
    channels, height, width = found.image_shape
    rows = {
        "family": found.family,
        "resolution": f"{height} × {width}" + ("" if channels == 3 else f", {channels_in_words(channels)}"),
        "codes": f"latent {found.latent_dim}, {_count(len(found.layers), 'layer')} of {found.code_dim}",
        "classes": found.label_dim or "none",
        "parameters": f"{found.parameters:,}",
        "format": found.format,
    }
    for name, value in found.source.items():  # of a converted file, whatever it says
        rows.setdefault(printable(name), _listed(value))
    for name, value in rows.items():
        echo_line(f"{name:12} {value}")
    wide = max(5, *(len(layer.pixels) for layer in found.layers))
    for layer in found.layers:
        echo_line(f"  layer {layer.index:2}  {layer.group:6}  {layer.pixels:>{wide}}  {layer.name}")
    echo_line("architecture")
    for name, value in found.config.items():
        echo_line(f"  {name:24} {_listed(value)}")


def _count(num: int, one: str) -> str:
    return f"{num} {one if num == 1 else one + 's'}"


def _listed(value: Any) -> str:
    """``{4: 512, 8: 256}`` → ``4: 512, 8: 256``; ``(1, 2)`` → ``1, 2``; of a long one the beginning."""
    if isinstance(value, Mapping):
        return printable(", ".join(f"{key}: {entry}" for key, entry in value.items()))
    if isinstance(value, list | tuple):
        return printable(", ".join(map(str, value))) or "none"
    return "none" if value is None else printable(str(value))


def print_nested(values: Mapping[str, Any], depth: int = 0) -> None:
    """Names and values, one to a line, indented as they are nested."""
    for name, value in values.items():
        label = f"{'  ' * depth}{name}".ljust(28)
        if isinstance(value, Mapping):
            echo_line(label.rstrip())
            print_nested(value, depth + 1)
            continue
        if isinstance(value, list):
            value = ", ".join(value) or "none"
        absent = "none: not a checkout" if name == "commit" else "not installed"
        echo_line(f"{label} {absent if value is None else value}")
