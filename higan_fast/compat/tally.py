"""Counts by what calls are served: a kernel of ours, our reference, or the original."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from higan_fast.ops.implementation import why_reference


class Line(NamedTuple):
    """One line of a report.

    Attributes:
        what: the function or layer that was called, as ``"bias_act"`` or ``"SynthesisLayer"``.
        served: ``"kernel"``, ``"reference"`` (ours, in PyTorch) or ``"original"``; ``"unchecked"`` is no call
            but says that the original could not run to be compared with.
        reason: why it was no kernel; empty where it was one.
        calls: how often.
    """

    what: str
    served: str
    reason: str
    calls: int


class Report(tuple[Line, ...]):
    """The lines, the most frequent first; prints as a table."""

    @property
    def fallbacks(self) -> int:
        """How many calls no kernel served."""
        return sum(line.calls for line in self if line.served in ("reference", "original"))

    def __str__(self) -> str:
        rows = [("call", "served by", "calls", "because"), *((a, b, str(n), why) for a, b, why, n in self)]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        cells = ["  ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in rows]
        return "\n".join(cells) if self else "no calls yet"


class Tally:
    """Counts of calls; any number of threads may add to it."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._lock = threading.Lock()

    def add(self, what: str, served: str, reason: str = "") -> None:
        with self._lock:
            self._counts[what, served, reason] += 1

    def add_all(self, other: Tally) -> None:
        """Adds the counts of another one."""
        with self._lock:
            self._counts.update(other._counts)

    def report(self) -> Report:
        with self._lock:
            counts = self._counts.most_common()
        return Report(Line(*key, number) for key, number in counts)


class _Active(threading.local):
    """The tally of the model whose layer runs in this thread; None: of functions that are called directly."""

    tally: Tally | None = None
    quiet: bool = False


_active = _Active()
_direct = Tally()


def report() -> Report:
    """By what the functions of ``higan_fast.compat`` were served when they were called directly."""
    return _direct.report()


def active(own: Tally) -> Tally:
    """Where a part of a model counts: in the call that it is a part of, or else in its model's tally."""
    return _active.tally or own


@contextmanager
def counting(tally: Tally | None) -> Iterator[None]:
    """Context in which calls of this thread are counted there; None: nowhere."""
    before = _active.tally, _active.quiet
    _active.tally, _active.quiet = tally, tally is None
    try:
        yield
    finally:
        _active.tally, _active.quiet = before


def note(what: str, op: str, *tensors: Tensor | None, reason: str = "", differentiable: bool = False) -> None:
    """Counts a call of ``what``, which runs ``op`` on these tensors.

    Args:
        what: the function, by the name that its callers know.
        op: one of ours; it runs its kernel wherever that is available.
        tensors: its arguments; the first one determines device and dtype.
        reason: why the call does not reach the op's kernel, where that is known already.
        differentiable: whether the op's kernel has a formula for its gradient.
    """
    if torch.compiler.is_compiling() or _active.quiet:
        return
    reason = reason or why_reference(op, *tensors, differentiable=differentiable)
    (_active.tally or _direct).add(what, "reference" if reason else "kernel", reason)
