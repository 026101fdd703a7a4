"""What recordings read and write: inputs and results in memory that all recordings of a network share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

ALIGNMENT = 512  # bytes, as of torch's own blocks


class Rows(NamedTuple):
    """Some rows of a tensor, which are copied only to where they are needed.

    Attributes:
        tensor: ``[N, ...]``.
        which: which of its rows, ``[P]``, int64 on the same device.
    """

    tensor: Tensor
    which: Tensor

    def taken(self) -> Tensor:
        """Returns them, ``[P, ...]``, in the memory format of the tensor."""
        rows, order = _rows_first(self.tensor)
        return rows.index_select(0, self.which).permute(order)

    def into(self, out: Tensor) -> None:
        """Copies them to ``[P, ...]``, laid out as ``Layout.of`` says."""
        rows, order = _rows_first(self.tensor)
        back = sorted(range(out.ndim), key=order.__getitem__)
        torch.index_select(rows, 0, self.which, out=out.permute(back))


Given = Tensor | Rows | None


class Layout(NamedTuple):
    """How a tensor lies in memory: all that two calls must have in common to be the same to a kernel."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, given: Tensor | Rows, num: int | None = None) -> Layout:
        """Of what a function is given; with ``num`` rows, whatever it has, if that is not None."""
        if isinstance(given, Rows):
            rows, order = _rows_first(given.tensor)
            kept = [math.prod(rows.shape[axis + 1 :]) for axis in range(rows.ndim)]
            stride = [kept[axis] for axis in order]
            shape, like = (len(given.which), *given.tensor.shape[1:]), given.tensor
        else:
            shape, like = tuple(given.shape), given
            stride = list(given.stride())
        if num is not None:
            shape, stride[0] = (num, *shape[1:]), 0  # the only one to depend on how many there are
        return cls(shape, tuple(stride), like.dtype, like.device)


class SharedMemory:
    """One block of memory, in which recordings that run one at a time have their tensors side by side."""

    def __init__(self) -> None:
        self._block: Tensor | None = None

    def tensors(self, layouts: Sequence[Layout | None]) -> tuple[Tensor | None, ...]:
        """Returns a tensor for each layout, dense, with dimensions in the same order in memory.

        They overlap with those of every other call. Where the block is too small, one of at least twice its
        size takes its place, and what was returned before keeps the old one.
        """
        with torch.inference_mode(False):  # so that they can be filled in and out of inference mode
            likes = [layout and _dense(layout) for layout in layouts]
            starts, needed = [], 0
            for like in likes:
                starts.append(needed)
                needed += 0 if like is None else -(-like.nbytes // ALIGNMENT) * ALIGNMENT
            if self._block is None or self._block.nbytes < needed:
                needed = max(needed, 0 if self._block is None else 2 * self._block.nbytes)
                device = next(layout.device for layout in layouts if layout is not None)
                self._block = torch.empty(needed, dtype=torch.uint8, device=device)
            return tuple(
                None if like is None else _placed(self._block, start, like)
                for start, like in zip(starts, likes, strict=True)
            )

    def release(self) -> None:
        """Lets the block go once nothing uses it."""
        self._block = None


def fill(own: Sequence[Tensor | None], given: Sequence[Given]) -> None:
    """Copies what a function is given to its own inputs; further rows of those repeat the last one."""
    for to, new in zip(own, given, strict=True):
        if to is None or new is None:
            continue
        part = to[: rows_of(new)] if to.ndim else to
        if isinstance(new, Rows):
            new.into(part)
        else:
            part.copy_(new)
        if to.ndim and rows_of(new) < len(to):
            to[rows_of(new) :].copy_(part[-1:])


def rows_of(given: Tensor | Rows) -> int:
    """Returns how many rows there are."""
    return len(given.which) if isinstance(given, Rows) else len(given)


def taken(given: Sequence[Given]) -> tuple[Tensor | None, ...]:
    """Returns tensors alone."""
    return tuple(each.taken() if isinstance(each, Rows) else each for each in given)


def _rows_first(tensor: Tensor) -> tuple[Tensor, list[int]]:
    """Returns a contiguous view where there is one, by rows, and in which order its axes are the tensor's."""
    if tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return tensor.permute(0, 2, 3, 1), [0, 3, 1, 2]
    return tensor, list(range(tensor.ndim))


def _dense(layout: Layout) -> Tensor:
    """Returns a tensor without memory, dense, of a layout whose rows lie one after another."""
    shape = torch.empty_strided(layout.shape, layout.stride, dtype=layout.dtype, device="meta")
    if layout.stride and layout.stride[0] == 0 and len(layout.shape) > 1:
        one = torch.empty_like(shape[:1].squeeze(0))
        size = max(1, one.numel())
        return torch.empty_strided(layout.shape, (size, *one.stride()), dtype=layout.dtype, device="meta")
    return torch.empty_like(shape)


def _placed(block: Tensor, start: int, like: Tensor) -> Tensor:
    some = block[start : start + like.numel() * like.itemsize].view(like.dtype)
    return some.as_strided(like.shape, like.stride(), some.storage_offset())
