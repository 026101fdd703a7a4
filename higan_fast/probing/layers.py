"""Sets of layers, as people write them: ``"6-7,9"``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Layers = str | int | Sequence[int]


def parse_layers(layers: Layers, num_layers: int) -> tuple[int, ...]:
    """``"6-7,9"``, ``"all"``, one index or a sequence of them → sorted indices, each once.

    Raises:
        ValueError: when the text cannot be read, names no layer, or names one that does not exist.
    """
    if isinstance(layers, str):
        indices = _parse_text(layers, num_layers)
    elif isinstance(layers, int | np.integer):
        indices = [layers]
    else:
        indices = [int(index) for index in layers]
    if not indices:
        raise ValueError(
            f"layers (--layers): got {layers!r}, which names no layer; expected {_example(num_layers)}"
        )
    outside = [index for index in indices if not 0 <= index < num_layers]
    if outside:
        raise ValueError(
            f"layers (--layers): got {layers!r}, but there is no layer {outside[0]}: "
            f"this generator has layers 0 to {num_layers - 1}"
        )
    return tuple(sorted(set(indices)))


def format_layers(indices: Sequence[int]) -> str:
    """Indices → text: ``(6, 7, 9)`` → ``"6-7,9"``. The inverse of ``parse_layers``."""
    ranges: list[list[int]] = []
    for index in sorted(set(indices)):
        if ranges and index == ranges[-1][1] + 1:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in ranges)


def layers_in_words(text: str) -> str:
    """Text of ``format_layers`` → what a reader reads: ``"0"`` → ``"layer 0"``, else ``"layers 0-2"``."""
    return f"layer{'' if text.isdigit() else 's'} {text}"


def _parse_text(text: str, num_layers: int) -> list[int]:
    if text.strip().lower() == "all":
        return list(range(num_layers))
    indices: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            start = int(first)
            stop = int(last) if dash else start
        except ValueError:
            raise ValueError(
                f"layers (--layers): cannot read {text!r}; expected {_example(num_layers)}"
            ) from None
        if stop < start:
            raise ValueError(f"layers (--layers): got {text!r}, where {part.strip()!r} runs backwards")
        indices.extend(range(start, min(stop, start + num_layers) + 1))  # one beyond the last is refused
    return indices


def _example(num_layers: int) -> str:
    return f"'all', or indices from 0 to {num_layers - 1} such as '0-1,{num_layers - 1}'"
