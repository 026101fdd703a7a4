"""The pictures: strips of samples that move along their boundaries, and the contact sheet."""

from __future__ import annotations

import base64
import io
import zlib
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from higan_fast.boundaries.boundary import Boundaries, Boundary
from higan_fast.generators.base import Generator
from higan_fast.pictures import image_grid, to_uint8
from higan_fast.probing.manipulation import manipulate
from higan_fast.probing.verification import Verification
from higan_fast.progress import progress as show_progress
from higan_fast.report.entanglement import large_even_parts
from higan_fast.report.numerals import listing, number
from higan_fast.report.ranking import layer_name
from higan_fast.sampling.latents import (
    VERIFICATION,
    Codes,
    labelled_latents,
    labelled_moves,
    make_codes,
    map_labelled_latents,
)
from higan_fast.sampling.samples import Samples

STEPS = (-3.0, -1.5, 0.0, 1.5, 3.0)
NUM_SAMPLES = 3
NUM_PICTURED = 24  # strips; with more, the page would be slow to open
NUM_ON_SHEET, SHEET_COLUMNS = 64, 8
LARGEST = 96  # pixels to a side of an image on the page
PIXELATED = 32  # up to this size browsers enlarge an image without smoothing


@dataclass(frozen=True)
class Picture:
    """A grid of images as a data URI."""

    uri: str
    alt: str
    rows: int
    columns: int
    width: int
    height: int
    pixelated: bool


@dataclass(frozen=True)
class Panel:
    """The strips of one semantic on one set of layers."""

    title: str
    effect: str
    even: str  # even part of the semantic's own score
    picture: Picture


@dataclass(frozen=True)
class Strip:
    """The panels of one semantic: its best layer (where there is a choice of layers), and all layers."""

    name: str
    level: str
    beats_null: bool
    wrecked: str  # what else changes on all layers, whichever way one goes
    panels: tuple[Panel, ...]


def strips(
    generator: Generator,
    samples: Samples,
    boundaries: Boundaries,
    verification: Verification,
    places: int,
    progress: bool,
) -> list[Strip]:
    """Strips of the highest-ranked semantics, all of the same samples: the verification's first.

    Args:
        places: decimals of the effects.
    """
    settings = verification.settings
    truncation = (settings["truncation_psi"], settings["truncation_layers"])
    label = settings.get("label")
    base = make_codes(generator, settings["seed"], 0, NUM_SAMPLES, *truncation, VERIFICATION, label)
    names = [name for name in verification.rank() if name in boundaries][:NUM_PICTURED]
    columns = [semantic.name for semantic in verification.semantics]
    large = large_even_parts(verification, samples)
    result = []
    several = len(verification.layers) > 1
    total = len(names) * NUM_SAMPLES * len(STEPS) * (2 if several else 1)
    with show_progress("drawing", total, enabled=progress) as advance:
        for name in names:
            boundary, row = boundaries[name], verification.boundary_names.index(name)
            effects = verification.effect[row, :, columns.index(name)]  # [1 + L]
            even = verification.even[row, :, columns.index(name)]
            best = verification.best_layer(name) if several else None
            panels = []
            for layer in (None,) if best is None else (best, None):
                images = _move(generator, base, boundary, layer, truncation)
                advance(images.shape[0] * images.shape[1])
                on = "all layers" if layer is None else f"layer {layer_name(verification, layer)}"
                alt = (
                    f"{len(images)} samples, one to a row, moved along {name} on {on} "
                    f"by {listing([number(step, 1) for step in STEPS])}"
                )
                layer_set = 0 if layer is None else 1 + layer
                odd_part, even_part = (
                    number(part[layer_set], places, signed=True) for part in (effects, even)
                )
                title = on[0].upper() + on[1:]
                panels.append(Panel(title, odd_part, even_part, _picture(images, alt)))
            level = verification.semantics[columns.index(name)].level
            wrecked = [
                f"{part.semantic} {number(part.size, 1, signed=True)}"
                for part in large
                if part.boundary == name
            ]
            shown = bool(verification.beats_null[row])
            result.append(Strip(name, level, shown, listing(wrecked), tuple(panels)))
    return result


def contact_sheet(generator: Generator, samples: Samples) -> list[Picture]:
    """The first samples, in pictures of four rows: side by side, or one below the other on small screens."""
    generator.use_truncation(samples.settings["truncation_psi"])
    codes = torch.as_tensor(samples.codes[:NUM_ON_SHEET]).to(next(generator.parameters()))
    with torch.inference_mode():
        images = torch.cat([generator.synthesize(batch) for batch in codes.split(16)])
    num = len(images)
    missing = -num % SHEET_COLUMNS
    images = torch.cat([images, images.new_ones(missing, *images.shape[1:])])
    rows = images.unflatten(0, (-1, SHEET_COLUMNS))
    sheets, first = [], 0
    for part in rows.split(4):
        last = min(first + part.shape[0] * SHEET_COLUMNS, num) - 1
        sheets.append(_picture(part, f"Samples {first} to {last}, row by row"))
        first = last + 1
    return sheets


def _move(
    generator: Generator,
    base: Codes,
    boundary: Boundary,
    layer: int | None,
    truncation: tuple[float, int | None],
) -> Tensor:
    """Images ``[N, T, 3, R, R]`` of the base samples at every step; a boundary in z moves the latents."""
    psi, truncated = truncation
    boundary = replace(boundary, origin=None)  # the report has checked once whose it is
    if boundary.space != "z":
        layers = "all" if layer is None else layer
        return manipulate(
            generator, base.codes, boundary, layers, STEPS, truncation_psi=psi, truncation_layers=truncated
        )
    generator.use_truncation(psi)
    (normal,) = labelled_moves(generator, [boundary.normal]).to(base.z)
    with torch.inference_mode():
        start = labelled_latents(generator, base)
        moved = [map_labelled_latents(generator, start + step * normal, psi, truncated) for step in STEPS]
        return torch.stack([generator.synthesize(codes) for codes in moved], dim=1)


def _picture(images: Tensor, alt: str) -> Picture:
    """Images ``[rows, columns, 3, R, R]`` in [-1, 1] → one picture."""
    rows, columns, _, height, _ = images.shape
    if height > LARGEST:
        flat = images.flatten(0, 1).float()
        small = F.interpolate(flat, size=(LARGEST, LARGEST), mode="bilinear", antialias=True)
        images = small.unflatten(0, (rows, columns))
    grid = image_grid(to_uint8(images), padding=0)
    return Picture(
        _data_uri(grid), alt, rows, columns, grid.shape[1], grid.shape[0], images.shape[-1] <= PIXELATED
    )


def _data_uri(grid: NDArray[np.uint8]) -> str:
    """A picture as PNG. Six bits to a channel are enough for the eye, and make the page a third smaller."""
    buffer = io.BytesIO()
    rounded = grid & 0xFC | 2
    Image.fromarray(rounded).save(buffer, format="PNG", compress_level=9, compress_type=zlib.Z_FILTERED)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
