"""Precision by name: "exact" for figures to the last digit, "fast" for the same findings in less time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch

from higan_fast.generators.base import Generator

Precision = Literal["exact", "fast"]


def activation_dtype(precision: Precision, device: torch.device) -> torch.dtype | None:
    """The dtype in which a policy keeps features on this device; None: that of the parameters.

    float16 has three bits more than bfloat16, and probing reads small differences; but CPUs multiply
    bfloat16 alone, and only some of them do.

    Raises:
        ValueError: when there is no such policy.
    """
    if precision not in get_args(Precision):
        raise ValueError(f"precision: got {precision!r}, expected one of {', '.join(get_args(Precision))}")
    if precision == "exact":
        return None
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if _cpu_multiplies_bfloat16() else None


@contextmanager
def synthesis_in(generator: Generator, dtype: torch.dtype | None) -> Iterator[None]:
    """Within it the generator keeps its features in ``dtype``."""
    before, generator.activation_dtype = generator.activation_dtype, dtype
    try:
        with _no_tf32():
            yield
    finally:
        generator.activation_dtype = before


@contextmanager
def scoring_in(device: torch.device, dtype: torch.dtype | None) -> Iterator[None]:
    """Within it the predictor's products run in ``dtype``; what needs more bits keeps float32 (autocast)."""
    with _no_tf32(), torch.autocast(device.type, dtype, enabled=dtype is not None):
        yield


@contextmanager
def _no_tf32() -> Iterator[None]:
    """Within it no float32 product is rounded to the ten bits of TF32."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def _cpu_multiplies_bfloat16() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
