"""The strips: samples that move along a boundary, on each layer alone and on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.boundaries.boundary import Boundaries, Boundary
from higan_fast.generators.base import Generator
from higan_fast.probing.manipulation import manipulate, manipulate_each_layer
from higan_fast.probing.side_effects import large_even_parts
from higan_fast.probing.verification import Verification
from higan_fast.progress import progress as show_progress
from higan_fast.report.drawing import Picture, largest_side, picture
from higan_fast.report.numerals import interval, number
from higan_fast.report.ranking import layer_name, places_of
from higan_fast.sampling.latents import (
    VERIFICATION,
    Codes,
    labelled_latents,
    labelled_moves,
    make_codes,
    map_labelled_latents,
)
from higan_fast.wording import listing

STEPS = (-3.0, -1.5, 0.0, 1.5, 3.0)
NUM_SAMPLES = 3  # on a panel; the rows of layers show the first of them
NUM_WITHOUT_EFFECT = 12  # of the semantics without an effect, so many are pictured


@dataclass(frozen=True)
class Panel:
    """The samples of one semantic, moved on one set of layers."""

    title: str
    effect: str
    even: str  # even part of the semantic's own score
    picture: Picture


@dataclass(frozen=True)
class LayerRow:
    """One sample, moved on one layer alone."""

    anchor: str
    index: int
    group: str
    pixels: str
    effect: str
    interval: str
    null: str
    beats_null: bool
    best: bool
    picture: Picture


@dataclass(frozen=True)
class Strip:
    """One semantic: its best layer (where there is a choice of layers), all layers, and each layer alone.

    Attributes:
        anchor: where on the page it stands.
        wrecked: what else changes on all layers, whichever way one goes.
        panels: of all samples.
        layers: of the first sample; empty where there is no effect, or no choice of layers.
    """

    anchor: str
    name: str
    level: str
    beats_null: bool
    wrecked: str
    panels: tuple[Panel, ...]
    layers: tuple[LayerRow, ...]


def strips(
    generator: Generator,
    boundaries: Boundaries,
    verification: Verification,
    progress: bool,
) -> list[Strip]:
    """Returns strips of every semantic that has an effect and of the first few that have none, as ranked.

    All of them show the same samples: the first of the verification.

    Args:
        generator: the one that was probed.
        boundaries: along which to move.
        verification: their effects.
        progress: whether to show it.
    """
    names = [name for name in verification.rank() if name in boundaries]
    with_effect = [name for name in names if verification.beats_null[verification.row(name)]]
    without = [name for name in names if name not in with_effect][:NUM_WITHOUT_EFFECT]
    several = len(verification.layers) > 1
    rows = len(verification.layers) if several else 0
    each = NUM_SAMPLES * (2 if several else 1)
    total = (len(with_effect) * (rows + each) + len(without) * each) * len(STEPS)
    drawer = _Drawer(generator, verification, largest_side(total, generator.image_shape))
    large = large_even_parts(verification)
    result = []
    with show_progress("drawing", total, enabled=progress) as advance:
        for name in [*with_effect, *without]:
            wrecked = [f"{p.semantic} {number(p.size, 1, signed=True)}" for p in large if p.boundary == name]
            found = drawer.strip(boundaries[name], listing(wrecked))
            advance((len(found.layers) + NUM_SAMPLES * len(found.panels)) * len(STEPS))
            result.append(found)
    return result


def anchors(found: Sequence[Strip]) -> dict[tuple[str, int | None], str]:
    """Returns where the pictures of each semantic stand: on a layer, and (with None) as a whole."""
    places: dict[tuple[str, int | None], str] = {}
    for strip in found:
        places[strip.name, None] = strip.anchor
        places |= {(strip.name, row.index): row.anchor for row in strip.layers}
    return places


class _Drawer:
    """Draws the strips of one verification."""

    def __init__(self, generator: Generator, verification: Verification, side: int) -> None:
        settings = verification.settings
        self.generator, self.verification, self.side = generator, verification, side
        self.truncation = (settings["truncation_psi"], settings["truncation_layers"])
        self.unit = settings["step_unit"]
        self.base = make_codes(
            generator, settings["seed"], 0, NUM_SAMPLES, *self.truncation, VERIFICATION, settings.get("label")
        )
        self.columns = [semantic.name for semantic in verification.semantics]

    def strip(self, boundary: Boundary, wrecked: str) -> Strip:
        name, verification = boundary.name, self.verification
        boundary = replace(boundary, origin=None)  # the report has checked once whose it is
        row, column = verification.row(name), self.columns.index(name)
        several, beats = len(verification.layers) > 1, bool(verification.beats_null[row])
        best = verification.best_layer(name) if several else None
        return Strip(
            anchor=f"semantic-{row}",
            name=name,
            level=verification.semantics[column].level,
            beats_null=beats,
            wrecked=wrecked,
            panels=tuple(self._panel(boundary, on) for on in ((None,) if best is None else (best, None))),
            layers=self._layers(boundary, best) if several and beats else (),
        )

    def _panel(self, boundary: Boundary, layer: int | None) -> Panel:
        verification, name = self.verification, boundary.name
        images = self._move(boundary, layer)
        on = "all layers" if layer is None else f"layer {layer_name(verification, layer)}"
        alt = f"{len(images)} samples, one to a row, moved along {name} on {on} by {_steps()}"
        layer_set = 0 if layer is None else 1 + layer
        figures = (verification.row(name), layer_set, self.columns.index(name))
        places = places_of(verification, name)
        return Panel(
            on[0].upper() + on[1:],
            number(verification.effect[figures], places, signed=True),
            number(verification.even[figures], places, signed=True),
            picture(images, alt, self.side),
        )

    def _layers(self, boundary: Boundary, best: int | None) -> tuple[LayerRow, ...]:
        verification, name = self.verification, boundary.name
        row, column = verification.row(name), self.columns.index(name)
        places, (psi, truncated) = places_of(verification, name), self.truncation
        (images,) = manipulate_each_layer(
            self.generator, self.base.codes[:1], boundary, STEPS,
            truncation_psi=psi, truncation_layers=truncated, step_unit=self.unit,
        )  # fmt: skip
        result = []
        for place, layer in enumerate(verification.layers):
            figures = (row, 1 + place, column)
            alt = (
                f"Sample 0 moved along {name} on layer {layer_name(verification, place)} alone by {_steps()}"
            )
            result.append(
                LayerRow(
                    anchor=f"semantic-{row}-layer-{layer.index}",
                    index=layer.index,
                    group=layer.group,
                    pixels=layer.pixels,
                    effect=number(verification.effect[figures], places, signed=True),
                    interval=interval(
                        float(verification.low[figures]),
                        float(verification.high[figures]),
                        places,
                        bool(verification.asymptotic[column]),
                    ),
                    null=_band(float(verification.null_high[1 + place, column]), places),
                    beats_null=bool(verification.layer_beats_null[row, place]),
                    best=place == best,
                    picture=picture(images[place][None], alt, self.side),
                )
            )
        return tuple(result)

    def _move(self, boundary: Boundary, layer: int | None) -> Tensor:
        """Images ``[N, T, C, H, W]`` of the base samples; a boundary in z moves the latents."""
        psi, truncated = self.truncation
        if boundary.space != "z":
            return manipulate(
                self.generator, self.base.codes, boundary, "all" if layer is None else layer, STEPS,
                truncation_psi=psi, truncation_layers=truncated, step_unit=self.unit,
            )  # fmt: skip
        return _move_latents(self.generator, self.base, boundary.per_step(self.unit), psi, truncated)


def _move_latents(
    generator: Generator, base: Codes, move: NDArray[np.float64], psi: float, truncated: int | None
) -> Tensor:
    (normal,) = labelled_moves(generator, [move]).to(base.z)
    with torch.inference_mode():
        start = labelled_latents(generator, base)
        moved = [map_labelled_latents(generator, start + step * normal, psi, truncated) for step in STEPS]
        return torch.stack([generator.synthesize(codes) for codes in moved], dim=1)


def _band(half: float, places: int) -> str:
    """``± 0.268``, or ``< 0.001``: a band that rounds to zero is not one of zero."""
    least = 10.0**-places
    return f"< {number(least, places)}" if 0 < half < least / 2 else f"± {number(half, places)}"


def _steps() -> str:
    return listing([number(step, 1) for step in STEPS])
