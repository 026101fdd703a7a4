"""Selects the implementation of an op: the PyTorch reference or a native kernel."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import Tensor

from higan_fast import _native

Impl = Literal["auto", "reference", "native"]
_Function = TypeVar("_Function", bound=Callable[..., Any])

# (op, device) → why its kernel is disabled, after a failed self-test.
_disabled: dict[tuple[str, torch.device], str] = {}
# The user turns kernels off for a whole process, or ``only_reference`` for a while.
_only_reference = os.environ.get("HIGAN_FAST_DISABLE", "") == "1"


# Our convolution in float32, which is tested and disabled apart from the op of which it is a part.
SPLIT = "modulated_conv2d, fused in float32"

FORWARD = "a derivative is carried forth (forward mode)"

# Tests a device's kernels before the first of them runs. ``ops/__init__.py`` sets it: the test needs all ops.
_test_kernels: Callable[[torch.device, str], None] | None = None


def test_on_first_use(test: Callable[[torch.device, str], None]) -> None:
    """Registers ``test``, which runs on a CUDA device before any kernel does, and before an op's first."""
    global _test_kernels
    _test_kernels = test


def check_impl(impl: str) -> None:
    """Raises ValueError if ``impl`` is not an implementation."""
    if impl not in get_args(Impl):
        raise ValueError(f"impl: got {impl!r}, expected one of {list(get_args(Impl))}")


def use_native(op: str, impl: Impl, *tensors: Tensor | None, differentiable: bool = False) -> bool:
    """Returns whether ``op`` runs its kernel on these tensors; the first one determines device and dtype.

    ``"auto"`` uses the kernel wherever it is available, unless a gradient is needed or a derivative is
    carried forth (forward mode). A kernel's backward pass re-runs the reference, so running the reference in
    the first place is faster, unless the kernel is ``differentiable``: has a formula for its gradient.

    Raises:
        ValueError: if ``impl`` is unknown.
        RuntimeError: if ``impl`` is ``"native"`` and the kernel cannot run here; the message says why.
    """
    check_impl(impl)
    if impl == "reference":
        return False
    if impl == "auto":
        return not why_reference(op, *tensors, differentiable=differentiable)
    x = tensors[0]
    assert x is not None
    problem = FORWARD if _is_forward_mode() else why_not_native(op, x.device, x.dtype)
    if problem:
        raise RuntimeError(f"{op}: impl='native' cannot run: {problem}. impl='auto' uses the reference here")
    return True


def why_reference(op: str, *tensors: Tensor | None, differentiable: bool = False) -> str:
    """Returns why ``impl="auto"`` runs the reference on these tensors; empty: it runs the kernel.

    On CUDA gradients always take the reference: its convolutions and theirs are the faster ones there.
    """
    x = tensors[0]
    assert x is not None
    if is_turned_off():
        return "kernels are turned off"
    if _is_forward_mode():
        return FORWARD
    needed = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
    if needed and (not differentiable or x.device.type != "cpu" or _is_transformed()):
        return "a gradient is needed"
    return why_not_native(op, x.device, x.dtype)


def is_turned_off() -> bool:
    """Whether ``"auto"`` always means the reference here: see ``only_reference``."""
    return _only_reference


def _is_forward_mode() -> bool:
    """Whether derivatives are carried forth, as in ``torch.func.jvp``; kernels would drop them silently."""
    return torch.autograd.forward_ad._current_level >= 0


def _is_transformed() -> bool:
    """Whether ``torch.func`` computes the gradient, which does not know formulas of registered operators."""
    return not torch.compiler.is_compiling() and torch._C._functorch.peek_interpreter_stack() is not None


def constant_in_graphs(function: _Function) -> _Function:
    """Decorates a function that ``torch.compile`` shall call once and take the result for a constant.

    It is ``torch.compiler.assume_constant_result`` without its import of the compiler, which would be half of
    the start of every command.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


@constant_in_graphs
def why_not_native(op: str, device: torch.device, dtype: torch.dtype) -> str:
    """Returns why ``op`` runs its reference on this device and dtype; empty if it runs its kernel."""
    kernels, problem = _native.backend(device)
    if kernels is None:
        return problem
    if dtype not in _native.DTYPE_CODES or (
        dtype == torch.float64 and not hasattr(kernels, "instruction_set")
    ):
        return f"the kernels on {device.type} do not support {dtype}"
    if device.type == "cuda" and _test_kernels is not None:
        _test_kernels(device, op)
    return _disabled.get((op, device), "")


def disable(op: str, device: torch.device, reason: str) -> None:
    """Disables the kernel of ``op`` on this device; the reference runs instead."""
    _disabled[op, device] = reason


@contextmanager
def only_reference() -> Iterator[None]:
    """Context in which ``"auto"`` always means the reference, to time and check kernels against it."""
    global _only_reference
    before, _only_reference = _only_reference, True
    try:
        yield
    finally:
        _only_reference = before
