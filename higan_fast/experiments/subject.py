"""What experiments are made on: two networks, how samples are drawn, and scores of samples that are moved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.boundaries.boundary import Boundary, StepUnit
from higan_fast.engine.precision import Wish
from higan_fast.engine.scoring import in_range
from higan_fast.files import only_writer, remove_leftovers
from higan_fast.generators.base import Generator, check_generator
from higan_fast.pictures import shrunk
from higan_fast.predictors.base import Predictor, Semantic, check_predictor
from higan_fast.probing.effect_files import key_of, load_arrays, name_of, save_arrays
from higan_fast.probing.measurement import check_ranges, ranges_of
from higan_fast.probing.set_up import set_up
from higan_fast.probing.sweep_scores import Curve, Curves, Scores
from higan_fast.probing.wide import too_wide_in_words
from higan_fast.progress import progress as show_progress
from higan_fast.sampling.latents import BLOCK, EXPERIMENT, Codes
from higan_fast.sampling.samples import deviation_of
from higan_fast.statistics.effects import in_deviations

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Pairs are mixed and scored so many at a time, and then what they gave is kept.
PAIRS_AT_ONCE = 32


@dataclass(frozen=True)
class Walk:
    """Scores of N fresh samples as they are, and moved by T steps along C curves, all within their ranges.

    Attributes:
        curves: what was moved along, and on which layers.
        steps: ``[T]``, without 0.
        base: of the samples as they are, ``[N, S]``.
        moved: ``[N, C, T, S]``.
        semantics: the columns.
        ranges: between what each score lies, ``[S, 2]``; −inf and inf where that is not known.
        deviation: standard deviation of each score, ``[S]``, as its boundary says; else over these samples.
        settings: how it was made.
    """

    curves: Sequence[Curve]
    steps: Array
    base: Array
    moved: Array
    semantics: tuple[Semantic, ...]
    ranges: Array
    deviation: Array
    settings: dict[str, Any]

    @property
    def images(self) -> int:
        """How many were synthesised."""
        return int(self.base.shape[0] * (1 + self.moved.shape[1] * self.moved.shape[2]))

    def too_wide(self, names: Sequence[str], confidence: float) -> list[str]:
        """Says of which effects on some semantics these are too few samples for an interval, as a sentence.

        Empty where there is none (``too_wide_in_words``). The reach of an effect is half that of a change.
        """
        reach = dict(zip(names, self.reach[[self.column(name) for name in names]] / 2, strict=True))
        return too_wide_in_words(reach, len(self.base), confidence)

    @property
    def reach(self) -> Array:
        """The largest possible change of each score in standard deviations, ``[S]``; inf where not known."""
        widths = self.ranges[:, 1] - self.ranges[:, 0]
        return np.where(self.deviation > 0, widths / np.where(self.deviation > 0, self.deviation, 1), 0.0)

    def column(self, name: str) -> int:
        """Where the score of a semantic stands."""
        return [semantic.name for semantic in self.semantics].index(name)

    def changes(self) -> Array:
        """Returns by how many standard deviations each score changed, ``[N, C, T, S]``; NaN: it has none."""
        return in_deviations(self.moved - self.base[:, None, None], self.deviation)

    def effects(self) -> Array:
        """Returns half the difference between a step forth and a step back, in standard deviations.

        ``[N, C, S]``. The first step must be forth and the second one back.
        """
        return in_deviations((self.moved[:, :, 0] - self.moved[:, :, 1]) / 2, self.deviation)


class Chosen(NamedTuple):
    """Fresh samples that were chosen by their scores.

    Attributes:
        samples: which, ascending.
        drawn: among how many, the first of the stream.
        scores: of all that were drawn, as they are, ``[drawn, S]``.
    """

    samples: tuple[int, ...]
    drawn: int
    scores: Array


class Mixed(NamedTuple):
    """Scores of N fresh samples, and with the codes of others on each of G sets of layers.

    Attributes:
        base: of the samples as they are, ``[N, S]``, within their ranges as ``mixed``.
        mixed: ``[N, G, S]``.
        semantics: the columns.
        ranges: as for ``Walk``.
        deviation: as for ``Walk``.
        settings: how it was made.
    """

    base: Array
    mixed: Array
    semantics: tuple[Semantic, ...]
    ranges: Array
    deviation: Array
    settings: dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """Two networks, and how samples of them are drawn and kept.

    Attributes:
        generator: makes images of codes.
        predictor: scores them.
        seed: of fresh samples; None, here and below: as the samples that the boundaries were fitted to.
        truncation_psi: see ``Generator.map``.
        truncation_layers: see ``Generator.map``.
        label: class of all samples, for conditional generators; None: as said, or each draws its own.
        precision: as for ``verify``.
        batch_size: at most so many images at once; None: as many as are worth it.
        out: folder that keeps what is measured, so that an experiment that was interrupted goes on where it
            was; None: nothing is kept.
        progress: whether to show it.
    """

    generator: Generator
    predictor: Predictor
    seed: int | None = None
    truncation_psi: float | None = None
    truncation_layers: int | None = None
    label: int | None = None
    precision: Wish = "exact"
    batch_size: int | None = None
    out: Path | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        """Raises TypeError, naming the call to write instead, where a network is none of ours."""
        check_generator(self.generator)
        check_predictor(self.predictor)

    def __repr__(self) -> str:
        drawn = f"{type(self.generator).__name__}({self.generator.extra_repr()})"
        return f"Subject({drawn}, {len(self.predictor.names)} semantics, seed {self.seed})"

    @torch.inference_mode()
    def walk(
        self,
        curves: Sequence[Curve],
        steps: Sequence[float],
        *,
        num: int,
        samples: Sequence[int] | None = None,
        step_unit: StepUnit = "norm",
        doing: str,
    ) -> Walk:
        """Moves fresh samples along boundaries, on chosen layers, and scores them all.

        The samples are of a stream that nothing else is measured on.

        Args:
            curves: along what, and on which layers; all in one space.
            steps: how far, without 0.
            num: how many samples; each takes an image, and one for every curve and step.
            samples: which ones; None: the first.
            step_unit: as for ``verify``.
            doing: what the progress calls it, such as "moving groups of layers".

        Raises:
            ValueError: when a boundary does not fit the networks, or a score is not finite.
            RuntimeError: when another process is writing to ``out``.
        """
        chosen = [curve.boundary for curve in curves]
        measured, settings, kept = self._curves(curves, steps, step_unit, doing, chosen)
        scores = self._measure(measured, range(num) if samples is None else samples, kept, self.progress)
        ranges = ranges_of(self.predictor)
        check_ranges(self.predictor.names, *scores.ends(), ranges)
        deviation = self._deviation(chosen, scores.base)
        base, moved = (part.astype(np.float64).clip(ranges[:, 0], ranges[:, 1]) for part in scores)
        return Walk(
            curves, np.array([step for step in steps if step], np.float64), base, moved,
            self.predictor.semantics, ranges, deviation, settings | {"num": num},
        )  # fmt: skip

    @torch.inference_mode()
    def find(
        self,
        like: Sequence[Boundary],
        wanted: Callable[[Array], BoolArray],
        *,
        num: int,
        most: int,
        doing: str,
    ) -> Chosen:
        """Draws fresh samples, those that ``walk`` moves, until enough are as wanted.

        They are chosen by their own scores alone: what is measured on them afterwards holds for samples that
        score so, and for no others.

        Args:
            like: boundaries that say how samples are drawn.
            wanted: scores ``[n, S]`` → which are, ``[n]``.
            num: enough.
            most: so many are drawn at most; each takes an image.
            doing: what the progress calls it.

        Raises:
            ValueError: as ``walk``.
        """
        measured, _, kept = self._curves([], [], "norm", doing, like)
        found: list[int] = []
        scores: list[Array] = []
        drawn = 0
        with show_progress(doing, num, unit="samples found", enabled=self.progress) as advance:
            while len(found) < num and drawn < most:
                block = range(drawn, min(drawn + BLOCK, most))
                base = self._measure(measured, block, kept, progress=False).base.astype(np.float64)
                fitting = [index for index, fits in zip(block, wanted(base), strict=True) if fits]
                fitting = fitting[: num - len(found)]
                drawn = block.stop if len(found) + len(fitting) < num else fitting[-1] + 1
                scores.append(base[: drawn - block.start])
                found += fitting
                advance(len(fitting))
        return Chosen(tuple(found), drawn, np.concatenate(scores))

    @torch.inference_mode()
    def images(
        self,
        curves: Sequence[Curve],
        steps: Sequence[float],
        samples: Sequence[int],
        *,
        step_unit: StepUnit = "norm",
        side: int = 96,
    ) -> Tensor:
        """Images of samples that ``walk`` moves, at every step along each curve.

        Args:
            curves: as for ``walk``.
            steps: how far, 0 for a sample as it is.
            samples: which ones.
            step_unit: as for ``walk``.
            side: larger images are scaled down to so many pixels a side.

        Returns:
            ``[N, C, T, 3, R, R]`` in [-1, 1], on the CPU.
        """
        drawn, *_ = self._curves(curves, steps, step_unit, "drawing", [curve.boundary for curve in curves])
        return drawn.images(samples, steps, side)

    @torch.inference_mode()
    def codes(self, like: Boundary, samples: Sequence[int]) -> Codes:
        """The codes of samples that ``walk`` moves, drawn as those of a boundary were."""
        return self._curves([], [], "norm", "", [like])[0].codes(samples)

    @torch.inference_mode()
    def mix(self, like: Sequence[Boundary], sets: Sequence[tuple[int, ...]], *, num: int) -> Mixed:
        """Scores fresh samples with the codes of others on sets of layers: sample 2i with those of 2i + 1.

        Args:
            like: boundaries that say how samples are drawn.
            sets: layers whose codes come from the other sample, one set at a time.
            num: how many pairs; each takes an image, and one for every set.

        Raises:
            ValueError: when a score is not finite.
            RuntimeError: when another process is writing to ``out``.
        """
        drawn, settings, kept = self._curves([], [], "norm", "mixing", like)
        parts = []
        keeping = contextlib.nullcontext() if self.out is None else only_writer(self.out)
        each = 1 + len(sets)
        with keeping, show_progress("mixing layer codes", num * each, enabled=self.progress) as advance:
            for start in range(0, num, PAIRS_AT_ONCE):
                pairs = range(start, min(start + PAIRS_AT_ONCE, num))
                key = key_of(settings=kept, mixing=sets, first=pairs.start, last=pairs.stop - 1)
                path = self.out / f"{name_of(key)}.npz" if self.out else None
                found = load_arrays(path, key) if path else None
                if found is None:
                    codes = self._mixed_codes(drawn, pairs, sets)
                    scores = drawn.engine.scores(codes.flatten(0, 1), advance)
                    found = {"scores": scores.unflatten(0, codes.shape[:2]).cpu().numpy()}
                    if path:
                        save_arrays(path, key, **found)
                else:
                    advance(len(pairs) * each)
                parts.append(found["scores"])
        scores_of = np.concatenate(parts).astype(np.float64)
        if not np.isfinite(scores_of).all():
            pair, _, column = np.argwhere(~np.isfinite(scores_of))[0]
            name = self.predictor.names[column]
            raise ValueError(
                f"scores: the predictor gave NaN or infinity for {name!r} at sample {2 * pair}, mixed"
            )
        ranges = ranges_of(self.predictor)
        check_ranges(self.predictor.names, scores_of.min((0, 1)), scores_of.max((0, 1)), ranges)
        scores_of = scores_of.clip(ranges[:, 0], ranges[:, 1])
        deviation = self._deviation(like, scores_of[:, 0])
        about = settings | {"num": num}
        return Mixed(scores_of[:, 0], scores_of[:, 1:], self.predictor.semantics, ranges, deviation, about)

    @torch.inference_mode()
    def mixed_images(
        self,
        like: Sequence[Boundary],
        layers: tuple[int, ...],
        sources: Sequence[int],
        targets: Sequence[int],
        side: int = 96,
    ) -> Tensor:
        """Images of targets with the codes of sources on some layers: ``[1 + R, 1 + C, 3, H, W]``.

        The first row shows the targets as they are, the first column the sources; the corner is white.

        Args:
            like: as for ``mix``.
            layers: whose codes come from a source.
            sources, targets: which samples.
            side: larger images are scaled down to so many pixels a side.
        """
        drawn, *_ = self._curves([], [], "norm", "drawing", like)
        own, others = (drawn.codes(samples).codes for samples in (targets, sources))
        mixed = own.repeat(len(others), 1, 1, 1)
        mixed[:, :, list(layers)] = others[:, None, list(layers)]
        shown = []
        for codes in torch.cat([others, own, mixed.flatten(0, 1)]).split(drawn.engine.budget.images):
            shown.append(shrunk(in_range(drawn.engine.images(codes)), side).float().cpu())
        images = torch.cat(shown)
        grid = images.new_ones(1 + len(others), 1 + len(own), *images.shape[1:])
        grid[1:, 0], grid[0, 1:], rest = images.split([len(others), len(own), len(mixed.flatten(0, 1))])
        grid[1:, 1:] = rest.unflatten(0, mixed.shape[:2])
        return grid

    def _mixed_codes(self, drawn: Curves, pairs: range, sets: Sequence[tuple[int, ...]]) -> Tensor:
        """Codes of pairs, as they are and on each set those of the other: ``[n, 1 + sets, L, D]``."""
        both = drawn.codes(range(2 * pairs.start, 2 * pairs.stop)).codes
        codes = both[::2, None].repeat(1, 1 + len(sets), 1, 1)
        for place, layers in enumerate(sets, 1):
            codes[:, place, list(layers)] = both[1::2, list(layers)]
        return codes

    def _deviation(self, like: Sequence[Boundary], base: Array) -> Array:
        """Standard deviation of each score, as its boundary says; else over samples ``[N, S]``."""
        known = {boundary.name: boundary.deviation for boundary in like}
        deviation = deviation_of(base)
        for column, name in enumerate(self.predictor.names):
            if (value := known.get(name)) is not None:
                deviation[column] = value
        return deviation

    def _curves(
        self,
        curves: Sequence[Curve],
        steps: Sequence[float],
        step_unit: StepUnit,
        doing: str,
        like: Sequence[Boundary],
    ) -> tuple[Curves, dict[str, Any], dict[str, Any]]:
        """What moves samples, drawn as those of some boundaries were; its settings, and what it is of."""
        engine, _, settings, kept, _ = set_up(
            self.generator, self.predictor, like, seed=self.seed, truncation_psi=self.truncation_psi,
            truncation_layers=self.truncation_layers, label=self.label, precision=self.precision,
            batch_size=self.batch_size, keeps=self.out is not None, step_unit=step_unit,
            space=like[0].space, steps=list(map(float, steps)),
        )  # fmt: skip
        return Curves(engine, curves, settings, EXPERIMENT, doing), settings, kept

    def _measure(
        self, curves: Curves, samples: Sequence[int], kept: dict[str, Any], progress: bool
    ) -> Scores:
        with contextlib.nullcontext() if self.out is None else only_writer(self.out):
            if self.out is not None:
                remove_leftovers(self.out)
            return curves.measure(samples, self.out, kept, progress)
