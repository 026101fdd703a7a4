"""What ``manipulate`` moves: samples of a run, fresh ones, or codes that somebody has in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from higan_fast.boundaries.boundary import Boundary
from higan_fast.checkpoints import load_generator
from higan_fast.cli.commandlines import stage_command
from higan_fast.generators.base import Generator
from higan_fast.inversion import FoundCodes, read_codes
from higan_fast.inversion.distribution import FAR, distribution_of_codes
from higan_fast.inversion.noise_maps import with_noise
from higan_fast.probing import Verification
from higan_fast.probing.moved import Moved, measure_move
from higan_fast.run_folder import RunFolder
from higan_fast.sampling.latents import codes_of
from higan_fast.wording import printable

Array = NDArray[np.float32]
LONGEST_LABEL = 40


class Given(NamedTuple):
    """N codes, and who draws them.

    Attributes:
        codes: ``[N, L, D]``.
        rows: what a row of a picture calls each.
        columns: what a column of an animation calls each.
        drawers: nothing where the run's generator draws them; else one generator for all, or what makes
            that of each.
    """

    codes: Array
    rows: Sequence[str]
    columns: Sequence[str]
    drawers: Sequence[Callable[[], Generator]] = ()

    def parts(self) -> Iterator[tuple[Array, Generator | None]]:
        """The codes that one generator draws, and that one; None: the run's."""
        if len(self.drawers) <= 1:
            yield self.codes, self.drawers[0]() if self.drawers else None
            return
        for row, drawer in enumerate(self.drawers):
            yield self.codes[row : row + 1], drawer()


def of_samples(run: RunFolder, samples: Sequence[int], seed: int | None) -> Given:
    """Samples of the run, or of a seed.

    Raises:
        ValueError: where the run has no such sample.
    """
    codes = _of_run(run, samples) if seed is None else _fresh(run, samples, seed)
    return Given(codes, [f"sample {index}" for index in samples], [str(index) for index in samples])


def of_file(run: RunFolder, file: Path, num: int, chosen: Sequence[int] | None) -> Given:
    """The first codes in a file or folder, or those that are chosen.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when they are no codes of the run's generator, or one that is chosen is not there.
    """
    found = read_codes(file, run.generator)
    rows = list(range(min(num, len(found.codes)))) if chosen is None else list(chosen)
    if beyond := [row for row in rows if row >= len(found.codes)]:
        raise ValueError(f"--samples: got {beyond[0]}, and {file} has the codes 0 to {len(found.codes) - 1}")
    names = [printable(found.names[row][-LONGEST_LABEL:]) for row in rows]
    return Given(found.codes[rows], names, names, _drawers(run.generator, found, rows))


def _drawers(generator: Generator, found: FoundCodes, rows: Sequence[int]) -> list[Callable[[], Generator]]:
    if (tuned := found.tuned) is not None:
        loaded = load_generator(tuned, generator.device)
        return [lambda: loaded]
    if not found.noise:
        return []

    def with_noise_of(row: int) -> Callable[[], Generator]:
        maps = {name: each[row] for name, each in found.noise.items()}
        return lambda: with_noise(generator, maps)

    return [with_noise_of(row) for row in rows]


def what_changed(
    run: RunFolder, given: Given, boundaries: Sequence[Boundary], step: float, options: dict[str, Any]
) -> Moved:
    """What a step along boundaries changes in all scores of the images, beside what it does in samples."""
    verification = _verification(run)
    found = [
        measure_move(
            run.generator, run.predictor, codes, boundaries, verification, run.samples.deviation, step=step,
            drawn_by=drawer, **options,
        )
        for codes, drawer in given.parts()
    ]  # fmt: skip
    return Moved.joined(found)


def rows_with_distance(run: RunFolder, given: Given) -> list[str]:
    """What calls each row, and says so where its codes lie farther from the mean than 99 % of samples'."""
    remark = f" (its codes lie farther out than {FAR} % of samples')"
    far = far_out(run, given.codes)
    return [f"{row}{remark if out else ''}" for row, out in zip(given.rows, far, strict=True)]


def far_out(run: RunFolder, codes: Array) -> list[bool]:
    """Whether codes ``[N, L, D]`` lie farther from the mean than 99 % of samples'."""
    samples = distribution_of_codes(run.generator, run.settings.label)
    distance = samples.distance(torch.from_numpy(codes).to(samples.mean))
    found: list[bool] = (samples.percentile(distance) >= FAR).tolist()
    return found


def not_shown(run: RunFolder, names: Sequence[str]) -> list[str]:
    """A line for each boundary whose effect no verification shows."""
    verification, lines = _verification(run), []
    for name in names:
        if verification is None or name not in verification.boundary_names:
            lines.append(f"{name}: its effect was not verified ({stage_command('verify', run)})")
        elif (status := verification.status(name)) != "shown":
            how = "is undecided" if status == "undecided" else "was not shown"
            lines.append(f"{name}: its effect {how} ({stage_command('show', run)})")
    return lines


def _verification(run: RunFolder) -> Verification | None:
    with suppress(FileNotFoundError, ValueError):
        return run.verification
    return None


def _of_run(run: RunFolder, samples: Sequence[int]) -> Array:
    outside = next((index for index in samples if index >= len(run.samples)), None)
    if outside is not None:
        raise ValueError(
            f"--samples: got {outside}, and {run.path} has the samples 0 to {len(run.samples) - 1}; "
            "--seed N draws fresh ones"
        )
    return run.samples.codes[list(samples)]


def _fresh(run: RunFolder, samples: Sequence[int], seed: int) -> Array:
    """The codes that ``higan-fast sample --seed N`` would draw for these samples."""
    options: dict[str, Any] = {**run.settings.truncation, "label": run.settings.label}
    return codes_of(run.generator, seed, samples, **options).codes.cpu().numpy()
