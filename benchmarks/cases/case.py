"""What is timed: one job, several ways of doing it, and how far their results may lie apart."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.roofline import Work

Result = Tensor | tuple[Tensor | None, ...]


@dataclass(frozen=True)
class Backend:
    """One way of doing a job.

    Attributes:
        name: what it is called; a case may have it in several dtypes.
        run: does it; the same at every call.
        dtype: in which most of the arithmetic is done.
        tolerance: by how much its result may differ, as a share of the largest magnitude of the exact one.
        work: what it must do at the least, kernel by kernel; empty: not counted.
        images: how many images one call makes, or spares; None: as many as the case says.
        judge: says how far off a result is, where comparing it with the exact one does not.
        once: it runs for minutes: checked and timed in a single call.
    """

    name: str
    run: Callable[[], Result]
    dtype: str = "float32"
    tolerance: float = 0.0
    work: tuple[Work, ...] = ()
    images: int | None = None
    judge: Callable[[Tensor], float] | None = None
    once: bool = False

    @property
    def label(self) -> str:
        return f"{self.name} {self.dtype}"

    @property
    def flop(self) -> int:
        return sum(work.flop for work in self.work)


@dataclass(frozen=True)
class Case:
    """One job.

    Attributes:
        name: what is done.
        backends: ways of doing it; ratios are against the first.
        reason: why their results may differ by their tolerances.
        images: how many images one call makes, for the rate; None: it makes none.
        exact: gives what results are compared with; None: the first backend does.
    """

    name: str
    backends: tuple[Backend, ...]
    reason: str
    images: int | None = None
    exact: Callable[[], Result] | None = None


def exact_result(case: Case) -> list[Tensor]:
    """What the case's backends are compared with."""
    return _tensors((case.exact or case.backends[0].run)())


def error(case: Case, backend: Backend, exact: list[Tensor]) -> float:
    """How far a backend's result is off, as a share of the exact one's largest magnitude."""
    if case.exact is None and backend is case.backends[0]:
        return 0.0
    with _poisoned_memory():
        return error_of(backend, backend.run(), exact)


def error_of(backend: Backend, found: Result, exact: list[Tensor]) -> float:
    """As ``error``, of a result that is there."""
    result = _tensors(found)
    if backend.judge:
        return backend.judge(result[0])
    return max(_error(*pair) for pair in zip(result, exact, strict=True))


def _tensors(result: Result) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else [part for part in result if part is not None]


def _error(found: Tensor, exact: Tensor) -> float:
    if found.shape != exact.shape:
        return float("inf")
    exact = exact.to(torch.promote_types(exact.dtype, torch.float32))
    largest = exact.abs().max().item()
    difference = (found.to(exact.dtype) - exact).abs().max().item()
    return difference / largest if difference else 0.0


@contextmanager
def _poisoned_memory() -> Iterator[None]:
    """Within it, torch.empty gives NaN: an element that nobody writes shows, whatever lay there before."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of algorithms that are not deterministic
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warn_only)
