"""Shape checks shared by several ops; their messages name what came and what was expected."""

from __future__ import annotations

from torch import Tensor


def check_image(x: Tensor) -> tuple[int, int, int, int]:
    """Returns the sizes of ``x`` ``[N, C, H, W]``; raises ValueError if it does not have 4 dimensions."""
    if x.ndim != 4:
        raise ValueError(f"x: got shape {tuple(x.shape)}, expected [N, C, H, W]")
    num, channels, height, width = x.shape
    return num, channels, height, width


def check_shapes(meaning: str, expected: tuple[int, ...], **tensors: Tensor | None) -> None:
    """Raises ValueError for the first tensor, None aside, that does not have the ``expected`` shape."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.shape != expected:
            raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, expected {meaning} = {expected}")
