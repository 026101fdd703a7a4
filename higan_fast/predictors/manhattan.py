"""Rooms whose walls, floor and ceiling are at right angles: where their lines run in a picture.

The camera is a pinhole that does not roll. A point of the picture is (right, up, 1), in units of the focal
length: the middle is 0, and the edges are at ± tan(field of view / 2).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from higan_fast.predictors.lines import doubled

VIEWS = torch.arange(-44.0, 45.0, 4.0)  # degrees; beyond 45 the other wall is the nearer one
PITCHES = torch.arange(-32.0, 33.0, 4.0)  # degrees, upwards
CELLS = 16  # along each side of a picture: within one, directions are those of its middle
HARMONICS = 8  # of the directions
CONCENTRATION = 30.0  # von Mises, of the doubled angle: directions err by 5 degrees
CLUTTER = 0.3  # the share of edges that run along no axis of the room
_ANGLES = 32  # at which densities are computed, more than twice the harmonics
_CHUNK = 23  # hypotheses at once: their tensors stay in the CPU cache


class Axes(NamedTuple):
    """The axes of a room, seen from the camera: each right, up and forward, of any shape."""

    across: tuple[Tensor, Tensor, Tensor]  # along the wall that is faced, to the right
    upright: tuple[Tensor, Tensor, Tensor]
    away: tuple[Tensor, Tensor, Tensor]  # at a right angle to that wall


def axes(view: Tensor, pitch: Tensor) -> Axes:
    """The axes of a room for a camera that is turned right and up by these angles, in radians."""
    cos_view, sin_view, cos_pitch, sin_pitch = view.cos(), view.sin(), pitch.cos(), pitch.sin()
    return Axes(
        (cos_view, -sin_view * sin_pitch, sin_view * cos_pitch),
        (torch.zeros_like(view), cos_pitch, sin_pitch),
        (-sin_view, -cos_view * sin_pitch, cos_view * cos_pitch),
    )


def towards(axis: tuple[Tensor, Tensor, Tensor], right: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """Which way lines along an axis run at a point of the picture, right and up: to their vanishing point."""
    return axis[0] - right * axis[2], axis[1] - up * axis[2]


def points(num: int, field_of_view: float) -> tuple[Tensor, Tensor]:
    """The middles of ``num`` × ``num`` pixels: right ``[1, num]`` and up ``[num, 1]``."""
    reach = math.tan(math.radians(field_of_view / 2))
    place = reach * ((torch.arange(num, dtype=torch.float64) + 0.5) / num * 2 - 1)
    return place[None].float(), -place[:, None].float()


def hypotheses() -> tuple[Tensor, Tensor]:
    """The cameras that are weighed: view and pitch, degrees, ``[num]`` each."""
    view, pitch = torch.meshgrid(VIEWS, PITCHES, indexing="ij")
    return view.reshape(-1), pitch.reshape(-1)


@lru_cache(maxsize=4)
def log_likelihoods(field_of_view: float) -> Tensor:
    """What each harmonic of the edges in each cell says for each hypothesis.

    An edge runs along one of the three axes, with an error, or in any direction. So the density of its
    direction is a mixture, and depends on the place in the picture (Coughlan & Yuille, "Manhattan World",
    ICCV 1999). The logarithm of that density, relative to that of directions of nothing, as a Fourier
    series of the doubled angle, times the harmonics of edges (``Edges.harmonics``), is their log-likelihood.

    Returns:
        ``[(1 + 2·HARMONICS)·CELLS², num]``, harmonics first.
    """
    view, pitch = hypotheses()
    right, up = points(CELLS, field_of_view)
    angles = torch.arange(_ANGLES) * (2 * math.pi / _ANGLES)  # doubled
    orders = torch.arange(1, HARMONICS + 1)[:, None]
    series = torch.cat(
        [torch.ones(1, _ANGLES), 2 * (orders * angles).cos(), 2 * (orders * angles).sin()]
    )  # [1 + 2·HARMONICS, _ANGLES]
    norm = torch.special.i0e(torch.tensor(CONCENTRATION))  # × exp(CONCENTRATION)
    table = torch.empty(len(series), CELLS**2, len(view))
    for start in range(0, len(view), _CHUNK):
        here = slice(start, start + _CHUNK)
        frame = axes(view[here, None, None].deg2rad(), pitch[here, None, None].deg2rad())
        density = torch.zeros(len(view[here]), CELLS, CELLS, _ANGLES)
        for axis in frame:
            cosine, sine = doubled(*towards(axis, right, up))  # [chunk, CELLS, CELLS]
            error = cosine[..., None] * angles.cos() + sine[..., None] * angles.sin() - 1
            density += (CONCENTRATION * error).exp_() / (3 * norm)
        logarithm = (CLUTTER + (1 - CLUTTER) * density).log_().flatten(1, 2)  # [chunk, CELLS², _ANGLES]
        table[:, :, here] = torch.einsum("hca,ma->mch", logarithm, series / _ANGLES)
    return table.flatten(0, 1)
