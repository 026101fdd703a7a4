"""FIR filters and paddings as StyleGAN code passes them → as our ops take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from higan_fast.generators.prepared import is_watched

# Of the largest value: a product of taps in float32 differs from the filter by a few roundings.
ROUNDING = 1e-6

# filter → (its version, its taps)
_known: Any = WeakTensorKeyDictionary()


def setup_filter(
    f: Any,
    device: Any = torch.device("cpu"),  # noqa: B008 (theirs)
    normalize: bool = True,
    flip_filter: bool = False,
    gain: float = 1,
    separable: bool | None = None,
) -> Tensor:
    """Returns a filter as NVlabs' ``upfirdn2d.setup_filter`` does.

    Args:
        f: taps ``[k]``, a filter ``[kh, kw]``, a number, or None for the identity.
        device: where the filter is wanted.
        normalize: whether to divide by the sum.
        flip_filter: whether to mirror it.
        gain: of the signal; for one axis of two it is the root of that.
        separable: whether to return one axis ``[k]``; None: from 8 taps on. Otherwise ``[kh, kw]``.

    Raises:
        ValueError: if ``f`` has more than two axes or no values, or has two and must be separable.
    """
    filter_ = torch.as_tensor(1 if f is None else f, dtype=torch.float32)
    if filter_.ndim > 2 or filter_.numel() == 0:
        raise ValueError(f"f: got shape {tuple(filter_.shape)}, expected [], [k] or [kh, kw]")
    if filter_.ndim == 0:
        filter_ = filter_[None]
    one_axis = filter_.ndim == 1
    separable = (one_axis and filter_.numel() >= 8) if separable is None else separable
    if separable and not one_axis:
        raise ValueError(f"separable: got True for f of shape {tuple(filter_.shape)}, expected taps [k]")
    if not separable and one_axis:
        filter_ = torch.outer(filter_, filter_)
    if normalize:
        filter_ = filter_ / filter_.sum()
    if flip_filter:
        filter_ = filter_.flip(list(range(filter_.ndim)))
    return (filter_ * gain ** (filter_.ndim / 2)).to(device=device)


def for_ops(f: Tensor | None, x: Tensor) -> Tensor:
    """Returns a filter for our ops: ``[k]`` where both axes have the same taps, else as it is; None: [1]."""
    if f is None:
        return torch.ones(1, device=x.device)
    if f.ndim != 2:
        return f
    taps = taps_of(f)
    return f if taps is None else taps


def taps_of(f: Tensor) -> Tensor | None:
    """Returns the taps ``[k]`` whose product with themselves is ``f`` ``[…, k, k]``; None: there are none.

    The result is kept while the filter lives and does not change, because finding it reads the filter's
    values. A compiler or a tracer sees no values: there it is None.
    """
    if is_watched():
        return None
    if f.is_inference():
        return _taps_of(f)
    version, taps = _known.get(f, (None, None))
    if version != f._version:
        with torch.inference_mode(False):
            taps = _taps_of(f)
        _known[f] = (f._version, taps)
    return taps


@torch.no_grad()
def _taps_of(f: Tensor) -> Tensor | None:
    values = f.detach().reshape(f.shape[-2:]).to("cpu", torch.float64)
    total = values.sum().item()
    if values.shape[0] != values.shape[1] or not total > 0:
        return None
    taps = values.sum(1) / total**0.5
    difference = (torch.outer(taps, taps) - values).abs().max()
    return taps.to(f) if bool(difference <= ROUNDING * values.abs().max()) else None


def size_of(f: Tensor | None) -> tuple[int, int]:
    """Width and height of a filter."""
    return (1, 1) if f is None else (int(f.shape[-1]), int(f.shape[0]))


def four_sides(padding: Any) -> list[int]:
    """``padding`` as NVlabs' code takes it → ``[left, right, top, bottom]``.

    Raises:
        ValueError: if it is neither one number, ``[x, y]`` nor ``[left, right, top, bottom]``.
    """
    if isinstance(padding, int | np.integer):
        return [int(padding)] * 4
    sides = [int(side) for side in padding]
    if len(sides) == 2:
        return [sides[0], sides[0], sides[1], sides[1]]
    if len(sides) != 4:
        raise ValueError(
            f"padding: got {padding!r}, expected one number, [x, y] or [left, right, top, bottom]"
        )
    return sides


def two_factors(name: str, factor: int | Sequence[int]) -> tuple[int, int]:
    """``up`` or ``down``, one number or ``[x, y]`` → x and y.

    Raises:
        ValueError: if one of them is less than 1.
    """
    pair = [factor, factor] if isinstance(factor, int) else list(factor)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"{name}: got {factor!r}, expected one number or [x, y], at least 1")
    return int(pair[0]), int(pair[1])
