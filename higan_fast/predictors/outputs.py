"""What people's networks give for images → scores: tensors, arrays, dicts by name, outputs with logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def as_scores(output: Any, names: Sequence[str], images: Tensor) -> Tensor:
    """What a predictor gave for N images → scores ``[N, S]``, on the images' device.

    Args:
        output: a tensor or NumPy array ``[N, S]``, where axes of length 1 may be missing or left over; a dict
            with ``[N]`` or ``[N, 1]`` for each name; or a dict or named tuple (as Hugging Face's models give)
            whose ``logits`` are one of these.
        names: of the S semantics.
        images: ``[N, 3, H, W]``.

    Raises:
        ValueError: when it is of another kind or shape.
    """
    num = len(images)
    if isinstance(output, Mapping) and all(name in output for name in names):
        of_each = ((name, _tensor(output[name], f"its score of {name!r}", images)) for name in names)
        return torch.cat([_shaped(column, [name], num) for name, column in of_each], dim=1)
    if isinstance(output, Mapping):
        if "logits" not in output:
            first = next(iter(output), "scores")
            raise ValueError(
                f"the predictor gave a dict with the keys {list(output)[:8]}, expected one for each of "
                f"{list(names)}; take the scores out of it: {_wrapped(f'[{first!r}]')}"
            )
        output = output["logits"]
    elif isinstance(output, tuple | list):
        logits = getattr(output, "logits", None)
        if logits is None:
            raise ValueError(
                f"the predictor gave a {type(output).__name__} of {len(output)}, expected a tensor "
                f"[N, {len(names)}]; take the scores out of it: {_wrapped('[0]')}"
            )
        output = logits
    return _shaped(_tensor(output, "scores", images), names, num)


def _wrapped(part: str) -> str:
    return f"load_predictor(lambda images: network(images){part}, names)"


def _tensor(output: Any, what: str, images: Tensor) -> Tensor:
    if isinstance(output, np.ndarray | np.generic) and output.dtype.kind in "fiub":
        output = torch.as_tensor(output)
    if isinstance(output, Tensor) and output.is_complex():
        raise ValueError(
            f"the predictor gave {what} as complex numbers, expected real ones; take .abs() or .real"
        )
    if not isinstance(output, Tensor):
        raise ValueError(
            f"the predictor gave {what} as a {type(output).__module__}.{type(output).__name__}, "
            "expected a tensor or a NumPy array of numbers"
        )
    if output.layout != torch.strided:
        raise ValueError(
            f"the predictor gave {what} as a sparse tensor, expected a dense one; take .to_dense()"
        )
    if output.is_meta:
        raise ValueError(
            f"the predictor gave {what} without values (on torch's device 'meta'); expected numbers"
        )
    return output.to(images.device)


def _shaped(scores: Tensor, names: Sequence[str], num: int) -> Tensor:
    expected = num, len(names)
    if scores.shape == expected:
        return scores
    if [size for size in scores.shape if size != 1] != [size for size in expected if size != 1]:
        raise ValueError(
            f"the predictor gave scores of shape {tuple(scores.shape)} for {num} images, expected "
            f"[{num}, {len(names)}]: one column for each of {list(names)}"
        )
    return scores.reshape(expected)
