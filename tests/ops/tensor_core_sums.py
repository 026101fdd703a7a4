"""What our convolution computes in float32, bit by bit: three products of TF32 numbers, sums cut off.

As ``csrc/include/split_float.cuh`` has it, whose tensor cores are as coarse as any that has been examined.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

DEPTH = 16  # channels whose taps are taken together
SLICE = 8  # channels in one product
STEP = 4  # products that a tensor core adds at once
BITS = 24  # that it keeps


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """``[N, I, H, W]`` and ``[O, I, k, k]`` in float32 → ``[N, O, H, W]``, with padding k / 2."""
    k = weight.shape[-1]
    patches = F.unfold(x, k, padding=k // 2).transpose(1, 2)  # [N, H·W, I·k²]
    sums = product(patches.flatten(0, 1), weight.flatten(1), k * k)
    return sums.unflatten(0, (len(x), *x.shape[2:])).permute(0, 3, 1, 2)


def product(rows: Tensor, columns: Tensor, taps: int) -> Tensor:
    """``[P, I·taps]`` and ``[O, I·taps]`` in float32 → ``[P, O]``; I is a multiple of 8."""
    rows, columns = _in_slices(rows, taps), _in_slices(columns, taps)  # [P, S, 8], [O, S, 8]
    (row, rest), (column, remainder) = split(rows), split(columns)
    parts = torch.zeros(len(rows), len(columns), rows.shape[1], dtype=torch.float64)
    for a, b in ((rest, column), (row, remainder), (row, column)):
        for step in range(0, SLICE, STEP):
            part = slice(step, step + STEP)
            parts = cut_sum(parts, a[:, None, :, part] * b[None, :, :, part])
    sums = torch.zeros(len(rows), len(columns))
    for part in parts.float().unbind(-1):
        sums += part
    return sums


def split(x: Tensor) -> tuple[Tensor, Tensor]:
    """Finite float32 → the nearest TF32 number, and that nearest to what is left; both in float64."""
    large = _nearest_tf32(x)
    return large.double(), _nearest_tf32(x - large).double()


def fused_multiply_adds(rows: Tensor, columns: Tensor) -> Tensor:
    """``[P, K]`` and ``[O, K]`` → ``[P, O]``, one term after the other, as plain float32 on GPUs."""
    sums = torch.zeros(len(rows), len(columns))
    for a, b in zip(rows.double().unbind(1), columns.double().unbind(1), strict=True):
        sums = torch.addcmul(sums.double(), a[:, None], b).float()
    return sums


def _in_slices(matrix: Tensor, taps: int) -> Tensor:
    """``[P, I·taps]`` → ``[P, S, 8]``: of 16 channels the taps in turn, then of the next 16."""
    values = matrix.unflatten(1, (-1, taps))
    blocks = [block.transpose(1, 2).reshape(len(matrix), -1, SLICE) for block in values.split(DEPTH, 1)]
    return torch.cat(blocks, 1)


def _nearest_tf32(x: Tensor) -> Tensor:
    return ((x.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def cut_sum(sums: Tensor, terms: Tensor) -> Tensor:
    """``[...]`` + Σ ``[..., STEP]``, each cut off below the last bit of the largest, and so is the result."""
    terms = torch.cat([sums[..., None], terms], -1)
    total = _cut(terms, terms.abs().amax(-1, keepdim=True)).sum(-1)
    return _cut(total, total.abs())


def _cut(values: Tensor, largest: Tensor) -> Tensor:
    exponent = torch.frexp(largest).exponent - BITS
    unit = torch.ldexp(torch.ones_like(largest), exponent.clamp(min=-149))
    return torch.trunc(values / unit) * unit
