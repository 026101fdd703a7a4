"""Counts wrong claims of ``sweep_steps``: ``python -m benchmarks.dose RUN``.

A large pool of samples is moved by every step along the boundaries of a run. Sweeps that draw their samples
from that pool are compared with what the whole pool says.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.engine.engine import Engine
from higan_fast.memory import keep_freed_memory
from higan_fast.probing.measurement import ranges_of
from higan_fast.probing.sweep import PART
from higan_fast.probing.sweep_scores import Curve, Curves
from higan_fast.run_folder import RunFolder
from higan_fast.statistics.dose import LARGE_OFF_TARGET, SIDES, DoseClaims, dose_claims

POOL_SEED = 1_000
STEPS = np.array([-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0])

Array = NDArray[np.float64]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--pool", default=256, show_default=True, help="Samples that are drawn from.")
@click.option("--runs", default=1_000, show_default=True)
@click.option("--samples", "sizes", multiple=True, type=int, default=(32, 64, 128), show_default=True)
@click.option("--confidence", default=0.99, show_default=True)
@click.option("--threads", type=int, help="CPU threads.")
def main(
    run: Path, pool: int, runs: int, sizes: tuple[int, ...], confidence: float, threads: int | None
) -> None:
    """Count the sweeps with a claim that does not hold in the pool, and the claims that are made."""
    keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    folder = RunFolder.open(run)
    scores, names = _pool(folder, pool)
    semantics, ranges = list(folder.predictor.names), ranges_of(folder.predictor)
    scores = scores.clip(ranges[:, 0], ranges[:, 1])
    own, widths = np.array([semantics.index(name) for name in names]), ranges[:, 1] - ranges[:, 0]
    deviation = scores[:, 0, int(np.flatnonzero(STEPS == 0)[0])].std(axis=0)
    truth = Truth.of(scores.mean(axis=0), own, deviation)
    random = np.random.default_rng(0)
    for num in sizes:
        made, wrong, runs_wrong = np.zeros(len(DoseClaims._fields)), np.zeros(len(DoseClaims._fields)), 0
        for _ in range(runs):
            drawn = scores[random.integers(0, pool, num)]
            claims = dose_claims(drawn, STEPS, own, widths, deviation, (1 - confidence) / len(own), PART)
            said, false = truth.count(claims)
            made, wrong, runs_wrong = made + said, wrong + false, runs_wrong + false.any()
        each = ", ".join(
            f"{name} {count / runs:.1f} ({int(bad)} wrong in all)"
            for name, count, bad in zip(DoseClaims._fields, made, wrong, strict=True)
        )
        click.echo(
            f"{num} samples, {runs:,} sweeps of {len(own)} curves at {100 * confidence:g} %: "
            f"{100 * runs_wrong / runs:.2f} % with a wrong claim; claims in each: {each}"
        )


class Truth(NamedTuple):
    """What the mean scores of the pool say of C curves."""

    target: Array  # [C, T], changes of the target
    change: Array  # [C, T, S], of every score
    large: NDArray[np.bool_]  # [C, T, S], whether it is more than half of the target's, in deviations

    @classmethod
    def of(cls, mean: Array, own: NDArray[np.int64], deviation: Array) -> Truth:
        """Returns it for mean scores ``[C, T, S]``."""
        change = mean - mean[:, STEPS == 0]
        target = change[np.arange(len(own)), :, own]
        relative = np.abs(target) / deviation[own][:, None]
        return cls(target, change, np.abs(change) / deviation > LARGE_OFF_TARGET * relative[..., None])

    def count(self, claims: DoseClaims) -> tuple[Array, Array]:
        """How many claims there are of each kind, and how many of them are wrong."""
        made, wrong = np.zeros((2, len(claims)))
        for kind, of_kind in enumerate(claims):
            for place in np.argwhere(of_kind if of_kind.dtype == bool else np.isfinite(of_kind)):
                made[kind] += 1
                wrong[kind] += not getattr(self, f"_{DoseClaims._fields[kind]}")(of_kind, *place)
        return made, wrong

    def _lost(self, curve: int) -> Array:
        """The fall from each step to each later one, beyond the part of the rise, ``[T, T]``."""
        f = self.target[curve]
        return np.triu(f[:, None] - f, 1) - PART * (f[-1] - f[0])

    def _rises(self, _: Array, curve: int) -> bool:
        return bool((self._lost(curve) <= 0).all())

    def _turns(self, turns: Array, curve: int, _: int) -> bool:
        first, second = (int(np.flatnonzero(step == STEPS)[0]) for step in turns[curve])
        return bool(self._lost(curve)[first, second] > 0)

    def _saturates(self, saturates: Array, curve: int, side: int) -> bool:
        reached = SIDES[side] * self.target[curve]
        here = int(np.flatnonzero(saturates[curve, side] == STEPS)[0])
        further = reached[SIDES[side] * STEPS > abs(STEPS[here])]
        return bool(reached[here] > 0 and (further < (1 + PART) * reached[here]).all())

    def _reverses(self, reverses: Array, curve: int, score: int, which: int) -> bool:
        step = reverses[curve, score, which]
        moved = float(self.change[curve, step == STEPS, score][0]) * np.sign(step)
        return bool(moved < 0 if which else moved > 0)

    def _exceeds(self, exceeds: Array, curve: int, score: int, side: int) -> bool:
        beyond = SIDES[side] * STEPS >= abs(exceeds[curve, score, side])
        return bool(self.large[curve, beyond, score].all())


def _pool(folder: RunFolder, num: int) -> tuple[Array, tuple[str, ...]]:
    """Returns scores ``[N, C, T, S]`` along the boundaries on all layers, and their names."""
    boundaries = list(folder.boundaries.values())
    settings = {"seed": POOL_SEED, "space": boundaries[0].space, "step_unit": "norm", "steps": STEPS.tolist()}
    settings |= {**folder.settings.truncation, "label": folder.settings.label}
    with torch.inference_mode():
        curves = Curves(Engine(folder.generator, folder.predictor), [*map(Curve, boundaries)], settings)
        found = curves.measure(range(num), None, {}, progress=True)
    zero = int(np.flatnonzero(STEPS == 0)[0])
    return np.insert(found.moved.astype(np.float64), zero, found.base[:, None], axis=2), curves.names


if __name__ == "__main__":
    main()
