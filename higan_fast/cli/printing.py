"""What the commands print for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from higan_fast.checkpoints import Description
    from higan_fast.probing import Boundaries, Verification


def print_boundaries(boundaries: Boundaries) -> None:
    """How good each is, or why there is none, and to how many samples they were fitted."""
    for name, boundary in boundaries.items():
        click.echo(f"{name:16} held-out accuracy {boundary.accuracy:.3f}")
    for name, reason in boundaries.skipped.items():
        click.echo(f"{name:16} skipped: {reason}")
    click.echo(boundaries.fitted_to)


def print_ranking(verification: Verification) -> None:
    """Effects, intervals, the null's band, what was shown by which p-value, and why where it was not."""
    result = verification.to_json()
    click.echo(
        f"{'semantic':16} {'level':9}  effect [interval]            null     best layer  "
        f"{'p (Holm)':>8}  {'required':>8}  status"
    )
    for row in result["semantics"]:
        effect, low, high, null = (
            "–" if row[name] is None else f"{row[name]:+.3f}"
            for name in ("effect", "low", "high", "null_high")
        )
        layer = "–" if row["best_layer"] is None else row["best_layer"]
        figures = f"{effect} [{low}, {high}]"
        line = f"{row['name']:16} {row['level']:9}  {figures:26} ±{null.removeprefix('+')}  {layer:>10}"
        click.echo(f"{line}  {row['p_adjusted']:8.2g}  {row['p_required']:8.2g}  {row['status']}")
    for row in result["semantics"]:
        if row["status"] != "shown" or row["undecided"]:
            click.echo(f"{row['name']}: {row['status']}: {row['reason']}")
    for level, mean in result["mean_layer_by_level"].items():
        click.echo(f"mean layer, {level:9} {'–' if mean is None else f'{mean:.2f}'}")
    saved = result["images_fixed"] - result["images"]
    if saved:
        click.echo(f"{result['images']:,} images; {saved:,} were not needed to decide")


def print_results(current: Verification, beside: Sequence[Verification]) -> None:
    """The current verification, and then each other one under a line that says what it is of."""
    print_ranking(current)
    for other in beside:
        same = set(other.boundary_names) == set(current.boundary_names)
        whose = "the same semantics" if same else ", ".join(other.boundary_names)
        click.echo(f"\nverified apart, and corrected apart: {whose} ({_differing(other, current)})")
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
    rows = {
        "family": found.family,
        "resolution": f"{found.resolution} × {found.resolution}",
        "codes": f"latent {found.latent_dim}, {_count(len(found.layers), 'layer')} of {found.code_dim}",
        "classes": found.label_dim or "none",
        "parameters": f"{found.parameters:,}",
        "format": found.format,
        **found.source,
    }
    for name, value in rows.items():
        click.echo(f"{name:12} {value}")
    for layer in found.layers:
        click.echo(f"  layer {layer.index:2}  {layer.group:6}  {layer.resolution:4}²  {layer.name}")
    click.echo("architecture")
    for name, value in found.config.items():
        click.echo(f"  {name:24} {_listed(value)}")


def _count(num: int, one: str) -> str:
    return f"{num} {one if num == 1 else one + 's'}"


def _listed(value: Any) -> Any:
    """``{4: 512, 8: 256}`` → ``4: 512, 8: 256``; ``(1, 2)`` → ``1, 2``."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {entry}" for key, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else value


def print_nested(values: Mapping[str, Any], depth: int = 0) -> None:
    """Names and values, one to a line, indented as they are nested."""
    for name, value in values.items():
        label = f"{'  ' * depth}{name}".ljust(28)
        if isinstance(value, Mapping):
            click.echo(label.rstrip())
            print_nested(value, depth + 1)
            continue
        if isinstance(value, list):
            value = ", ".join(value) or "none"
        click.echo(f"{label} {'not installed' if value is None else value}")
