"""A call of an op with its tensors: in any dtype, and in every layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tests.tolerances import SINGLE_PASS

LAYOUTS = ["contiguous", "channels_last", "sliced", "empty"]


@dataclass(frozen=True)
class Case:
    """One call.

    Attributes:
        op: the public function.
        name: which of its features it reaches.
        activations: shapes of what comes in the dtype under test; the first leads layout and batch size.
        others: shapes of what stays float32 beside 16-bit activations (styles, biases, noise).
        given: tensors with fixed values, float32.
        options: the remaining arguments.
        roundings: how many roundings to the dtype the result may be off.
        positive: names of tensors that are made positive.
        only: implementations that can run it; empty: all.
    """

    op: Callable[..., Any]
    name: str
    activations: dict[str, tuple[int, ...]]
    others: dict[str, tuple[int, ...]] = field(default_factory=dict)
    given: dict[str, Tensor] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    roundings: float = SINGLE_PASS
    positive: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.op.__name__}-{self.name}"

    def tensors(self, dtype: torch.dtype, layout: str) -> dict[str, Tensor]:
        """Every tensor in float64 with values that ``dtype`` (and float32) can hold, in ``layout``."""
        random = torch.Generator().manual_seed(len(str(self)))
        made = {}
        for shapes, kept in ((self.activations, dtype), (self.others, torch.float32)):
            for name, shape in shapes.items():
                values = torch.randn(_emptied(shape, name, layout), generator=random, dtype=torch.float64)
                values = values.abs() + 0.1 if name in self.positive else values
                made[name] = values.to(kept).double()
        made.update({name: values.double() for name, values in self.given.items()})
        return made

    def call(self, tensors: dict[str, Tensor], impl: str) -> tuple[Tensor, ...]:
        result = self.op(**tensors, **self.options, impl=impl)
        return tuple(r for r in result if r is not None) if isinstance(result, tuple) else (result,)

    def cast(
        self, tensors: dict[str, Tensor], dtype: torch.dtype, layout: str, device: str
    ) -> dict[str, Tensor]:
        """The tensors as the op is given them: activations in ``dtype`` and ``layout``."""
        cast = {}
        for name, values in tensors.items():
            if name not in self.activations:
                cast[name] = values.to(device, torch.float64 if dtype == torch.float64 else torch.float32)
            else:
                cast[name] = arranged(values.to(device, dtype), layout)
        return cast


def _emptied(shape: tuple[int, ...], name: str, layout: str) -> tuple[int, ...]:
    """Without samples, where the layout says so and the tensor has samples."""
    per_sample = name not in (
        "weight", "rgb_weight", "rgb_bias", "weight_square", "bias", "strength", "filter", "gain",
        "up_filter", "down_filter", "steps", "base", "directions",  # a list, and the rows that it names
    ) and not (name in ("mean", "variance") and len(shape) == 1)  # fmt: skip
    return (0, *shape[1:]) if layout == "empty" and per_sample and shape[0] != 1 else shape


def arranged(x: Tensor, layout: str) -> Tensor:
    """The same values in another place: ``sliced`` leaves gaps between rows and between channels."""
    if layout == "channels_last" and x.ndim == 4:
        return x.contiguous(memory_format=torch.channels_last)
    if layout == "sliced" and x.ndim >= 2:
        wide = x.new_full([size + 2 * (i > 0) for i, size in enumerate(x.shape)], float("nan"))
        part = wide[(slice(None), *[slice(1, size + 1) for size in x.shape[1:]])]
        part.copy_(x)
        return part
    return x
