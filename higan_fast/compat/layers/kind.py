"""What there is to know of a layer that can be served by our ops."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from higan_fast.compat.filters import taps_of
from higan_fast.compat.patched import original_class
from higan_fast.compat.weights import KeptWeight
from higan_fast.generators.prepared import is_watched

MOST_COLORS = 4


class Kept:
    """What is kept of one layer between calls.

    Attributes:
        weight: its weight in the form that kernels need.
        taps: those of its filter when it was patched, for a compiler, which sees no values.
        keeps_layout: whether its features must come in the layout of the original; otherwise they may be
            channels-last, because the network around it is known.
    """

    def __init__(
        self, change: Callable[[Tensor], Tensor] | None = None, filter: Tensor | None = None
    ) -> None:
        self.weight = KeptWeight(change)
        self.taps = None if filter is None else taps_of(filter)
        self.keeps_layout = True

    def taps_of(self, filter: Tensor | None) -> Tensor | None:
        """Returns the taps of the layer's filter ``[k, k]`` as it is now, or as it was for a compiler."""
        if filter is None:
            return None
        if is_watched():
            return None if self.taps is None else self.taps.to(filter.device)
        return filter if filter.ndim == 1 else taps_of(filter)

    def has_four_taps(self, filter: Tensor) -> bool:
        """Whether the layer's filter is one that our kernels take: 4 taps for both axes."""
        taps = self.taps_of(filter)
        return taps is not None and taps.shape == (4,)

    def in_layout(self, features: Tensor) -> Tensor:
        """Returns features in the layout in which they must come; an image, in that of an image."""
        return features.contiguous() if self.keeps_layout or features.shape[1] <= MOST_COLORS else features


class Kind(NamedTuple):
    """A kind of layer.

    Attributes:
        name: what a report calls it.
        family: the codebase that it is from.
        recognises: whether a module is one, from its signature and attributes.
        keep: what is kept of one.
        why_not: ``why_not(kept, layer, *arguments)``: what our ops do not take; empty: they take all.
        serve: ``serve(kept, layer, *arguments)``: what the layer returns, from our ops.
    """

    name: str
    family: str
    recognises: Callable[[nn.Module], bool]
    keep: Callable[[Any], Kept]
    why_not: Callable[..., str]
    serve: Callable[..., Any]


def takes(module: nn.Module, *arguments: str) -> bool:
    """Whether the module's ``forward`` takes exactly these arguments, ``**`` for all others."""
    try:
        parameters = inspect.signature(original_class(module).forward).parameters.values()
    except (TypeError, ValueError):
        return False
    names = ["**" if p.kind is p.VAR_KEYWORD else p.name for p in parameters]
    return names[1:] == list(arguments)


def has(module: object, *names: str) -> bool:
    """Whether an object has all these attributes."""
    return all(hasattr(module, name) for name in names)


def hooks_of(*modules: nn.Module) -> bool:
    """Whether someone looks at, or changes, what goes into or comes out of one of these modules."""
    return any(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        for module in modules
    )


def is_4d(*tensors: Tensor) -> bool:
    """Whether all are ``[N, C, H, W]``, with nothing missing."""
    return all(isinstance(tensor, Tensor) and tensor.ndim == 4 for tensor in tensors)


def random_noise(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Draws float32 noise as the originals do, so that equal seeds give equal images."""
    return torch.randn(shape, device=device)
