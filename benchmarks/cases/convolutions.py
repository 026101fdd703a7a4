"""The library's convolution and ours at StyleGAN2's layers: rows for the table by which ``auto`` chooses."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch

from benchmarks.cases.case import Case
from benchmarks.cases.ops import CHANNEL_BASES, Maker, convolution
from benchmarks.cases.shapes import Conv, stylegan2, widths
from higan_fast.environment import environment
from higan_fast.ops.convolution_choice import TIMES

BATCHES = (32, 8, 1)
DTYPES = ("float16", "float32")  # bfloat16 has float16's instructions at the same rate


def convolution_cases(
    device: str, quick: bool = False, batches: tuple[int, ...] = BATCHES, resolution: int = 256
) -> Iterator[Case]:
    """Yields a case for each layer and batch, smallest layers first; each leaves a row of the table.

    ``quick``: the layers of one network in one batch.
    """
    bases, batches = (CHANNEL_BASES[device][:1], batches[:1]) if quick else (CHANNEL_BASES[device], batches)
    layers = dict.fromkeys(
        layer for base in bases for layer in stylegan2(widths(base, resolution)) if isinstance(layer, Conv)
    )
    for dtype in DTYPES:
        make = Maker(device, dtype)
        for layer in sorted(layers, key=lambda layer: (layer.resolution, layer.inputs)):
            for batch in batches:
                case = convolution(make, layer, batch)
                # against the reference's result, which is not timed
                yield replace(case, backends=case.backends[1:], keep=partial(keep, layer, batch, dtype))


def keep(layer: Conv, batch: int, dtype: str, seconds: dict[str, float], folder: Path | None) -> str:
    """Appends the layer's row to the table in ``folder`` (None: the package's); returns which is faster."""
    library, fused = (1e3 * seconds[f"{name} {dtype}"] for name in ("native", "native, fused"))
    row = {
        "capability": "{}.{}".format(*torch.cuda.get_device_capability()),
        "dtype": dtype,
        "resolution": layer.resolution,
        "inputs": layer.inputs,
        "outputs": layer.outputs,
        "up": layer.up,
        "batch": batch,
        "library_ms": f"{library:.4g}",
        "fused_ms": f"{fused:.4g}",
        "gpu": torch.cuda.get_device_name(),
        "commit": environment()["commit"],
        "date": datetime.now(UTC).date().isoformat(),
    }
    path = TIMES if folder is None else folder / TIMES.name
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
    return f"{layer} {dtype}: {'ours' if fused < library else 'the library'} is faster ({path.name})"
