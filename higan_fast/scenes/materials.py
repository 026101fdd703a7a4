"""The room's own surfaces: their colours, the lights, and where each material is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.scenes.factors import Factors
from higan_fast.scenes.furniture import hsv, lamp_position

(WALL, SKIRTING, CEILING, FLOOR, FRAME, SKY, TREES, CURTAIN, PICTURE_FRAME, ART_UP, ART_DOWN) = range(11)
NUM_MATERIALS = 11
WINDOW_Y = 1.62  # metres
PICTURE_Y = 1.72  # metres
NOWHERE = -9.0  # half width of absent things: no point is within it


class Setting(NamedTuple):
    """Positions on the back wall and strengths of the lights, each ``[N, 1]``."""

    exposure: Tensor  # strength of the ceiling light and of the ambient light
    window_light: Tensor  # strength of the light through the window, 0 where there is none
    window_x: Tensor
    window_half: Tensor  # half width
    picture_x: Tensor
    picture_half: Tensor  # half width
    lamp_light: Tensor  # strength of the lamp, 0 where there is none
    lamp_x: Tensor
    lamp_y: Tensor
    lamp_z: Tensor
    wood: Tensor  # 1 for a floor of planks, else 0
    board_phase: Tensor  # which planks are dark


class Materials(NamedTuple):
    """The surfaces of N rooms."""

    colour: NDArray[np.float64]  # [N, 11, 3] linear RGB
    glow: NDArray[np.float64]  # [N, 11] light given off, as a share of the colour
    setting: Setting


def paint(factors: Factors) -> Materials:
    """Returns the colours and lights of N rooms."""
    num = len(factors)
    wall = wall_colour(factors)
    day = factors.lighting  # [N]
    colour = np.empty((num, NUM_MATERIALS, 3))
    colour[:, WALL] = wall
    colour[:, SKIRTING] = 0.80
    colour[:, CEILING] = 0.78 + 0.10 * (wall - 0.5)
    wood = np.array([0.60, 0.37, 0.19]) * (0.88 + 0.24 * factors.floor_tone[:, None])
    carpet = hsv(0.08 + 0.04 * factors.floor_tone, 0.08, 0.70 + 0.10 * factors.floor_tone)
    colour[:, FLOOR] = np.where(factors.wood_floor[:, None] == 1, wood**2, carpet)
    colour[:, FRAME] = 0.85
    colour[:, SKY] = np.array([0.08, 0.13, 0.34]) + day[:, None] * np.array([0.45, 0.72, 0.90])
    colour[:, TREES] = np.array([0.03, 0.06, 0.05]) + day[:, None] * np.array([0.17, 0.34, 0.12])
    colour[:, CURTAIN] = hsv(factors.furniture_hue + 0.1, 0.25, 0.85)
    colour[:, PICTURE_FRAME] = (0.03, 0.02, 0.015)
    colour[:, ART_UP] = hsv(factors.picture_hue, 0.35, 0.98)
    colour[:, ART_DOWN] = hsv(factors.picture_hue + 0.4, 0.75, 0.60)
    glow = np.zeros((num, NUM_MATERIALS))
    glow[:, [SKY, TREES]] = 1.0
    return Materials(colour, glow, _setting(factors))


def wall_colour(factors: Factors) -> NDArray[np.float64]:
    """Returns wall colours, linear RGB ``[N, 3]``: blue-green via yellow to orange-red, equally light."""
    stops, hues = (0.0, 0.35, 0.60, 1.0), (205.0, 155.0, 65.0, 12.0)  # degrees; quick past green
    degrees = np.interp(factors.warmth, stops, hues)
    colour = hsv(degrees / 360.0, factors.saturation, 1.0)
    luminance = colour @ np.array([0.30, 0.59, 0.11])
    tone = 0.46 + 0.10 * factors.wall_tone
    return np.minimum(colour * (tone / luminance)[:, None] ** 0.8, 0.95)


def _setting(factors: Factors) -> Setting:
    window = factors.window == 1
    lamp_x, lamp_z, lamp_y = lamp_position(factors)
    columns = (
        0.16 * 6.5**factors.lighting,
        np.where(window, 0.9, 0.0),
        -1.0 + 0.12 * (factors.window_x - 0.5),
        np.where(window, 0.56 + 0.08 * factors.window_size, NOWHERE),
        0.85 + 0.10 * (factors.picture_x - 0.5),
        np.where(factors.picture == 1, 0.48, NOWHERE),
        np.where(factors.lamp == 1, 0.38, 0.0),
        lamp_x,
        lamp_y,
        lamp_z,
        factors.wood_floor,
        6.0 * factors.floor_tone,
    )
    return Setting(*(torch.from_numpy(column.astype(np.float32))[:, None] for column in columns))


def surfaces(
    place: list[Tensor], level: Tensor, floor: Tensor, back: Tensor, setting: Setting
) -> tuple[Tensor, Tensor]:
    """Looks up the material at points of the room's surface.

    Args:
        place: coordinates of the points, three of ``[n, P]``.
        level: whether a point is on the floor or the ceiling, ``[n, P]``.
        floor: whether it is on the floor.
        back: whether it is on the back wall.
        setting: the setting of these n rooms.

    Returns:
        The material (as a float) and a factor on its colour, each ``[n, P]``.
    """
    x, y, z = place
    material = torch.where(level, float(CEILING), float(WALL))
    material.masked_fill_(floor, float(FLOOR))
    material.masked_fill_(~level & (y < 0.13), float(SKIRTING))
    tint = _window(material, x, y, back, setting)
    _picture(material, x, y, back, setting)
    return material, torch.where(floor, _boards(x, z, setting.wood, setting.board_phase), tint)


def _window(material: Tensor, x: Tensor, y: Tensor, back: Tensor, setting: Setting) -> Tensor:
    """Puts curtains, frame and view into ``material``; returns the folds and the gradient of the sky."""
    across, up = (x - setting.window_x).abs_(), (y - WINDOW_Y).abs_()
    width = setting.window_half
    tall = back & (up < 0.68)
    curtain = tall & (across < width + 0.24)
    material.masked_fill_(curtain, float(CURTAIN))
    pane = tall & (across < width)
    material.masked_fill_(pane, float(FRAME))
    bars = (across > 0.03) & ((y - 1.78).abs_() > 0.025)
    glass = pane & (across < width - 0.07) & (up < 0.61) & bars
    trees = y < 1.30 + 0.08 * torch.sin(5.0 * x)
    material.masked_fill_(glass, float(SKY))
    material.masked_fill_(glass & trees, float(TREES))
    folds = torch.where(curtain & ~pane, 1.0 + 0.18 * torch.sin(55.0 * across), 1.0)
    return torch.where(glass, 1.35 - 0.4 * (y - 1.0), folds)


def _picture(material: Tensor, x: Tensor, y: Tensor, back: Tensor, setting: Setting) -> None:
    """Puts a framed landscape into ``material``: sky above a slope."""
    across, up = (x - setting.picture_x).abs_(), (y - PICTURE_Y).abs_()
    outer = back & (up < 0.38) & (across < setting.picture_half)
    inner = outer & (up < 0.30) & (across < setting.picture_half - 0.08)
    slope = y < 1.66 + 0.25 * (x - setting.picture_x)
    material.masked_fill_(outer, float(PICTURE_FRAME))
    material.masked_fill_(inner, float(ART_UP))
    material.masked_fill_(inner & slope, float(ART_DOWN))


def _boards(x: Tensor, z: Tensor, wood: Tensor, phase: Tensor) -> Tensor:
    """Returns the tone of planks that run away from the camera, with dark joints and grain: ``[n, P]``."""
    position = x * (1 / 0.32)
    board = position.floor()
    joint = (position - board).sub_(0.5).abs_().sub_(0.42).mul_(1 / 0.08).clamp_(min=0)
    tone = torch.sin(board * 2.3 + phase)
    along = (z * 0.6 + board * 0.37 + 8.0).frac_().sub_(0.5).abs_().sub_(0.47).mul_(1 / 0.03).clamp_(min=0)
    grain = torch.sin(x * 45.0 + torch.sin(z * 2.0 + board * 3.0) * 2.0)
    relief = tone.mul_(0.20).sub_(joint.mul_(0.45)).sub_(along.mul_(0.3)).add_(grain.mul_(0.05))
    relief *= (1.35 - 0.13 * z).clamp_(max=1.0)  # fades where boards get finer than pixels
    return relief.mul_(wood).add_(1.0)
