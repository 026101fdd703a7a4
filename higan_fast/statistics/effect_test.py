"""The sequential test of effects: above 0, and beyond random directions at one of a few looks."""

from __future__ import annotations

from itertools import takewhile
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from higan_fast.statistics.corrections import holm
from higan_fast.statistics.nulls import NullGeometry

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

FIRST_LOOK = 32

# From this look on, what lies within the null's band is given up: what random directions do on so many
# samples is nearly what they do on all.
GIVING_UP_FROM = 256


def null_looks(max_samples: int) -> dict[int, float]:
    """Numbers of samples at which effects are compared with the null's → their shares of the level.

    They double without an end, and so do not depend on ``max_samples``, which only says how many there are:
    a verification that goes on with more samples repeats the looks that it had, and adds others. Later looks
    tell more, up to where more samples hardly change what a direction does, so that shares double and then
    halve: 1/32, 1/16, 1/8, 1/4, 1/4, 1/8, 1/16 … add up to 31/32. The 32nd that is left is for
    ``max_samples`` below the first look, which are then the only one.
    """
    looks = takewhile(lambda look: look <= max_samples, (FIRST_LOOK * 2**k for k in range(64)))
    return {look: min(look / 1024, 128 / look) for look in looks} or {max_samples: 1 / 32}


def next_look(samples: int) -> int:
    """The look that follows the one at ``samples``."""
    return 2 * samples if samples >= FIRST_LOOK else FIRST_LOOK


class Means(Protocol):
    """Means and their signs, as a ``ConfidenceSequence`` has them."""

    mean: Array

    def signs(self, level: float) -> NDArray[np.int8]:
        """As in ``ConfidenceSequence``."""


class EffectTest:
    """Whether effects on all layers together are above 0, and beyond those of random directions.

    A random direction passes the second test with a probability within the level at any number of samples,
    since that is about the directions. Only a rise is claimed, so the test has one side, unless it is to have
    two, and then effects of either sign are claimed. Half of the level goes to the looks, shared as
    ``null_looks`` says; in a look by Holm's rule over all boundaries that have not passed yet. The other half
    goes to the B signs. Giving up early makes no error more likely.

    Attributes:
        rises: surely above 0, ``[B]``.
        falls: surely below 0, ``[B]``.
        beyond: beyond the null at some look, ``[B]``.
        given_up: within the null's band at a look from ``GIVING_UP_FROM`` samples on, ``[B]``.
        out_of_looks: neither beyond the null nor given up at the last look, ``[B]``.
        p_values: against the null, at the last look at which a boundary was tested, ``[B]`` ...
        p_adjusted: ... after Holm's correction, ``[B]`` ...
        p_required: ... what that must not exceed, ``[B]`` ...
        tested_on: ... and on how many samples, ``[B]``.
    """

    def __init__(
        self,
        num: int,
        sets: int,
        geometry: NullGeometry,
        max_samples: int,
        level: float,
        band_level: float,
        two_sided: bool = False,
    ) -> None:
        """
        Args:
            geometry: of the random directions; an effect must be beyond each kind.
            band_level: the probability that a random direction lies outside the null's band.
            two_sided: whether effects below 0 are claimed too.
        """
        self.rises, self.falls, self.beyond, self.given_up, self.out_of_looks = np.zeros((5, num), np.bool_)
        self.p_values, self.p_adjusted, self.p_required = np.ones((3, num))
        self.tested_on = np.zeros(num, np.int64)
        self.geometry = geometry
        self.null_total = np.zeros((geometry.cosines[..., 0].size, num))
        self.null_samples = 0
        self.rows = np.arange(num) * sets  # the entries of all layers together
        self.two_sided, self.band_level = two_sided, band_level
        self.sign_level = level / 2 / num / (2 if two_sided else 1)
        self.look_levels = {look: level / 2 * share for look, share in null_looks(max_samples).items()}

    @property
    def has_effect(self) -> BoolArray:
        return self._claimed & self.beyond

    @property
    def open(self) -> BoolArray:
        """Boundaries that more samples may decide."""
        return ~(self.has_effect | self._fell | self.given_up | self.out_of_looks)

    @property
    def undecided(self) -> BoolArray:
        """Boundaries that are open, or would be if there were more looks."""
        return self.open | (self.out_of_looks & ~self._fell)

    @property
    def _claimed(self) -> BoolArray:
        return self.rises | self.falls if self.two_sided else self.rises

    @property
    def _fell(self) -> BoolArray:
        """Those whose sign is the one that is not claimed."""
        return np.zeros_like(self.falls) if self.two_sided else self.falls

    def update(self, effects: Means, done: int, null: Array | None) -> None:
        """``effects``: with this round's samples, up to ``done``; ``null``: of this round, ``[n, R, B]``."""
        if null is not None:
            expected = (done - self.null_samples, *self.null_total.shape)
            if null.shape != expected:
                raise ValueError(f"null: got shape {list(null.shape)}, expected {list(expected)}")
        self._update(effects, done, null)

    def update_with_sums(self, effects: Means, done: int, null: Array | None) -> None:
        """As ``update``, with the sums of the random directions' effects over this round, ``[R, B]``."""
        self._update(effects, done, None if null is None else null[None])

    def _update(self, effects: Means, done: int, null: Array | None) -> None:
        tested = self.open
        if null is not None:
            if not np.isfinite(null).all():
                raise ValueError("null: got NaN or infinity")
            for of_sample in null:
                self.null_total += of_sample
            self.null_samples = done
            if done in self.look_levels:
                self._look(effects.mean[self.rows], tested, done)
        signs = effects.signs(self.sign_level)[self.rows]
        self.rises |= tested & (signs > 0) & ~self.falls
        self.falls |= tested & (signs < 0) & ~self.rises

    def _look(self, own: Array, tested: BoolArray, done: int) -> None:
        level, waiting = self.look_levels[done], ~self.beyond
        p_values = self.geometry.p_values(
            own, self.null_total / self.null_samples, one_sided=not self.two_sided
        )
        adjusted = np.ones_like(p_values)
        # Those that fell or were given up count in Holm's rule, though they cannot pass.
        adjusted[waiting] = holm(np.where(tested, p_values, 1.0)[waiting])
        seen = tested & waiting
        self.p_values[seen], self.p_adjusted[seen] = p_values[seen], adjusted[seen]
        self.p_required[seen], self.tested_on[seen] = level, done
        self.beyond |= seen & (adjusted <= level)
        if done >= GIVING_UP_FROM:
            sides = 1 if self.two_sided else 2
            self.given_up |= seen & ~self.beyond & (sides * p_values > self.band_level)
        if done == max(self.look_levels):
            self.out_of_looks |= seen & ~self.beyond & ~self.given_up
