"""What stylegan2-ada-pytorch and stylegan3's code have in common in ``torch_utils.ops``, with our ops.

Names, order and defaults of the arguments are theirs, so that a call works unchanged. ``impl="cuda"``, their
default, uses our kernels wherever these are available, on CPUs too, and ``impl="ref"`` our references.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from higan_fast import ops
from higan_fast.compat.filters import for_ops, four_sides, setup_filter, size_of, two_factors
from higan_fast.compat.tally import note
from higan_fast.ops.implementation import Impl, why_reference
from higan_fast.ops.winograd import convolve_3x3

__all__ = [
    "bias_act",
    "conv2d_resample",
    "downsample2d",
    "filter2d",
    "fma",
    "setup_filter",
    "upfirdn2d",
    "upsample2d",
]

IMPLEMENTATIONS: dict[str, Impl] = {"cuda": "auto", "ref": "reference"}


def bias_act(
    x: Tensor,
    b: Tensor | None = None,
    dim: int = 1,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
    impl: str = "cuda",
) -> Tensor:
    """``torch_utils.ops.bias_act.bias_act``: see ``higan_fast.ops.bias_act``.

    Raises:
        ValueError: if ``act`` or ``impl`` is unknown, or the bias has the wrong shape.
    """
    ours = our_impl(impl)
    note("bias_act", "bias_act", x, b, reason=why_ref(impl))
    return ops.bias_act(
        x,
        b,
        dim=dim,
        activation=act,
        alpha=plain_number(alpha),
        gain=plain_number(gain),
        clamp=plain_number(clamp),
        impl=ours,
    )


def upfirdn2d(
    x: Tensor,
    f: Tensor | None,
    up: int | Sequence[int] = 1,
    down: int | Sequence[int] = 1,
    padding: Any = 0,
    flip_filter: bool = False,
    gain: float = 1,
    impl: str = "cuda",
) -> Tensor:
    """``torch_utils.ops.upfirdn2d.upfirdn2d``: see ``higan_fast.ops.upfirdn2d``.

    A filter ``[k, k]`` that is the product of one for rows and columns runs as two passes of k taps, unless a
    gradient is recorded and no kernel of ours has it.

    Raises:
        ValueError: if ``impl`` is unknown, or an argument has a shape or range that it must not have.
    """
    ours = our_impl(impl)
    (up_x, up_y), (down_x, down_y) = two_factors("up", up), two_factors("down", down)
    sides, gain = four_sides(padding), float(gain)
    # Of two passes each keeps its input for the gradient, and small filters gain nothing that pays for it.
    is_recorded = torch.is_grad_enabled() and x.requires_grad
    by_kernel = not is_recorded or not why_reference("upfirdn2d", x, differentiable=True)
    filter_ = for_ops(f, x) if f is None or by_kernel else f
    if up_x == up_y and down_x == down_y:
        note("upfirdn2d", "upfirdn2d", x, filter_, reason=why_ref(impl), differentiable=True)
        return ops.upfirdn2d(
            x, filter_, up=up_x, down=down_x, padding=sides, flip_filter=flip_filter, gain=gain, impl=ours
        )
    note("upfirdn2d", "upfirdn2d", x, reason="factors that differ between the axes")
    num, channels, height, width = x.shape
    x = F.pad(x.reshape(num, channels, height, 1, width, 1), [0, up_x - 1, 0, 0, 0, up_y - 1])
    x = x.reshape(num, channels, height * up_y, width * up_x)
    x = ops.upfirdn2d(x, filter_, padding=sides, flip_filter=flip_filter, gain=gain, impl=ours)
    return x[:, :, ::down_y, ::down_x]


def filter2d(
    x: Tensor,
    f: Tensor | None,
    padding: Any = 0,
    flip_filter: bool = False,
    gain: float = 1,
    impl: str = "cuda",
) -> Tensor:
    """Filters, and keeps the size of ``x`` but for ``padding``."""
    width, height = size_of(f)
    more = [width // 2, (width - 1) // 2, height // 2, (height - 1) // 2]
    return upfirdn2d(x, f, padding=_sum(padding, more), flip_filter=flip_filter, gain=gain, impl=impl)


def upsample2d(
    x: Tensor,
    f: Tensor | None,
    up: int | Sequence[int] = 2,
    padding: Any = 0,
    flip_filter: bool = False,
    gain: float = 1,
    impl: str = "cuda",
) -> Tensor:
    """Upsamples to ``up`` times the size of ``x``, but for ``padding``."""
    (width, height), (x_times, y_times) = size_of(f), two_factors("up", up)
    more = [(width + x_times - 1) // 2, (width - x_times) // 2]
    more += [(height + y_times - 1) // 2, (height - y_times) // 2]
    return upfirdn2d(
        x,
        f,
        up=up,
        padding=_sum(padding, more),
        flip_filter=flip_filter,
        gain=gain * x_times * y_times,
        impl=impl,
    )


def downsample2d(
    x: Tensor,
    f: Tensor | None,
    down: int | Sequence[int] = 2,
    padding: Any = 0,
    flip_filter: bool = False,
    gain: float = 1,
    impl: str = "cuda",
) -> Tensor:
    """Downsamples to one ``down``-th of the size of ``x``, but for ``padding``."""
    (width, height), (x_times, y_times) = size_of(f), two_factors("down", down)
    more = [(width - x_times + 1) // 2, (width - x_times) // 2]
    more += [(height - y_times + 1) // 2, (height - y_times) // 2]
    return upfirdn2d(
        x, f, down=down, padding=_sum(padding, more), flip_filter=flip_filter, gain=gain, impl=impl
    )


def conv2d_resample(
    x: Tensor,
    w: Tensor,
    f: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: Any = 0,
    groups: int = 1,
    flip_weight: bool = True,
    flip_filter: bool = False,
) -> Tensor:
    """``torch_utils.ops.conv2d_resample.conv2d_resample``: a convolution between two changes of resolution.

    Computes ``downsample(conv(upsample(x)))``, padded once at the beginning.

    Args:
        x: ``[N, I, H, W]``.
        w: ``[O, I / groups, kh, kw]``, in ``x``'s dtype.
        f: the low-pass filter of both, ``[k]`` or ``[kh, kw]``; None: none.
        up, down: factors.
        padding: in pixels of the upsampled image: one number, ``[x, y]`` or ``[left, right, top, bottom]``.
        groups: of the convolution.
        flip_weight: whether to correlate with the weight, as torch's convolutions do.
        flip_filter: whether to correlate with the filter.
    """
    kernel_height, kernel_width = int(w.shape[2]), int(w.shape[3])
    width, height = size_of(f)
    more = [0] * 4
    if up > 1:
        more = _sum(
            more, [(width + up - 1) // 2, (width - up) // 2, (height + up - 1) // 2, (height - up) // 2]
        )
    if down > 1:
        more = _sum(
            more,
            [(width - down + 1) // 2, (width - down) // 2, (height - down + 1) // 2, (height - down) // 2],
        )
    sides, is_point = _sum(padding, more), kernel_height == kernel_width == 1
    if up == 1 and down > 1 and is_point:  # what it drops need not be convolved
        x = upfirdn2d(x, f, down=down, padding=sides, flip_filter=flip_filter)
        return _conv(x, w, 1, [0] * 4, groups, flip_weight)
    if up == 1 and down > 1:
        x = upfirdn2d(x, f, padding=sides, flip_filter=flip_filter)
        return _conv(x, w, down, [0] * 4, groups, flip_weight)
    if up == 1:
        return _conv(x, w, 1, sides, groups, flip_weight)
    if is_point:  # zeros between pixels stay zeros
        x = _conv(x, w, 1, [0] * 4, groups, flip_weight)
        x = upfirdn2d(x, f, up=up, padding=sides, gain=up**2, flip_filter=flip_filter)
    else:
        x = _transposed(x, w, up, groups, flip_weight)
        less = [1 - kernel_width, up - kernel_width, 1 - kernel_height, up - kernel_height]
        x = upfirdn2d(x, f, padding=_sum(sides, less), gain=up**2, flip_filter=flip_filter)
    return upfirdn2d(x, f, down=down, flip_filter=flip_filter) if down > 1 else x


def fma(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """``torch_utils.ops.fma.fma``: ``a · b + c``."""
    return torch.addcmul(c, a, b)


def _conv(x: Tensor, w: Tensor, stride: int, sides: list[int], groups: int, flip_weight: bool) -> Tensor:
    left, right, top, bottom = sides
    if left != right or top != bottom or left < 0 or top < 0:
        x, left, top = F.pad(x, sides), 0, 0
    w = w if flip_weight else w.flip(2, 3)
    if w.shape[2:] == (3, 3) and stride == left == top == groups == 1:
        return convolve_3x3(x, w)
    return F.conv2d(x, w, stride=stride, padding=(top, left), groups=groups)


def _transposed(x: Tensor, w: Tensor, up: int, groups: int, flip_weight: bool) -> Tensor:
    w = w.flip(2, 3) if flip_weight else w
    # [G · O, I, …] → [G · I, O, …], group by group
    w = w.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    return F.conv_transpose2d(x, w, stride=up, groups=groups)


def _sum(padding: Any, more: list[int]) -> list[int]:
    return [a + b for a, b in zip(four_sides(padding), more, strict=True)]


def plain_number(value: Any) -> float | None:
    """Returns what operators of torch take: their gains are NumPy's numbers."""
    return None if value is None else float(value)


def our_impl(impl: str) -> Impl:
    """Returns what ``"cuda"`` and ``"ref"`` are with us; raises ValueError for anything else."""
    if impl not in IMPLEMENTATIONS:
        raise ValueError(f"impl: got {impl!r}, expected one of {list(IMPLEMENTATIONS)}")
    return IMPLEMENTATIONS[impl]


def why_ref(impl: str) -> str:
    """Returns why no kernel is to run; empty: one may."""
    return "impl='ref' was asked for" if impl == "ref" else ""
