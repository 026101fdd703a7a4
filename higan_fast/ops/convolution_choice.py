"""Chooses the convolution of ``modulated_conv2d`` on a GPU: the library's or ours, by what was measured.

``convolution_times.csv`` has a row for each layer that a GPU has timed with both, and ``python -m
benchmarks.run convolutions --device cuda`` appends those of the GPU at hand. Ours runs only where a row of a
similar layer shows it to be faster.

On sm_90 the rows of larger layers say "library": there it is 1.2 to 1.5 times faster, for it runs warp-group
instructions (wgmma), and ours the warp instructions (mma.sync) that every GPU since sm_80 has. A warp-group
kernel of ours would have to be seen faster than the library's on a GPU before it could land; there is none.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch

Choice = Literal["library", "fused"]
Capability = tuple[int, int]

TIMES = Path(__file__).with_name("convolution_times.csv")
# Both have the same instructions at the same rate, so that rows of one speak for the other.
SIXTEEN_BITS = (torch.float16, torch.bfloat16)
# A row speaks for layers that differ from its own by so many powers of two at most: four times the pixels, or
# half of both channels. So rows of small layers say nothing of large ones.
MOST_UNLIKE = 2.0
VARIABLE = "HIGAN_FAST_CONVOLUTION"


class Layer(NamedTuple):
    """One call: pixels of all its results together, channels, upsampling."""

    pixels: int
    inputs: int
    outputs: int
    up: int

    def distance(self, other: Layer) -> float:
        """Returns by how many powers of two they differ in all; infinite where only one upsamples."""
        if self.up != other.up:
            return math.inf
        pairs = zip(self, other, strict=True)
        return sum(abs(math.log2(max(one, 1) / max(two, 1))) for one, two in pairs)


class Row(NamedTuple):
    """One measurement: a layer on a GPU of this compute capability, and its milliseconds each way."""

    capability: Capability
    dtype: torch.dtype
    layer: Layer
    library_ms: float
    fused_ms: float

    @property
    def faster(self) -> Choice:
        return "fused" if self.fused_ms < self.library_ms else "library"


@cache
def measured() -> tuple[Row, ...]:
    """Returns the rows of the package's table, oldest first."""
    return read_rows(TIMES)


def read_rows(path: Path) -> tuple[Row, ...]:
    """Returns the rows of a table, oldest first.

    Raises:
        ValueError: if a row is not one of this table; names the file and the line.
    """
    rows = []
    with path.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                rows.append(_row(row))
            except (AttributeError, KeyError, TypeError, ValueError) as problem:
                raise ValueError(
                    f"{path.name}, line {number}: not a row of convolution times ({problem!r})"
                ) from problem
    return tuple(rows)


def _row(row: dict[str, str]) -> Row:
    major, minor = row["capability"].split(".")
    pixels = int(row["batch"]) * int(row["resolution"]) ** 2
    layer = Layer(pixels, int(row["inputs"]), int(row["outputs"]), int(row["up"]))
    milliseconds = float(row["library_ms"]), float(row["fused_ms"])
    if not (min(layer) > 0 and all(0 < ms < math.inf for ms in milliseconds)):
        raise ValueError("numbers must be positive")
    dtype = getattr(torch, row["dtype"])
    if not isinstance(dtype, torch.dtype):
        raise ValueError("no dtype")
    return Row((int(major), int(minor)), dtype, layer, *milliseconds)


def choose(device: torch.device, dtype: torch.dtype, layer: Layer) -> Choice:
    """Returns the convolution for a layer on this device: on CPUs the library's (but see ``winograd``)."""
    if device.type != "cuda":
        return "library"
    if layer.inputs % (16 // dtype.itemsize):  # ours copies 16 bytes of channels at a time
        return "library"
    if _always is not None:
        return _always
    return faster(torch.cuda.get_device_capability(device), dtype, layer)


@lru_cache(maxsize=4096)
def faster(capability: Capability, dtype: torch.dtype, layer: Layer) -> Choice:
    """Returns what was faster for the measured layer that is most like this one; "library" if none is."""
    alike = [
        (distance, row)
        for row in reversed(rows_for(capability, dtype))
        if (distance := row.layer.distance(layer)) <= MOST_UNLIKE
    ]
    if not alike:
        return "library"
    return min(alike, key=lambda pair: pair[0])[1].faster  # the newest of equals


@cache
def rows_for(capability: Capability, dtype: torch.dtype) -> tuple[Row, ...]:
    """Returns the rows that speak for such a card: its own, or in 16 bits those of the nearest that has any.

    In float32 another card's rows say nothing: ``exact`` then changes nothing that was not measured there.
    """
    dtypes = SIXTEEN_BITS if dtype in SIXTEEN_BITS else (dtype,)
    rows = [row for row in measured() if row.dtype in dtypes]
    if dtype not in SIXTEEN_BITS:
        return tuple(row for row in rows if row.capability == capability)
    if not rows:
        return ()
    major, minor = capability
    nearest = min(
        {row.capability for row in rows},
        key=lambda other: (abs(other[0] - major), abs(other[1] - minor), other),
    )
    return tuple(row for row in rows if row.capability == nearest)


def describe(device: torch.device) -> str:
    """Returns in words how the convolution is chosen on this device."""
    if device.type != "cuda":
        return "PyTorch's own, and Winograd's for 3×3 in float32"
    if _always is not None:
        return f"{_always} for all layers ({VARIABLE})"
    capability = torch.cuda.get_device_capability(device)
    parts = []
    for name, dtype in (("16 bits", torch.float16), ("float32", torch.float32)):
        rows = rows_for(capability, dtype)
        if rows:
            num = sum(row.faster == "fused" for row in rows)
            of = "sm_{}{}".format(*rows[0].capability)
            own = "" if rows[0].capability == capability else ", the nearest that was measured"
            parts.append(f"{name}: by {len(rows)} layers timed on {of}{own}, ours faster in {num}")
        else:
            parts.append(f"{name}: PyTorch's own, for nothing was timed on this card")
    return "; ".join(parts)


def of_all_layers(value: str | None) -> Choice | None:
    """Returns what the environment variable asks for; None: the table chooses.

    Raises:
        ValueError: if it is neither ``auto`` nor a convolution.
    """
    if value in (None, "", "auto"):
        return None
    if value not in get_args(Choice):
        raise ValueError(f"{VARIABLE}: got {value!r}, expected auto, {' or '.join(get_args(Choice))}")
    return value  # type: ignore[return-value]


_always: Choice | None = of_all_layers(os.environ.get(VARIABLE))


@contextmanager
def always(choice: Choice) -> Iterator[None]:
    """Context in which "auto" means this convolution on GPUs, to time and check one against the other."""
    global _always
    before, _always = _always, choice
    try:
        yield
    finally:
        _always = before
