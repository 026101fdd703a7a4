"""Precision policies: "exact" for figures to the last digit, "fast" for the same findings in less time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch

from higan_fast.checks import check_choice
from higan_fast.generators.base import Generator

Precision = Literal["exact", "fast"]
Wish = Literal["auto"] | Precision
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
WISHES: tuple[Wish, ...] = ("auto", *PRECISIONS)

# From here on a GPU has tensor cores, without which 16 bits gain little.
TENSOR_CORES = (7, 0)


def chosen_precision(precision: Wish, device: torch.device) -> Precision:
    """Returns the policy that is meant on this device.

    ``"auto"`` is "fast" on CUDA devices with tensor cores, and "exact" elsewhere: CPUs that multiply
    bfloat16 have three bits less for the small differences that a probe reads.

    Raises:
        ValueError: when there is no such policy.
    """
    check_choice("precision (--precision)", precision, WISHES)
    if precision != "auto":
        return precision
    quick = device.type == "cuda" and torch.cuda.get_device_capability(device) >= TENSOR_CORES
    return "fast" if quick else "exact"


def activation_dtype(precision: Precision, device: torch.device) -> torch.dtype | None:
    """Returns the dtype of the features under a policy on this device; None: that of the parameters.

    GPUs use float16: it has three bits more than bfloat16, and probing reads small differences. CPUs can
    only multiply bfloat16, and only some of them do.

    Raises:
        ValueError: if the policy is unknown.
    """
    check_choice("precision (--precision)", precision, PRECISIONS)
    if precision == "exact":
        return None
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if _cpu_multiplies_bfloat16() else None


@contextmanager
def synthesis_in(generator: Generator, dtype: torch.dtype | None) -> Iterator[None]:
    """Context in which the generator keeps its features in ``dtype``."""
    before, generator.activation_dtype = generator.activation_dtype, dtype
    try:
        with _no_tf32():
            yield
    finally:
        generator.activation_dtype = before


@contextmanager
def scoring_in(device: torch.device, dtype: torch.dtype | None) -> Iterator[None]:
    """Context in which the predictor runs under autocast to ``dtype``; sensitive ops stay in float32."""
    with _no_tf32(), torch.autocast(device.type, dtype, enabled=dtype is not None):
        yield


@contextmanager
def _no_tf32() -> Iterator[None]:
    """Context without TF32, which would round float32 products to ten bits.

    Our own convolution in float32 takes three TF32 products in place of each, and needs no leave of torch's.
    """
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
