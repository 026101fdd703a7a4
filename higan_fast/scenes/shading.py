"""Shades the points that rays hit: light, soft shadows and colour."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.scenes.furniture import HALF_WIDTH, HEIGHT, Boxes
from higan_fast.scenes.materials import Materials, Setting, surfaces

SHADOW_REACH = 0.30  # metres over which the shadow of a footprint fades
CORNER_REACH = 0.30  # metres over which the darkness of a corner fades
CORNER_DARK = 0.38
LAMP_COLOUR = (1.0, 0.72, 0.40)
FACES_X, FACES_Y, FACES_Z = 0.0, 1.0, 2.0  # the axis of a surface's normal


class Hits(NamedTuple):
    """The hits of n·P rays."""

    eye: list[Tensor]  # three of [n, 1]
    direction: list[Tensor]  # three of [n, P]
    distance: Tensor  # [n, P]
    axis: Tensor  # [n, P] of the room's surface: 0 side wall, 1 floor or ceiling, 2 back wall
    nearest: Tensor  # [n, P] box, -1 where the room itself is seen
    centre: Tensor  # [n, K, 3]
    half: Tensor  # [n, K, 3]
    depth: Tensor  # [n, 1]


def shade(hits: Hits, boxes: Boxes, materials: Materials, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Shades the n rooms that ``rows`` selects among N.

    Returns:
        The light along each ray, linear RGB ``[n, 3, P]``; and what it hits, int64 ``[n, P]``: one of the K
        boxes, or K + the room's material.
    """
    setting = Setting(*(column[torch.from_numpy(rows)] for column in materials.setting))
    ends = zip(hits.eye, hits.direction, strict=True)
    place = [torch.addcmul(eye, direction, hits.distance) for eye, direction in ends]  # three of [n, P]
    num = hits.centre.shape[1]
    seen_box = hits.nearest >= 0
    downward = hits.direction[1] < 0
    level = hits.axis == FACES_Y
    floor = level & downward
    material, tint = surfaces(place, level, floor, hits.axis == FACES_Z, setting)
    index = torch.where(seen_box, hits.nearest, material.add_(float(num))).long()  # [n, P]
    looked_up = _look_up(_palette(boxes, materials, rows, num), index)  # [n, 4, P]
    axis = torch.where(seen_box, _box_axis(hits, place, index.clamp(max=num - 1)), hits.axis)
    dark = _corners(hits, place, seen_box)
    dark *= torch.where(seen_box, 1.0, tint * _shadows(floor, place, boxes, rows))
    white, warm = _light(hits, place, axis, downward, setting)
    glow = looked_up[:, 3]
    lit = glow == 0  # glowing surfaces are not lit
    white = torch.where(lit, white.mul_(setting.exposure).mul_(dark), glow * torch.where(seen_box, 1.0, tint))
    warm = torch.where(lit, warm.mul_(setting.lamp_light).mul_(dark), 0.0)
    result = looked_up[:, :3]
    for channel, share in enumerate(LAMP_COLOUR):
        result[:, channel] *= white + share * warm
    return result.contiguous(), index


def _palette(boxes: Boxes, materials: Materials, rows: NDArray[np.int64], num: int) -> Tensor:
    """Returns RGB (linear) and glow of the first ``num`` boxes, then the materials: ``[n, num + 11, 4]``."""
    colour = np.concatenate([boxes.colour[rows, :num], materials.colour[rows]], axis=1)
    glow = np.concatenate([boxes.glow[rows, :num], materials.glow[rows]], axis=1)
    return torch.from_numpy(np.concatenate([colour, glow[..., None]], axis=2)).float()


def _look_up(table: Tensor, index: Tensor) -> Tensor:
    """Gathers rows of ``table`` ``[n, K, C]`` at ``index`` ``[n, P]`` → ``[n, C, P]``."""
    channels = table.shape[2]
    return table.transpose(1, 2).contiguous().gather(2, index[:, None].expand(-1, channels, index.shape[1]))


def _box_axis(hits: Hits, place: list[Tensor], index: Tensor) -> Tensor:
    """Returns the axis of the normal where a point lies on the box ``index`` ``[n, P]``: ``[n, P]``."""
    looked_up = _look_up(torch.cat([hits.centre, hits.half.abs().reciprocal()], dim=2), index)  # [n, 6, P]
    x, y, z = ((place[a] - looked_up[:, a]).mul_(looked_up[:, 3 + a]).abs_() for a in range(3))
    axis = torch.where(x > z, FACES_X, FACES_Z)
    return axis.masked_fill_(y > torch.maximum(x, z), FACES_Y)


def _corners(hits: Hits, place: list[Tensor], seen_box: Tensor) -> Tensor:
    """Returns a factor that darkens corners ``[n, P]``: 1 in the open, less near walls, floor and ceiling."""
    x, y, z = place
    dark = torch.ones_like(x)
    for gap in (HALF_WIDTH - x.abs(), torch.minimum(y, HEIGHT - y), hits.depth - z):
        dark *= gap.clamp_(min=0).mul_(-1 / CORNER_REACH).exp_().mul_(-CORNER_DARK).add_(1.0)
    # A point of the room lies on one of the three planes, which must not darken it.
    return torch.where(seen_box, dark, dark * (1 / (1 - CORNER_DARK)))


def _shadows(floor: Tensor, place: list[Tensor], boxes: Boxes, rows: NDArray[np.int64]) -> Tensor:
    """Returns the share of light left by the shadows on the floor, ``[n, P]``; 1 on walls and ceiling."""
    shadows = boxes.shadows[rows]
    used = np.flatnonzero(shadows[:, :, 4].any(axis=0))
    footprints = torch.from_numpy(shadows[:, used]).float()  # [n, S, 5]
    light = torch.ones_like(place[0])
    for x, z, half_x, half_z, strength in (row.unbind(1) for row in footprints.unbind(1)):
        gap_x = (place[0] - x[:, None]).abs_().sub_(half_x[:, None]).clamp_(min=0)
        gap_z = (place[2] - z[:, None]).abs_().sub_(half_z[:, None]).clamp_(min=0)
        gap = gap_x.mul_(gap_x).addcmul_(gap_z, gap_z)
        shadow = gap.mul_(-1 / SHADOW_REACH**2).add_(1.0).clamp_(min=0)
        light.mul_(shadow.mul_(shadow).mul_(-strength[:, None]).add_(1.0))
    return torch.where(floor, light, 1.0)


def _light(
    hits: Hits, place: list[Tensor], axis: Tensor, downward: Tensor, setting: Setting
) -> tuple[Tensor, Tensor]:
    """Returns the light on each point ``[n, P]``: white (ambient, ceiling, window), and warm (the lamp)."""
    side, level = axis == FACES_X, axis == FACES_Y
    facing = [torch.sign(direction).neg_() for direction in hits.direction]  # visible sides face the eye

    def towards(*light: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
        """Returns cosine × distance, squared distance, and how far behind the point the light is."""
        gaps = [a - p for a, p in zip(light, place, strict=True)]
        square = (gaps[0] * gaps[0]).addcmul_(gaps[1], gaps[1]).addcmul_(gaps[2], gaps[2])
        upright = torch.where(side, gaps[0] * facing[0], gaps[2] * facing[2])
        return torch.where(level, gaps[1] * facing[1], upright).clamp_(min=0), square, gaps[2]

    white = torch.where(level, torch.where(downward, 0.62, 0.66), torch.where(side, 0.46, 0.54))  # ambient
    cosine, square, _ = towards(0.0, HEIGHT - 0.25, 0.6 * hits.depth)
    cosine *= square.rsqrt()
    white += cosine.mul_(0.75).div_(square.mul_(0.10).add_(1.0))

    cosine, square, before = towards(setting.window_x, 1.6, hits.depth)
    share = before.clamp_(min=0).mul_(cosine).div_(square.add_(0.35)).mul_(setting.window_light)
    white += share.div_(square.mul_(0.3).add_(0.3))

    cosine, square, _ = towards(setting.lamp_x, setting.lamp_y, setting.lamp_z)
    cosine *= square.add_(0.05).rsqrt()
    warm = cosine.mul_(0.8).add_(0.2).div_(square.add_(0.15))
    return white, warm
