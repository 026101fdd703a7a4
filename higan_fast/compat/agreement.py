"""Whether two results are the same but for rounding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Of the largest value. In 16 bits, and in the TF32 of convolutions on CUDA, both sides round more than once;
# elsewhere rounding of sums over some thousand products stays two orders of magnitude below.
TOLERANCE, ROUGH_TOLERANCE = 1e-4, 0.03


def difference(found: Any, expected: Any) -> str:
    """Returns how two results differ: tensors, or tuples or lists of results; empty: they agree."""
    return _difference(found, expected, ROUGH_TOLERANCE if _is_rough(expected) else TOLERANCE)


def _is_rough(result: Any) -> bool:
    """Whether some part of a result is less exact than float32; what else comes with it was made of that."""
    if isinstance(result, tuple | list):
        return any(map(_is_rough, result))
    return isinstance(result, Tensor) and (
        result.dtype in (torch.float16, torch.bfloat16) or result.device.type == "cuda"
    )


def _difference(found: Any, expected: Any, tolerance: float) -> str:
    if isinstance(expected, Tensor):
        return _of_tensors(found, expected, tolerance)
    if isinstance(expected, tuple | list):
        if not isinstance(found, tuple | list) or len(found) != len(expected):
            return "it has another number of parts"
        pairs = zip(found, expected, strict=True)
        return next(filter(None, (_difference(ours, theirs, tolerance) for ours, theirs in pairs)), "")
    return "" if found is expected or found == expected else "it has another value"


@torch.no_grad()
def _of_tensors(found: Any, expected: Tensor, tolerance: float) -> str:
    if not isinstance(found, Tensor) or found.shape != expected.shape or found.dtype != expected.dtype:
        got = f"{tuple(found.shape)} of {found.dtype}" if isinstance(found, Tensor) else type(found).__name__
        return f"it is {got}, the original {tuple(expected.shape)} of {expected.dtype}"
    if expected.numel() == 0:
        return ""
    ours, theirs = found.double(), expected.double()
    same = (ours == theirs) | (ours.isnan() & theirs.isnan())
    distance = (ours - theirs).abs().masked_fill(same, 0).max()
    scale = theirs.abs().nan_to_num(posinf=0).max().clamp(min=1e-30)
    share = (distance / scale).item()
    return (
        "" if share <= tolerance else f"by {share:.2g} of its largest value, where {tolerance:g} is rounding"
    )
