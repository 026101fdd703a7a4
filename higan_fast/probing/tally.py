"""Running statistics of paired scores: on the device, and in memory that does not grow with the samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.engine.found import Perturbed
from higan_fast.engine.streams import upload
from higan_fast.statistics.effects import Moments, even_part, higan_rise, merge_moments, paired_effect

Array = NDArray[np.float64]


class Effects(NamedTuple):
    """Sufficient statistics of the effects of M directions on S semantics, for each set of layers.

    What was not measured has the number 0 and a mean of 0.
    """

    num: NDArray[np.int64]  # [M, sets]
    mean: Array  # [M, sets, S]
    m2: Array  # [M, sets, S], sum of squared deviations
    even: Array  # [M, sets, S], mean of the even part
    even_m2: Array  # [M, sets, S]
    higan_delta: Array  # [M, sets, S]
    changed: NDArray[np.int64]  # [M, sets, S], in how many samples the effect was other than 0
    even_changed: NDArray[np.int64]  # [M, sets, S], and in how many the even part
    logit: Array  # [M, sets, K], mean effect on the logits of K semantics
    logit_m2: Array  # [M, sets, K]
    logit_changed: NDArray[np.int64]  # [M, sets, K]

    def of(self, rows: slice) -> Effects:
        """Of some directions."""
        return Effects._make(part[rows] for part in self)

    def merge(self, other: Effects) -> Effects:
        """Of the samples of both together."""
        counts = self.num[..., None], other.num[..., None]
        mean, m2 = merge_moments(counts[0], self.mean, self.m2, counts[1], other.mean, other.m2)
        even, even_m2 = merge_moments(
            counts[0], self.even, self.even_m2, counts[1], other.even, other.even_m2
        )
        rise, _ = merge_moments(counts[0], self.higan_delta, 0.0, counts[1], other.higan_delta, 0.0)
        changed, even_changed = self.changed + other.changed, self.even_changed + other.even_changed
        logit, logit_m2 = merge_moments(
            counts[0], self.logit, self.logit_m2, counts[1], other.logit, other.logit_m2
        )
        on_logits = logit, logit_m2, self.logit_changed + other.logit_changed
        return Effects(self.num + other.num, mean, m2, even, even_m2, rise, changed, even_changed, *on_logits)


class Tally:
    """Takes in paired scores, batch by batch in any order, and keeps their statistics on their device.

    Of the effects themselves it keeps only what decisions are made from: for the directions that are
    boundaries those on their own semantic, and for the others, random ones, those of all layers together on
    the boundaries' semantics.

    Attributes:
        own: ``[n, B, sets]``, NaN where nothing was measured.
        null: ``[n, M − B, B]``, likewise.
        lowest: the least score of each semantic so far, ``[S]`` ...
        highest: ... and the greatest.
    """

    def __init__(
        self,
        num_samples: int,
        num_directions: int,
        num_sets: int,
        columns: Sequence[int],
        base: Tensor,
        logits: Sequence[int] = (),
    ) -> None:
        """Nothing was measured yet.

        Args:
            columns: the semantic of each of the first B directions, which are boundaries.
            base: scores of the samples as they are, ``[n, S]``.
            logits: of which K semantics logits come, here and later, in place of scores.
        """
        self.logits, base = list(logits), with_scores(base, logits)
        shape, num = (num_directions, num_sets), len(columns)
        doubles: dict[str, Any] = {"dtype": torch.float64, "device": base.device}
        self.base, self.columns = base, torch.as_tensor(columns, dtype=torch.long, device=base.device)
        self.own = torch.full((num_samples, num, num_sets), torch.nan, **doubles)
        self.null = torch.full((num_samples, num_directions - num, num), torch.nan, **doubles)
        self._count = torch.zeros(*shape, 1, **doubles)
        sizes = base.shape[1], base.shape[1], len(self.logits)
        self._odd, self._even, self._logit = (_zeros(*shape, size, **doubles) for size in sizes)
        self._changed, self._even_changed, self._logit_changed = (
            torch.zeros(*shape, size, **doubles) for size in sizes
        )
        self._rise = torch.zeros(*shape, base.shape[1], **doubles)
        self.lowest, self.highest = base.amin(0), base.amax(0)

    def add(self, found: Perturbed) -> None:
        """Scores, or logits, of a step forth and one back, ``[n, m, 2, S]``."""
        samples, layer_set, directions, values = found
        on_logits = paired_effect(*values[..., self.logits].unbind(2))  # [n, m, K]
        values = with_scores(values, self.logits)
        plus, minus = values.unbind(2)  # [n, m, S]
        effects = paired_effect(plus, minus)
        where: Any = (upload(directions, values.device), layer_set)
        base = self.base[samples, None]  # [n, 1, S]
        count = self._count[where]  # [m, 1]
        even = even_part(plus, minus, base)
        for (mean, m2), changed, part in (
            (self._odd, self._changed, effects),
            (self._even, self._even_changed, even),
            (self._logit, self._logit_changed, on_logits),
        ):
            new = Moments.of(part, dim=0)  # [m, S]
            mean[where], m2[where] = merge_moments(count, mean[where], m2[where], new.count, new.mean, new.m2)
            changed[where] += (part != 0).sum(0)
        rise = higan_rise(plus, base)
        self._rise[where], _ = merge_moments(count, self._rise[where], 0.0, len(rise), rise.mean(0), 0.0)
        self._count[where] = count + len(rise)
        self.lowest = torch.minimum(self.lowest, values.amin((0, 1, 2)))
        self.highest = torch.maximum(self.highest, values.amax((0, 1, 2)))
        num = len(self.columns)
        own = int((directions < num).sum())  # directions are sorted: boundaries come first
        if own:
            columns = self.columns[where[0][:own]]
            picked = effects[:, torch.arange(own, device=values.device), columns]  # [n, own]
            self.own[samples, where[0][:own], layer_set] = picked
        if layer_set == 0 and own < len(directions) and num:
            self.null[samples, where[0][own:] - num] = effects[:, own:][..., self.columns]

    def effects(self) -> Effects:
        """What has been taken in, on the host."""
        means = (*self._odd, *self._even, self._rise, *self._logit)
        counts = self._count[..., 0], self._changed, self._even_changed, self._logit_changed
        mean, m2, even, even_m2, rise, logit, logit_m2 = (part.cpu().numpy() for part in means)
        num, changed, even_changed, logit_changed = (part.long().cpu().numpy() for part in counts)
        return Effects(
            num, mean, m2, even, even_m2, rise, changed, even_changed, logit, logit_m2, logit_changed
        )


def with_scores(values: Tensor, logits: Sequence[int]) -> Tensor:
    """Returns scores ``[..., S]`` from values that are logits in some columns."""
    if not logits:
        return values
    columns = torch.as_tensor(logits, dtype=torch.long, device=values.device)
    return values.index_copy(-1, columns, values[..., columns].sigmoid())


def _zeros(*shape: int, **options: Any) -> tuple[Tensor, Tensor]:
    """Mean and sum of squared deviations before the first sample."""
    return torch.zeros(*shape, **options), torch.zeros(*shape, **options)
