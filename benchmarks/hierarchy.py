"""Counts claims of an order of levels where there is none: ``python -m benchmarks.hierarchy``.

Every run draws the mean layers of a probe whose levels do not come in the declared order, and asks which
pairs of levels ``statistics/hierarchy.py`` calls established or suggested. It also counts how often the
interval of a level's mean holds the mean that its members were drawn with, and how often an order that is
there is found.
"""

from __future__ import annotations

from collections.abc import Callable

import click
import numpy as np
from numpy.typing import NDArray

from higan_fast.statistics.hierarchy import Member, hierarchy, judge_pairs

LEVELS = ("layout", "object", "attribute", "color")
LAST_LAYER = 9
# How many semantics count on each level: about the demo's, few, as many as it takes, uneven, and many.
SIZES = ((3, 3, 2, 1), (5, 5, 5, 5), (6, 6, 6, 6), (4, 20, 60, 5), (3, 60, 60, 3), (10, 12, 10, 9))
NOISE = 0.05  # the standard error of a mean layer, about the demo's

Array = NDArray[np.float64]
World = Callable[[np.random.Generator, int, int], Array]


def _around(middle: float, spread: float, random: np.random.Generator, num: int) -> Array:
    return np.clip(random.normal(middle, spread, num), 0, LAST_LAYER)


# (random numbers, which level, how many members) → mean layers; no level lies before another
WITHOUT_ORDER: dict[str, World] = {
    "anywhere": lambda random, level, num: random.uniform(0, LAST_LAYER, num),
    "on whole layers": lambda random, level, num: random.integers(0, LAST_LAYER + 1, num).astype(float),
    "at both ends": lambda random, level, num: random.choice([0.0, LAST_LAYER], num),
    "mostly early": lambda random, level, num: np.minimum(random.exponential(1.0, num), LAST_LAYER),
    "spread, close, spread, close": lambda random, level, num: _around(4.5, (2, 0.4)[level % 2], random, num),
    "close, spread, close, spread": lambda random, level, num: _around(4.5, (0.4, 2)[level % 2], random, num),
    "in reverse": lambda random, level, num: _around(7.5 - 2 * level, 1, random, num),
}

# Levels that differ in spread alone, and whose members lie at two extremes: beyond what the test promises.
EXTREME: World = lambda random, level, num: (  # noqa: E731
    random.choice([0.0, LAST_LAYER], num) if level % 2 == 0 else _around(4.5, 0.3, random, num)
)


def _in_order(random: np.random.Generator, level: int, num: int) -> Array:
    return _around(1.5 + 2 * level, 1, random, num)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runs", default=2_000, show_default=True)
def main(runs: int) -> None:
    """Count false claims, what intervals hold, and true claims."""
    click.echo(f"{runs:,} runs each; share with any pair established, and with any suggested or established")
    for sizes in SIZES:
        for name, world in WITHOUT_ORDER.items():
            established, suggested = claim_rates(world, sizes, runs)
            click.echo(f"{sizes!s:18} {name:30} {established:7.2%} {suggested:7.2%}")
        established, suggested = claim_rates(EXTREME, sizes, runs)
        click.echo(
            f"{sizes!s:18} {'ends, middle, ends, middle':30} {established:7.2%} {suggested:7.2%}  no promise"
        )
        found, _ = claim_rates(_in_order, sizes, runs, every=True)
        click.echo(f"{sizes!s:18} {'two layers apart, all claimed':30} {found:7.2%}")
    for num in (2, 3, 5, 10):
        rates = {name: coverage(world, num, runs // 4) for name, world in WITHOUT_ORDER.items()}
        ends = rates.pop("at both ends")
        click.echo(
            f"99 % interval of a level of {num:2}: holds in {min(rates.values()):.1%} to "
            f"{max(rates.values()):.1%} of runs, and in {ends:.1%} where semantics lie at both ends"
        )


def claim_rates(
    world: World, sizes: tuple[int, ...], runs: int, *, every: bool = False
) -> tuple[float, float]:
    """Returns in which share of runs any pair is established, and any is suggested or established.

    With ``every``, it is all pairs, not any.
    """
    random, claims = np.random.default_rng(0), []
    needed = all if every else any
    for _ in range(runs):
        drawn = {
            name: np.clip(world(random, level, num) + NOISE * random.standard_normal(num), 0, LAST_LAYER)
            for level, (name, num) in enumerate(zip(LEVELS, sizes, strict=True))
        }
        found = [pair.claim for pair in judge_pairs(drawn)]
        claims.append(
            (
                needed(claim == "established" for claim in found),
                needed(claim != "not established" for claim in found),
            )
        )
    established, suggested = np.mean(claims, axis=0)
    return float(established), float(suggested)


def coverage(world: World, num: int, runs: int) -> float:
    """Returns in which share of runs the 99 % interval of a level's mean holds the mean of its world."""
    random = np.random.default_rng(0)
    truth = float(world(random, 0, 100_000).mean())
    held = []
    for _ in range(runs):
        layers = np.clip(world(random, 0, num) + NOISE * random.standard_normal(num), 0, LAST_LAYER)
        members = {str(index): Member(layer, NOISE) for index, layer in enumerate(layers)}
        (level,) = hierarchy({"layout": members}, LAST_LAYER, 0.99).levels
        assert level.low is not None and level.high is not None
        held.append(level.low <= truth <= level.high)
    return float(np.mean(held))


if __name__ == "__main__":
    main()
