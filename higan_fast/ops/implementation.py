"""Which implementation of an op runs: so far, the PyTorch reference is the only one."""

from __future__ import annotations

from typing import Literal, get_args

Impl = Literal["auto", "reference"]


def check_impl(impl: str) -> None:
    """Raises ValueError on a name that is no implementation."""
    if impl not in get_args(Impl):
        raise ValueError(f"impl: got {impl!r}, expected one of {list(get_args(Impl))}")
