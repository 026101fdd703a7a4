"""The styles of several layers side by side, and the demodulation factors that follow from them.

``layer_styles`` and ``perturb_styles`` differ in where styles come from; what becomes of them is here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from higan_fast import _native
from higan_fast.ops.layout import accumulator_dtype, small
from higan_fast.ops.modulated_conv2d import demodulation, normalize_styles

# As in csrc/kernels/style_parts.h.
MOST_PARTS = 64


class StylePart(NamedTuple):
    """The style of one layer.

    Attributes:
        code: which of the layer codes it is read off.
        channels: its length.
        outputs: of the convolution that it modulates, if that is demodulated; otherwise 0.
    """

    code: int
    channels: int
    outputs: int


def each(parts: Sequence[int]) -> Iterator[StylePart]:
    """Yields the parts whose numbers stand one after another, as operators of torch are given them."""
    return (StylePart(*parts[i : i + 3]) for i in range(0, len(parts), 3))


def demodulated(
    styles: Sequence[Tensor],
    parts: Sequence[int],
    weight_square: Tensor | None,
    gain: Tensor | None,
    normalize: bool,
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    """Returns the parts' styles ``[N, channels]`` joined, and their factors, in PyTorch.

    The arguments are those of ``layer_styles``. Where no part has outputs the factors are empty.
    """
    joined, factors, place = [], [styles[0].new_empty(len(styles[0]), 0)], 0
    for part, style in zip(each(parts), styles, strict=True):
        if part.outputs:
            assert weight_square is not None
            style = normalize_styles(style)[0] if normalize else style
            square = weight_square[place : place + part.outputs * part.channels]
            factors.append(demodulation(style, square.view(part.outputs, part.channels), epsilon))
            place += len(square)
        joined.append(style)
    demod = torch.cat(factors, 1)
    return torch.cat(joined, 1), demod if gain is None else demod * gain


def empty_styles(like: Tensor, num: int, parts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Returns uninitialised styles and factors of ``num`` samples, with the dtype and device of ``like``."""
    channels, outputs = (sum(sizes) for sizes in zip(*(part[1:] for part in each(parts)), strict=True))
    return like.new_empty(num, channels), like.new_empty(num, outputs)


def launch(
    name: str,
    inputs: Sequence[Tensor | None],
    num: int,
    dtype: torch.dtype,
    parts: Sequence[int],
    weight_square: Tensor | None,
    gain: Tensor | None,
    normalize: bool,
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    """Runs an op's kernels on ``inputs``; returns styles and factors of ``num`` samples in ``dtype``.

    ``inputs`` are as the kernels read them; the first gives device and dtype of the sums.
    """
    like = inputs[0]
    assert like is not None
    styles, demod = empty_styles(like, num, parts)
    _native.launch(
        name, like.device, *inputs, small(weight_square, like), small(gain, like), styles,
        demod if demod.shape[1] else None, torch.empty_like(styles) if normalize else None, normalize,
        epsilon, [tuple(part) for part in each(parts)],
    )  # fmt: skip
    return (styles, demod) if dtype == styles.dtype else (styles.to(dtype), demod.to(dtype))


def rows(tensor: Tensor) -> Tensor:
    """Returns a tensor in the dtype of sums, and with neighbours along its last dimension."""
    dtype = accumulator_dtype(tensor.dtype)
    return tensor if dtype == tensor.dtype and tensor.is_contiguous() else tensor.to(dtype).contiguous()


Expected = Mapping[str, tuple[Tensor | None, tuple[int, ...]]]


def check_parts(parts: Sequence[StylePart], num_codes: int | None) -> None:
    """Raises ValueError unless parts are well-formed; ``num_codes`` None: their codes are not read."""
    if not 1 <= len(parts) <= MOST_PARTS:
        raise ValueError(f"parts: got {len(parts)}, expected 1 to {MOST_PARTS}")
    of_code = "" if num_codes is None else f"a code of 0 to {num_codes - 1}, "
    for part in parts:
        right_code = num_codes is None or 0 <= part[0] < num_codes
        if not right_code or part[1] < 1 or part[2] < 0:
            raise ValueError(
                f"parts: got {tuple(part)}, expected (code, channels, outputs) with {of_code}"
                "at least one channel, and outputs of 0 or more"
            )


def check_tensors(
    parts: Sequence[StylePart], like: Tensor, whose: str, others: Expected, weight_square: Tensor | None,
    gain: Tensor | None,
) -> None:  # fmt: skip
    """Raises ValueError unless all have the shapes for these parts, and ``like``'s dtype (``whose``)."""
    outputs, squares = sum(part[2] for part in parts), sum(part[1] * part[2] for part in parts)
    expected: Expected = {
        **others,
        "weight_square": (weight_square, (squares,)),
        "gain": (gain, (outputs,)),
    }
    if weight_square is None and outputs:
        raise ValueError(f"weight_square: got None, and {outputs} outputs need it")
    for name, (tensor, shape) in expected.items():
        if tensor is None:
            continue
        if tensor.shape != shape:
            raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, expected {shape} for these parts")
        if tensor.dtype != like.dtype:
            raise ValueError(f"{name}: got {tensor.dtype}, expected {whose} {like.dtype}")
