"""The effects of directions on all scores, and the claims of them: on fixed samples, or round by round."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from higan_fast.probing.effect_files import hash_of, key_of, name_of
from higan_fast.probing.families import Family, spread
from higan_fast.probing.measurement import Direction, Measurement
from higan_fast.probing.outlook import GIVEN_UP_AFTER
from higan_fast.probing.sequential import Rounds
from higan_fast.probing.tally import Effects
from higan_fast.progress import overall, say
from higan_fast.progress import progress as show_progress
from higan_fast.statistics.confidence import bounds_by_moments
from higan_fast.statistics.corrections import holm
from higan_fast.statistics.decisions import rounds as stops_of
from higan_fast.statistics.effect_test import EffectTest
from higan_fast.statistics.nulls import NullGeometry

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class Task(NamedTuple):
    """What is measured, and how sure it must be.

    Attributes:
        moved: the B directions, and then random ones.
        families: of the directions.
        confidence: of all claims together.
        folder: keeps what is measured, under the settings; None: nothing does.
        settings: as ``made_by`` gives them.
        progress: whether to show it.
    """

    measurement: Measurement
    moved: Sequence[Direction]
    families: Sequence[Family]
    confidence: float
    folder: Path | None
    settings: dict[str, Any]
    progress: bool

    @property
    def num(self) -> int:
        """B."""
        return sum(len(family.rows) for family in self.families)

    @property
    def level(self) -> float:
        """What is shared by the null and the signs; as much again is the layers', where there are any."""
        several = any(len(family.layers) > 1 for family in self.families)
        return (1 - self.confidence) / (2 if several else 1)

    @property
    def reach(self) -> Array:
        """The largest possible size of an effect on each score, ``[S]``."""
        ranges = self.measurement.ranges
        return np.asarray((ranges[:, 1] - ranges[:, 0]) / 2)

    def asked(self) -> BoolArray:
        """Nothing of what can be measured, ``[M, sets]``."""
        return np.zeros((len(self.moved), len(self.measurement.layer_sets)), np.bool_)


class Claims(NamedTuple):
    """What was measured, and what is sure of it; figures of all pairs of B directions and S semantics.

    Attributes:
        effects: of the directions and the random ones; all layers first.
        fixed: whether the numbers of samples were.
        p_values, p_adjusted, p_required: ``[B, S]``, against the null, at the last look at each.
        sign: of what is surely moved, beyond the null, ``[B, S]``.
        undecided: of which more samples might tell more, ``[B, S]``.
        top_layer, top_layer_sure: ``[B, S]``, −1 where no layer was measured alone.
        images: how many were scored.
    """

    effects: Effects
    fixed: bool
    p_values: Array
    p_adjusted: Array
    p_required: Array
    sign: NDArray[np.int8]
    undecided: BoolArray
    top_layer: NDArray[np.int64]
    top_layer_sure: BoolArray
    images: int


def measure_fixed(task: Task, num: int) -> Claims:
    """Measures everything on ``num`` samples, and tests it once; what is kept is not measured again."""
    asked = task.asked()
    for family in task.families:
        asked[family.rows, family.together] = asked[family.null, family.together] = True
        asked[np.ix_(family.rows, family.alone)] = True
    hashes = [hash_of(direction.normal) for direction in task.moved]
    key = key_of(settings=task.settings, num=num, own=task.num, directions=hashes, asked=hash_of(asked))
    file = task.folder / f"{name_of(key)}.npz" if task.folder else None
    images = 2 * int(asked.sum())
    done = task.measurement.images_kept(file, key, range(num), images)
    measurement, moved = task.measurement, task.moved
    if task.progress and done < images * num:
        say(f"verifying directions: {measurement.estimate(moved, num - done // images, asked)}")
    with show_progress("verifying", images * num, done=done, enabled=task.progress) as advance:
        effects = measurement.measure(moved, range(num), asked, file=file, key=key, advance=advance).effects
    spread(task.families, effects)
    own = effects.of(slice(task.num))
    shape = own.mean[:, 0].shape
    p_values = np.ones(shape)
    for family in task.families:
        of_random = effects.mean[family.null, 0]
        p_values[family.rows] = _p_values(family.geometry, own.mean[family.rows, 0], of_random)
    adjusted, required = holm(p_values), task.level / 2
    low, high = (ends[:, 0] for ends in bounds(task, own, task.level / 4 / p_values.size, fixed=True))
    sign = (low > 0).astype(np.int8) - (high < 0).astype(np.int8)
    sign[adjusted > required] = 0
    top, sure, _ = _top_layers(task, own, sign != 0, np.ones(shape, np.bool_), fixed=True)
    return Claims(
        effects, True, p_values, adjusted, np.full(shape, required), sign, np.zeros(shape, np.bool_), top,
        sure, num + images * num,
    )  # fmt: skip


def measure_until_decided(task: Task, max_samples: int) -> Claims:
    """Measures in rounds what may still be decided, as ``verify`` does, with the same looks at the null.

    First on all layers together, each direction as long as a semantic is open that it may move; then what
    surely moves something on each layer alone, as long as the layer may be the one that moves it most.
    Every round follows from those before it and is kept.
    """
    families, num = task.families, task.num
    semantics = len(task.reach)
    test = EffectTest(
        num * semantics, 1, _of_pairs(task), max_samples, task.level, 1 - task.confidence, two_sided=True
    )
    rounds = Rounds(task.measurement, task.moved, (), task.folder, task.settings, task.progress)
    if task.progress:
        asked = task.asked()
        for family in families:
            asked[family.rows, family.together] = asked[family.null, family.together] = True
        likely = task.measurement.estimate(task.moved, min(max_samples, GIVEN_UP_AFTER), asked)
        say(f"verifying directions: likely about {likely} on all layers together, and fewer on each")
    with overall("verifying", num, "directions settled", enabled=task.progress) as report:
        for samples in _rounds(max_samples):
            asked = task.asked()
            left, waiting = (
                np.asarray(part.reshape(num, semantics).any(axis=1))
                for part in (test.open, test.open & ~test.beyond)
            )
            for family in families:
                asked[[row for row in family.rows if left[row]], family.together] = True
                asked[family.null, family.together] = waiting[family.rows].any()
            if not asked.any():
                break
            round_ = rounds.measure(samples, asked).effects
            assert rounds.effects is not None
            so_far = _OfPairs(task, rounds.effects)
            test.update_with_sums(so_far, samples.stop, _sums(task, round_) if waiting.any() else None)
            open_pairs = test.undecided.reshape(num, semantics)
            report(
                num - int(open_pairs.any(axis=1).sum()),
                f"{int(test.has_effect.sum()):,} pairs shown, {int(test.given_up.sum()):,} given up, "
                f"{int(open_pairs.sum()):,} open; {samples.stop:,} of at most {max_samples:,} samples",
            )
        assert rounds.effects is not None  # there is a first round
        shown = test.has_effect.reshape(num, semantics)
        top, sure = _search_layers(task, rounds, shown, max_samples)
    images = rounds.num_base + 2 * int(rounds.effects.num.sum())
    spread(families, rounds.effects)
    p_values, p_adjusted, p_required = (
        part.reshape(num, semantics) for part in (test.p_values, test.p_adjusted, test.p_required)
    )
    sign = (test.rises.astype(np.int8) - test.falls.astype(np.int8)).reshape(num, semantics) * shown
    undecided = test.undecided.reshape(num, semantics)
    return Claims(
        rounds.effects, False, p_values, p_adjusted, p_required, sign.astype(np.int8), undecided, top, sure,
        images,
    )  # fmt: skip


def bounds(task: Task, own: Effects, level: float, *, fixed: bool) -> tuple[Array, Array]:
    """Bounds of the effects of directions, ``[B, sets, S]``, each with an error of at most ``level``.

    NaN where nothing was measured, and 0 where a direction has nothing to move.
    """
    shape = own.mean.shape
    count = np.broadcast_to(np.maximum(own.num, 1)[:, :, None], shape)
    ends = bounds_by_moments(count, own.mean, own.m2, own.changed, task.reach, level, fixed=fixed)
    unmoved = still(task)[:, :, None]
    unknown = ((own.num == 0) & ~still(task))[:, :, None]
    low, high = (np.where(unmoved, 0.0, np.where(unknown, np.nan, end)) for end in ends)
    return low, high


def still(task: Task) -> BoolArray:
    """On which sets of layers a direction has nothing to move, ``[B, sets]``."""
    found = np.ones((task.num, len(task.measurement.layer_sets)), np.bool_)
    for family in task.families:
        found[family.rows, 0] = False
        found[np.ix_(family.rows, family.alone)] = False
    return found


def _rounds(max_samples: int) -> list[range]:
    stops = [0, *stops_of(max_samples)]
    return [range(start, stop) for start, stop in pairwise(stops)]


class _OfPairs:
    """Means of the effects of all pairs on all layers together, and their signs at any number of samples."""

    def __init__(self, task: Task, effects: Effects) -> None:
        self.task = task
        together = np.zeros(task.num, np.intp)
        for family in task.families:
            together[family.rows] = family.together
        rows = np.arange(task.num)
        self.means, self.m2 = effects.mean[rows, together], effects.m2[rows, together]
        self.changed = effects.changed[rows, together]
        self.count = np.maximum(effects.num[rows, together, None], 1)
        self.mean: Array = self.means.ravel()

    def signs(self, level: float) -> NDArray[np.int8]:
        """As in ``ConfidenceSequence``."""
        low, high = bounds_by_moments(self.count, self.means, self.m2, self.changed, self.task.reach, level)
        return ((low > 0).astype(np.int8) - (high < 0).astype(np.int8)).ravel()


def _of_pairs(task: Task) -> NullGeometry:
    """The geometry of each pair of a direction and a semantic, ``[K, R, B S]``."""
    semantics, parts = len(task.reach), [family.geometry for family in task.families]
    order = np.argsort([row for family in task.families for row in family.rows])
    whole = NullGeometry._make(np.concatenate(values, axis=-1) for values in zip(*parts, strict=True))
    return NullGeometry._make(np.repeat(values[..., order], semantics, axis=-1) for values in whole)


def _sums(task: Task, effects: Effects) -> Array:
    """The sums over a round of the random directions' effects, for each pair, ``[K R, B S]``."""
    found = np.zeros((task.families[0].geometry.cosines[..., 0].size, task.num, len(task.reach)))
    for family in task.families:
        num = effects.num[family.null, family.together, None]
        found[:, family.rows] = (num * effects.mean[family.null, family.together])[:, None]
    return found.reshape(len(found), -1)


def _search_layers(
    task: Task, rounds: Rounds, shown: BoolArray, max_samples: int
) -> tuple[NDArray[np.int64], BoolArray]:
    """Moves what surely moves something on each layer alone, until the top layers are known."""
    several = np.zeros(task.num, np.bool_)
    for family in task.families:
        several[family.rows] = len(family.layers) > 1
    wanted = shown & several[:, None]
    left = np.zeros((task.num, len(task.measurement.layer_sets)), np.bool_)
    for family in task.families:
        left[np.ix_(family.rows, family.alone)] = True
    for samples in _rounds(max_samples):
        asked = task.asked()
        asked[: task.num] = left & np.asarray(wanted.any(axis=1))[:, None]
        if not asked.any():
            break
        rounds.measure(samples, asked)
        assert rounds.effects is not None
        own = rounds.effects.of(slice(task.num))
        _, sure, possible = _top_layers(task, own, shown, wanted, fixed=False)
        wanted = wanted & ~sure
        left[:, 1:] &= (possible & wanted[:, None]).any(axis=2)
    assert rounds.effects is not None
    top, sure, _ = _top_layers(task, rounds.effects.of(slice(task.num)), shown, shown, fixed=False)
    return top, sure


def _top_layers(
    task: Task, own: Effects, shown: BoolArray, wanted: BoolArray, *, fixed: bool
) -> tuple[NDArray[np.int64], BoolArray, BoolArray]:
    """The layer with the effect of largest magnitude, −1 where none was measured; whether it surely is.

    Args:
        shown: which pairs surely have an effect: what moves a single layer has it there.
        wanted: of which pairs a layer is to be named.

    Returns:
        ``[B, S]`` twice, and which layers may be it, ``[B, L, S]``.
    """
    shape = own.mean[:, 0].shape
    layers = own.mean.shape[1] - 1
    if layers == 0:
        return np.full(shape, -1), np.zeros(shape, np.bool_), np.zeros((shape[0], 0, shape[1]), np.bool_)
    level = (1 - task.confidence) / 2 / 2 / (shape[0] * shape[1] * layers)
    low, high = (ends[:, 1:] for ends in bounds(task, own, level, fixed=fixed))
    measured = ~np.isnan(low)
    least = np.where(measured, np.maximum(np.maximum(low, -high), 0), 0)
    most = np.where(measured, np.maximum(np.abs(low), np.abs(high)), np.inf)
    top = np.abs(own.mean[:, 1:]).argmax(axis=1)
    of_top = np.take_along_axis(least, top[:, None], axis=1)[:, 0]
    possible = most >= least.max(axis=1, keepdims=True)
    others = most.copy()
    np.put_along_axis(others, top[:, None], -np.inf, axis=1)
    sure = of_top > others.max(axis=1)
    named = wanted & np.asarray((own.num[:, 1:] > 0).any(axis=1))[:, None]
    for family in task.families:  # whose only layer needs no search
        if len(family.layers) == 1:
            named[family.rows], sure[family.rows] = True, shown[family.rows]
    return np.where(named, top, -1), sure & named, possible


def _p_values(geometry: NullGeometry, own: Array, random: Array) -> Array:
    """Two-sided p-values of effects ``[B, S]`` against those of random directions, ``[K R, S]``."""
    columns = [
        geometry.p_values(own[:, column], np.repeat(random[:, column, None], len(own), axis=1))
        for column in range(own.shape[1])
    ]
    return np.stack(columns, axis=1)
