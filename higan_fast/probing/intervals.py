"""From what was tallied to effects with intervals, and to which layers act."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from higan_fast.probing.tally import Effects
from higan_fast.statistics.confidence import bounds_by_moments
from higan_fast.statistics.corrections import holm
from higan_fast.statistics.effects import standard_error
from higan_fast.statistics.nulls import NullGeometry, null_band, null_scale

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class Intervals:
    """Effects and even parts of B boundaries, their intervals, and the null's band.

    The range of a score bounds its effects and even parts: with ends d apart, an effect is at most d / 2, and
    an even part at most d.
    """

    def __init__(
        self,
        effects: Effects,
        ranges: Array,
        logits: Sequence[int],
        columns: Sequence[int],
        confidence: float,
        *,
        fixed: bool,
        null_kinds: int = 1,
    ) -> None:
        """
        Args:
            effects: of the boundaries, and then of random directions, as many of each kind.
            ranges: between what each score lies, ``[S, 2]``; infinite: not known.
            logits: which semantics have them.
            columns: the semantic of each boundary.
            confidence: of each interval, and of the band.
            fixed: whether the number of samples was fixed beforehand.
            null_kinds: how many kinds of random directions there are.
        """
        num, self.columns = len(columns), list(columns)
        self.confidence, self.logits = confidence, list(logits)
        self.own = effects.of(slice(num))
        self.width = ranges[:, 1] - ranges[:, 0]  # [S]
        self.count = np.broadcast_to(self.own.num[:, :, None], self.own.mean.shape)
        self._bounds = partial(bounds_by_moments, fixed=fixed)
        self.num_null = (len(effects.num) - num) // null_kinds  # of each kind
        of_null = self._measured(effects.mean[num:], effects.num[num:])
        self.null_effects = of_null[:, :, self.columns].swapaxes(1, 2)  # [K R, B, 1 + L]
        self.null_scale = null_scale(of_null, null_kinds)  # [1 + L, S]

    def bounds(self, level: float) -> tuple[Array, Array]:
        """Of the effects, ``[B, 1 + L, S]`` each; see ``ConfidenceSequence.bounds``."""
        own = self.own
        return self._bounds(self.count, own.mean, own.m2, own.changed, self.width / 2, level)

    def even_bounds(self, level: float) -> tuple[Array, Array]:
        """Of the even parts, ``[B, 1 + L, S]`` each."""
        own = self.own
        return self._bounds(self.count, own.even, own.even_m2, own.even_changed, self.width, level)

    def logit_figures(self, level: float) -> dict[str, Array]:
        """Effects on logits, whose range is never known; NaN for semantics that have none."""
        own = self.own
        count = np.broadcast_to(own.num[:, :, None], own.logit.shape)
        low, high = self._bounds(count, own.logit, own.logit_m2, own.logit_changed, np.inf, level)
        error = standard_error(count, own.logit_m2)
        parts = {"logit_effect": own.logit, "logit_error": error, "logit_low": low, "logit_high": high}
        arrays = {}
        for name, part in parts.items():
            arrays[name] = np.full(own.mean.shape, np.nan)
            arrays[name][..., self.logits] = part
        return arrays

    @property
    def side_level(self) -> float:
        """Of one end of the intervals that side effects are judged by.

        All side effects together have the probability 1 − confidence of a wrong claim. It is shared by the
        effects on other semantics and the even parts, B · S of each, with two ends.
        """
        return (1 - self.confidence) / 4 / self.own.even[:, 0].size

    def off_target(self) -> tuple[Array, Array]:
        """Ends of the effects on other semantics at ``side_level``, ``[B, S]``; 0 for a boundary's own."""
        low, high = (ends[:, 0].copy() for ends in self.bounds(self.side_level))
        own = range(len(self.columns)), self.columns
        low[own] = high[own] = 0.0
        return low, high

    def moves(self) -> BoolArray:
        """Whether all layers together surely move another semantic, ``[B, S]``."""
        low, high = self.off_target()
        return np.asarray((low > 0) | (high < 0))

    def even_sure(self) -> BoolArray:
        """Whether the even part of all layers together is surely not 0, ``[B, S]``."""
        low, high = self.even_bounds(self.side_level)
        return np.asarray((low > 0) | (high < 0))[:, 0]

    def signs(self, level: float) -> NDArray[np.int8]:
        """Of the effects, ``[B, 1 + L, S]``; see ``ConfidenceSequence.signs``."""
        low, high = self.bounds(level)
        return (low > 0).astype(np.int8) - (high < 0).astype(np.int8)

    def figures(self) -> dict[str, Any]:
        """Those of a ``Verification``; NaN where nothing was measured."""
        level, own, of_own = (1 - self.confidence) / 2, self.own, self.own.num
        (low, high), (even_low, even_high) = self.bounds(level), self.even_bounds(level)
        null_low, null_high = null_band(self.null_scale, self.num_null, self.confidence)
        arrays = {
            "effect": own.mean,
            "standard_error": standard_error(self.count, own.m2),
            "low": low,
            "high": high,
            "even": own.even,
            "even_error": standard_error(self.count, own.even_m2),
            "even_low": even_low,
            "even_high": even_high,
            "higan_delta": own.higan_delta,
            **self.logit_figures(level),
        }
        return {
            **{name: self._measured(array, of_own) for name, array in arrays.items()},
            "moves": self.moves(),
            "even_sure": self.even_sure(),
            "null_low": null_low,
            "null_high": null_high,
            "samples": of_own,
        }

    @staticmethod
    def _measured(array: Array, num: NDArray[np.int64]) -> Array:
        return np.where(num[:, :, None] == 0, np.nan, array)


def sign_level(level: float, num: int, num_layers: int) -> float:
    """The level of the signs that ``layers_that_act`` takes at ``level``: each of B · L effects has two."""
    return level / (2 * max(num * num_layers, 1))


def layers_that_act(
    effects: Array, random: Array, geometry: NullGeometry, signs: NDArray[np.int8], level: float
) -> BoolArray:
    """Which layers alone change a score, up or down, and by more than the null does: ``[B, L]``.

    A layer does not act if its direction is a random one, or if its true effect is 0. That any of these is
    said to act has at most the probability ``level``: what has no sure sign cannot pass Holm's rule, and of
    layers without an effect each has one with at most the probability level / (B · L), the least that the
    rule asks of a p-value.

    Args:
        effects: of each layer alone; NaN where there is none to be tested.
        random: effects of the random directions on the same samples, ``[K R, B, L]``.
        geometry: of these, of each layer.
        signs: of the effects, where they are sure at ``sign_level``.
    """
    p_values = geometry.p_values(np.nan_to_num(effects), random)
    return holm(np.where(np.isnan(effects) | (signs == 0), 1.0, p_values)) <= level
