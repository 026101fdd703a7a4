"""The effects of directions, measured on paired images and kept part by part as samples are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.boundaries.boundary import Boundary, Space
from higan_fast.boundaries.displacement import displacements
from higan_fast.boundaries.origin import Drawn
from higan_fast.engine.crew import Crew
from higan_fast.engine.engine import Engine
from higan_fast.engine.estimate import Estimate, Rate
from higan_fast.engine.journal import Journal
from higan_fast.engine.plan import Plan, all_and_each
from higan_fast.generators.base import Generator
from higan_fast.predictors.base import LogitsOf, Predictor
from higan_fast.probing.effect_files import Measured, hash_of, key_of, name_of, stored_keys
from higan_fast.probing.shared_walks import share
from higan_fast.probing.tally import Effects, Tally, with_scores
from higan_fast.progress import progress as show_progress
from higan_fast.progress import say
from higan_fast.sampling.latents import (
    VERIFICATION,
    Codes,
    labelled_latents,
    labelled_moves,
    make_codes,
    map_labelled_latents,
)
from higan_fast.sampling.samples import deviation_of
from higan_fast.statistics.nulls import NullGeometry

Array = NDArray[np.float64]

# A few directions share each walk of the base samples; more would share it better, and would have
# an interrupted run lose more.
DIRECTIONS_AT_ONCE = 8

# Base samples are drawn, mapped and scored so many at a time, and then what they gave is kept.
SAMPLES_AT_ONCE = 64

# On so many base samples the standard deviation of a score is measured where its boundary does not say it:
# to 4 % of a Gaussian one. They are few beside what it takes to compare a boundary with the null.
DEVIATION_SAMPLES = 256


class Direction(NamedTuple):
    """A boundary, or a random direction of its norm."""

    name: str
    normal: Array  # [D] or [L, D]


class Walk(NamedTuple):
    """Base samples and what moves them.

    Attributes:
        base: layer codes ``[N, L, D]``, or latents with their classes where these move.
        codes: layer codes of the samples as they are, ``[N, L, D]``.
        plan: what moves.
        to_codes: what is moved → layer codes, where latents are.
    """

    base: Tensor
    codes: Tensor
    plan: Plan
    to_codes: Callable[[Tensor], Tensor]


class Measurement:
    """Measures directions on base samples, which are a pure function of the seed; their scores are kept.

    Attributes:
        ranges: between what each score lies, ``[S, 2]``; −inf and inf where it is not known.
        logits: of which semantics the engine gives logits.
        crew: who scores what moves, where scores are kept; None: this process does.
        networks: fingerprints of generator and predictor, which a crew needs.
    """

    def __init__(
        self,
        engine: Engine,
        space: Space,
        step: float,
        drawn: Drawn,
        crew: Crew | None = None,
        networks: Mapping[str, str] | None = None,
    ) -> None:
        self.crew, self.networks = crew, dict(networks or {})
        self.engine, self.space, self.step, self.drawn = engine, space, step, drawn
        self.layer_sets = _layer_sets(space, engine.generator)
        self.num_scored = 0  # the base samples that were scored whatever the rounds take
        scorer = engine.predictor
        of_scores = scorer.predictor if isinstance(scorer, LogitsOf) else scorer
        has_logits = of_scores.has_logits if of_scores and of_scores is not scorer else ()
        self.ranges = ranges_of(of_scores)
        self.logits = tuple(column for column, has in enumerate(has_logits) if has)
        self._rate: Rate | None = None
        self._base: dict[range, Tensor] = {}  # scores of base samples, [n, S]

    def draw(self, start: int, stop: int) -> Codes:
        """The codes of the base samples ``start`` to ``stop - 1``."""
        seed, psi, truncated, label = self.drawn
        return make_codes(self.engine.generator, seed, start, stop, psi, truncated, VERIFICATION, label)

    def measure(
        self,
        directions: Sequence[Direction],
        samples: range,
        chosen: NDArray[np.bool_] | None = None,
        columns: Sequence[int] = (),
        *,
        file: Path | None,
        key: str,
        advance: Callable[[int], None] = lambda count: None,
    ) -> Measured:
        """Moves base samples one step forth and one back along directions, part by part.

        Each part is kept as it is done, and within a part the scores every few seconds, so that a
        measurement that was interrupted goes on where it was. What comes out is the same to the bit: the
        parts and the order of their sums do not change.

        Args:
            samples: which of the base samples.
            chosen: which direction on which set of layers, ``[M, sets]``; None: all.
            columns: as ``Tally`` wants them.
            file: where to keep the parts that are done; None: nowhere.
            key: says what the file is of.
            advance: hears of every perturbed image that has been scored, not of those that were kept.

        Raises:
            ValueError: when a score is not finite.
        """
        found = Measured.load(file, key) if file else None
        parts = _parts(samples[found.num if found else 0 :])
        if file and self.crew:
            journals = [(part, self._journal(file, key, part.start)) for part in parts]
            share(self, directions, chosen, journals, self.crew, advance)
        for part in parts:
            journal = self._journal(file, key, part.start) if file else None
            tally = self.tally(directions, part, chosen, columns, advance, journal)
            new = Measured(self.effects(directions, tally), tally.own.cpu().numpy(), tally.null.cpu().numpy())
            found = found.merge(new) if found else new
            if file and journal:
                found.save(file, key)
                journal.drop()
        assert found is not None, "there are samples"
        return found

    def images_kept(self, file: Path | None, key: str, samples: range, each: int) -> int:
        """How many images of perturbed samples a file of ``measure`` has kept.

        Args:
            file, key, samples: as ``measure`` gets them.
            each: how many images there are of a sample.
        """
        if file is None:
            return 0
        kept = Measured.load(file, key)
        done = kept.num if kept else 0
        in_work = self._journal(file, key, samples[done]).num_kept if done < len(samples) else 0
        return each * done + in_work

    def _journal(self, file: Path, key: str, start: int) -> Journal:
        """The scores so far of the part that begins with the sample ``start``."""
        place = file.with_name(f"{file.stem}-{start}{file.suffix}")
        return self.engine.journal(place, key_of(of=key, start=start))

    def tally(
        self,
        directions: Sequence[Direction],
        samples: range,
        chosen: NDArray[np.bool_] | None,
        columns: Sequence[int],
        advance: Callable[[int], None],
        journal: Journal | None,
    ) -> Tally:
        """Does one part of ``measure``."""
        walk = self.walk(directions, samples, chosen)
        base = self._base_scores(samples, walk.codes)
        sizes = len(samples), len(directions), len(self.layer_sets)
        tally = Tally(*sizes, columns, base, self.logits)
        for found in self.engine.perturbed_scores(walk.base, walk.plan, walk.to_codes, journal):
            tally.add(found)
            num = found.values[..., 0].numel()
            advance(journal.fresh(num) if journal else num)
        return tally

    def walk(self, directions: Sequence[Direction], samples: range, chosen: NDArray[np.bool_] | None) -> Walk:
        """What one part of ``measure`` walks."""
        generator, (_, psi, truncated, _) = self.engine.generator, self.drawn
        to_codes = partial(map_labelled_latents, generator, truncation_psi=psi, truncation_layers=truncated)
        drawn, plan = self.draw(samples.start, samples.stop), self.plan(directions, chosen)
        base = labelled_latents(generator, drawn) if plan.in_latents else drawn.codes
        return Walk(base, drawn.codes, plan, to_codes)

    def estimate(
        self, directions: Sequence[Direction], num: int, chosen: NDArray[np.bool_] | None = None
    ) -> Estimate:
        """What the first ``num`` base samples would take; the first call times a few images."""
        if self._rate is None:
            self._rate = Rate(self.engine)
        return self._rate.estimate(self.plan(directions, chosen), num)

    def geometry(self, directions: Sequence[Direction], num: int, kinds: int) -> NullGeometry:
        """How random directions lie to the first ``num``, which are boundaries, on each set of layers."""
        moves = self._moves(directions).double().cpu().numpy()  # [M, L, D], or [M, D] in z
        parts = [moves[:, list(layers)] if layers else moves for layers in self.layer_sets]
        each = [NullGeometry.of(part.reshape(len(moves), -1), num, kinds) for part in parts]
        return NullGeometry._make(np.stack(values, axis=-1) for values in zip(*each, strict=True))

    def each(
        self,
        directions: Sequence[Direction],
        num: int,
        folder: Path | None,
        settings: dict[str, Any],
        progress: bool,
    ) -> Effects:
        """Effects of each direction on the first ``num`` base samples, on every set of layers.

        What lies in ``folder`` and was measured with the same settings is not measured again.
        """
        hashes = [hash_of(direction.normal) for direction in directions]
        found = {} if folder is None else _kept(folder, settings, num)
        missing = [index for index, name in enumerate(hashes) if name not in found]
        if progress and missing:
            say(f"verifying: {self.estimate([directions[index] for index in missing], num)}")
        # One file for those that are measured together: a kill can never part them, and who is measured in
        # whose company decides how float32 sums are rounded.
        work: list[tuple[list[int], str, Path | None]] = []
        for start in range(0, len(missing), DIRECTIONS_AT_ONCE):
            together = missing[start : start + DIRECTIONS_AT_ONCE]
            key = key_of(settings=settings, num=num, normals=[hashes[index] for index in together])
            work.append((together, key, folder / f"{name_of(key)}.npz" if folder else None))
        each = 2 * len(self.layer_sets)  # images of a direction and a sample
        done = (len(directions) - len(missing)) * each * num
        for together, key, file in work:
            done += self.images_kept(file, key, range(num), len(together) * each)
        total = len(directions) * each * num
        with show_progress("verifying", total, done=done, enabled=progress) as advance:
            for together, key, file in work:
                chosen = [directions[index] for index in together]
                measured = self.measure(chosen, range(num), file=file, key=key, advance=advance)
                found |= {
                    hashes[index]: measured.effects.of(slice(row, row + 1))
                    for row, index in enumerate(together)
                }
        ordered = zip(*(found[name] for name in hashes), strict=True)
        return Effects._make(np.concatenate(parts) for parts in ordered)

    def deviation(self, boundaries: Mapping[str, Boundary], at_most: int) -> Array:
        """Returns the standard deviation of each score, ``[S]``: the unit in which effects compare.

        It is that over the samples that the semantic's boundary was fitted to. Where no boundary says so, it
        is that over the first base samples, ``DEVIATION_SAMPLES`` of them or ``at_most``.
        """
        assert self.engine.predictor is not None
        names = self.engine.predictor.names
        known = [boundaries[name].deviation if name in boundaries else None for name in names]
        found = np.array([np.nan if value is None else value for value in known])
        missing = np.isnan(found)
        if missing.any():
            self.num_scored = min(DEVIATION_SAMPLES, at_most)
            parts = _parts(range(self.num_scored))
            values = [self._base_scores(part, self.draw(part.start, part.stop).codes) for part in parts]
            scores = with_scores(torch.cat(values), self.logits)
            found[missing] = deviation_of(scores.cpu().numpy())[missing]
        return found

    def effects(self, directions: Sequence[Direction], tally: Tally) -> Effects:
        """What a tally has taken in.

        Raises:
            ValueError: when a score was not finite, or out of its range.
        """
        effects, predictor = tally.effects(), self.engine.predictor
        assert predictor is not None
        broken = np.argwhere(~(np.isfinite(effects.mean) & np.isfinite(effects.higan_delta)))
        if len(broken):
            row, _, column = broken[0]
            raise ValueError(
                f"scores: the predictor gave NaN or infinity for semantic {predictor.names[column]!r} "
                f"on images moved along {directions[row].name}; what was measured before is kept"
            )
        lowest, highest = (part.double().cpu().numpy() for part in (tally.lowest, tally.highest))
        check_ranges(predictor.names, lowest, highest, self.ranges)
        return effects

    def _base_scores(self, samples: range, codes: Tensor) -> Tensor:
        """Of base samples as they are, or logits where there are: ``[n, S]``."""
        if samples not in self._base:
            self._base[samples] = self.engine.scores(codes)
        return self._base[samples]

    def plan(self, directions: Sequence[Direction], chosen: NDArray[np.bool_] | None) -> Plan:
        """Both steps along directions, on the sets of layers that are chosen (None: all)."""
        steps = torch.tensor([self.step, -self.step], dtype=torch.float64)
        if chosen is None:
            chosen = np.ones((len(directions), len(self.layer_sets)), np.bool_)
        return Plan(self._moves(directions), self.layer_sets, steps, chosen)

    def _moves(self, directions: Sequence[Direction]) -> Tensor:
        """What a step of 1 along each direction adds: to codes ``[M, L, D]``, or to labelled latents in z."""
        generator = self.engine.generator
        normals = [direction.normal for direction in directions]
        if self.space == "z":
            return labelled_moves(generator, normals)
        _, psi, truncated, _ = self.drawn
        return displacements(generator, self.space, normals, truncation_psi=psi, truncation_layers=truncated)


def _kept(folder: Path, settings: dict[str, Any], num: int) -> dict[str, Effects]:
    """The effects of all directions that are done: hash of the normal → effects."""
    found: dict[str, Effects] = {}
    for path, stored in stored_keys(folder).items():
        if {**stored, "normals": None} == {"settings": settings, "num": num, "normals": None}:
            measured = Measured.load(path, key_of(**stored))
            if measured and measured.num == num:
                found |= {
                    name: measured.effects.of(slice(row, row + 1))
                    for row, name in enumerate(stored["normals"])
                }
    return found


def check_ranges(names: Sequence[str], lowest: Array, highest: Array, ranges: Array) -> None:
    """Raises ValueError when the least and greatest scores ``[S]`` are not within their ranges ``[S, 2]``."""
    for column, ends in enumerate(ranges):
        spare = 1e-6 * (ends[1] - ends[0])  # for float32
        if lowest[column] < ends[0] - spare or highest[column] > ends[1] + spare:
            raise ValueError(
                f"scores: the predictor gave {lowest[column]:g} to {highest[column]:g} for semantic "
                f"{names[column]!r}, which is said to lie between {ends[0]:g} and {ends[1]:g}; "
                "give the true range of the scores, or none"
            )


def ranges_of(predictor: Predictor | None) -> Array:
    """Returns between what each score lies, ``[S, 2]``; −inf and inf where that is not known.

    Raises:
        ValueError: when a range that the predictor states is none.
    """
    ranges = () if predictor is None else predictor.score_ranges
    ends = np.array([(-np.inf, np.inf) if each is None else each for each in ranges], np.float64)
    bad = [] if predictor is None else [i for i, (low, high) in enumerate(ends) if not low < high]
    if bad:
        name = predictor.names[bad[0]] if predictor else ""
        raise ValueError(
            f"score_ranges: the predictor says {ranges[bad[0]]!r} for {name!r}, expected (low, high) "
            "between which its scores always lie, or None"
        )
    return ends


def _parts(samples: range) -> list[range]:
    return [samples[start : start + SAMPLES_AT_ONCE] for start in range(0, len(samples), SAMPLES_AT_ONCE)]


def _layer_sets(space: Space, generator: Generator) -> tuple[tuple[int, ...], ...]:
    """What is measured: all layers together, and each alone where there are several. In z all move."""
    if space == "z":
        return ((),)
    return all_and_each(generator.num_layers) if generator.num_layers > 1 else ((0,),)
