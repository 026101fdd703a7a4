"""A benchmark case: one job, several backends that do it, and how much their results may differ."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.roofline import Work

Result = Tensor | tuple[Tensor | None, ...]


@dataclass(frozen=True)
class Backend:
    """One way of doing a job.

    Attributes:
        name: its name; a case may contain it in several dtypes.
        run: does the job, identically at every call.
        dtype: dtype of most of the arithmetic.
        tolerance: allowed error, as a share of the exact result's largest magnitude.
        work: the least work that it must do, kernel by kernel; empty: not counted.
        images: number of images that one call makes or saves, or what gives that of the last call; None: the
            case's.
        judge: returns the error of a result; None: the comparison with the exact result does.
        once: whether it runs for minutes, so that one call must serve to check and to time it.
    """

    name: str
    run: Callable[[], Result]
    dtype: str = "float32"
    tolerance: float = 0.0
    work: tuple[Work, ...] = ()
    images: int | Callable[[], int] | None = None
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
        name: name of the job.
        backends: ways of doing it; ratios are relative to the first.
        reason: why results may differ by the tolerances.
        images: number of images that one call makes, for the rate; None: it makes none.
        exact: returns the result to compare with; None: the first backend's.
        keep: takes the seconds of each backend, by its label, and the folder for rows (None: where the
            package looks them up); keeps them there, and returns a line to print.
    """

    name: str
    backends: tuple[Backend, ...]
    reason: str
    images: int | None = None
    exact: Callable[[], Result] | None = None
    keep: Callable[[dict[str, float], Path | None], str] | None = None


def exact_result(case: Case) -> list[Tensor]:
    """Returns the result with which the case's backends are compared."""
    with _without_search():
        return _tensors((case.exact or case.backends[0].run)())


def error(case: Case, backend: Backend, exact: list[Tensor]) -> float:
    """Runs a backend; returns its error as a share of the exact result's largest magnitude."""
    if case.exact is None and backend is case.backends[0]:
        return 0.0
    with _poisoned_memory(), _without_search():
        return error_of(backend, backend.run(), exact)


def error_of(backend: Backend, found: Result, exact: list[Tensor]) -> float:
    """Like ``error``, for a result that has already been computed."""
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
def _without_search() -> Iterator[None]:
    """Context in which cuDNN does not search for its fastest algorithm: a check would wait for it longest."""
    before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def _poisoned_memory() -> Iterator[None]:
    """Context in which torch.empty is filled with NaN, so that elements left unwritten become visible."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about nondeterministic algorithms
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warn_only)
