"""Renders rooms: casts rays from a perspective camera, and shades and names the nearest surface."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.scenes.classes import CLASSES, OF_MATERIAL
from higan_fast.scenes.factors import RANGES, Factors
from higan_fast.scenes.furniture import HALF_WIDTH, HEIGHT, Boxes, furnish
from higan_fast.scenes.materials import Materials, paint
from higan_fast.scenes.shading import FACES_X, FACES_Y, FACES_Z, Hits, shade

RENDERER_VERSION = 1  # increment it whenever a pixel changes: image caches are keyed by it
FIELD_OF_VIEW = 75.0  # degrees
RAYS = 65_536  # cast at once: their tensors stay in the CPU cache


def render(factors: Factors, resolution: int = 64, supersample: int = 2) -> Tensor:
    """Rooms → images, uint8 ``[N, 3, resolution, resolution]``.

    The image of a room does not depend on the rest of the batch, to the last bit.

    Args:
        factors: the rooms.
        resolution: height and width in pixels.
        supersample: rays per pixel along each axis; their colours are averaged.
    """
    images = torch.empty((len(factors), 3, resolution, resolution), dtype=torch.uint8)
    for rows, image, _ in _drawn(factors, resolution, supersample):
        images[rows] = image
    return images


@torch.no_grad()
def render_with_masks(factors: Factors, resolution: int = 64, supersample: int = 2) -> tuple[Tensor, Tensor]:
    """As ``render``; and masks, uint8 ``[N, resolution, resolution]``: indices into ``CLASSES``.

    A pixel shows the class that most of its rays hit; of equally many, the one that ``CLASSES`` lists last.
    """
    images = torch.empty((len(factors), 3, resolution, resolution), dtype=torch.uint8)
    masks = torch.empty((len(factors), resolution, resolution), dtype=torch.uint8)
    for rows, image, hit in _drawn(factors, resolution, supersample):
        images[rows], masks[rows] = image, _most_hit(hit)
    return images, masks


class _Hit(NamedTuple):
    """What the rays of n rooms hit."""

    surface: Tensor  # int64 [n, rays of a pixel, R, R]: one of K boxes, or K + a material
    classes: Tensor  # uint8 [n, K + 11]: indices into CLASSES


def _drawn(factors: Factors, resolution: int, supersample: int) -> Iterator[tuple[Tensor, Tensor, _Hit]]:
    """Yields rooms, chunk by chunk: which they are, int64 ``[n]``, their images and what their rays hit."""
    for name, value in (("resolution", resolution), ("supersample", supersample)):
        if value < 1:
            raise ValueError(f"{name}: got {value}, expected a positive integer")
    if not len(factors):
        return
    boxes = furnish(factors)
    materials = paint(factors)
    order = np.argsort(boxes.num, kind="stable")  # rooms with equal numbers of boxes share a chunk
    chunk = max(1, RAYS // (resolution * supersample) ** 2)
    for start in range(0, len(factors), chunk):
        rows = order[start : start + chunk]
        drawn = _draw(factors[rows], boxes, materials, rows, resolution, supersample)
        yield torch.from_numpy(rows), *drawn


def _draw(
    factors: Factors,
    boxes: Boxes,
    materials: Materials,
    rows: NDArray[np.int64],
    resolution: int,
    supersample: int,
) -> tuple[Tensor, _Hit]:
    """One chunk of rooms → uint8 ``[n, 3, resolution, resolution]``; P below is the number of rays."""
    eye, direction = _rays(factors, resolution, supersample)
    inverse = [axis.reciprocal() for axis in direction]
    depth = _column(factors.depth)
    distance, axis = _hit_room(eye, inverse, depth)
    num = int(boxes.num[rows].max())
    centre = torch.from_numpy(boxes.centre[rows, :num]).float()  # [n, K, 3]
    half = torch.from_numpy(boxes.half[rows, :num]).float()  # [n, K, 3]
    nearest = _hit_boxes(eye, inverse, centre, half, distance)
    hits = Hits(eye, direction, distance, axis, nearest, centre, half, depth)
    colour, hit = shade(hits, boxes, materials, rows)  # [n, 3, P] linear light, [n, P]
    colour.mul_(-1.6).exp_().neg_().add_(1.0).sqrt_()  # film: bright light saturates softly, at gamma 2
    samples = colour.view(len(rows), 3, supersample**2, resolution, resolution)
    image = samples[:, :, 0].clone()
    for sample in range(1, supersample**2):
        image += samples[:, :, sample]
    image = image.mul_(255.0 / supersample**2).add_(0.5).clamp_(0, 255).to(torch.uint8)
    rooms = np.tile(np.array(OF_MATERIAL), (len(rows), 1))
    classes = torch.from_numpy(np.concatenate([boxes.kind[rows, :num], rooms], axis=1).astype(np.uint8))
    return image, _Hit(hit.view(len(rows), supersample**2, resolution, resolution), classes)


def _most_hit(hit: _Hit) -> Tensor:
    """Returns the class that most rays of a pixel hit, uint8 ``[n, R, R]``; of equally many, the last."""
    shown = hit.classes.gather(1, hit.surface.flatten(1)).view_as(hit.surface)
    best, most = torch.zeros_like(shown[:, 0]), torch.zeros(shown[:, 0].shape, dtype=torch.int32)
    for number in range(len(CLASSES)):
        rays = (shown == number).sum(1, dtype=torch.int32)
        best.masked_fill_((rays > 0) & (rays >= most), number)
        torch.maximum(most, rays, out=most)
    return best


def _column(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))[:, None]  # [n, 1]


def _rays(factors: Factors, resolution: int, supersample: int) -> tuple[list[Tensor], list[Tensor]]:
    """Returns camera positions, three of ``[n, 1]``, and ray directions, three of ``[n, P]``.

    The camera orbits a point in the room as it turns, and rises as it looks down.
    """
    yaw, pitch = np.radians(factors.view), np.radians(factors.pitch)
    low, high = RANGES["pitch"]
    look_up = (factors.pitch - low) / (high - low)
    eye = [
        _column(-np.tan(yaw) * 0.66 * factors.depth),
        _column(1.95 - 0.83 * look_up),
        _column(np.zeros(len(factors))),
    ]
    across, up = _grid(resolution, supersample)
    zero = np.zeros(len(factors))
    right = (np.cos(yaw), zero, -np.sin(yaw))
    upward = (-np.sin(yaw) * np.sin(pitch), np.cos(pitch), -np.cos(yaw) * np.sin(pitch))
    forward = (np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch))
    direction = [
        _column(r) * across + (_column(u) * up + _column(f))
        for r, u, f in zip(right, upward, forward, strict=True)
    ]
    return eye, direction


@lru_cache(maxsize=4)
def _grid(resolution: int, supersample: int) -> tuple[Tensor, Tensor]:
    """Returns ray positions on the image plane at distance 1, each ``[P]``; subsamples vary slowest."""
    reach = np.tan(np.radians(FIELD_OF_VIEW / 2))
    offset = (np.arange(supersample) + 0.5) / supersample  # [S]
    place = (np.arange(resolution)[None] + offset[:, None]) / resolution * 2 - 1  # [S, R]
    shape = (supersample, supersample, resolution, resolution)
    up = np.broadcast_to(-place[:, None, :, None], shape)
    across = np.broadcast_to(place[None, :, None, :], shape)
    flat = [torch.from_numpy((reach * axis).astype(np.float32).reshape(-1)) for axis in (across, up)]
    return flat[0], flat[1]


def _hit_room(eye: list[Tensor], inverse: list[Tensor], depth: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the distance to walls, floor or ceiling ``[n, P]``, and the axis hit (0, 1, 2 as float)."""
    side = inverse[0].abs().mul_(HALF_WIDTH).sub_(inverse[0] * eye[0])
    level = torch.maximum(inverse[1] * -eye[1], inverse[1] * (HEIGHT - eye[1]))
    back = inverse[2] * (depth - eye[2])
    distance = torch.minimum(torch.minimum(side, level), back)
    axis = torch.where(distance == level, FACES_Y, FACES_X).masked_fill_(distance == back, FACES_Z)
    return distance, axis


def _hit_boxes(
    eye: list[Tensor], inverse: list[Tensor], centre: Tensor, half: Tensor, distance: Tensor
) -> Tensor:
    """Returns the nearest box of each ray, float ``[n, P]`` (-1: none); lowers ``distance`` in place.

    Uses slab tests. Every box is in front of the camera, and every ray points forwards (z > 0).
    """
    nearest = torch.full_like(distance, -1.0)
    width = [inverse[0].abs(), inverse[1].abs()]
    near, far, middle, reach = (torch.empty_like(distance) for _ in range(4))
    for k in range(centre.shape[1]):
        torch.mul(inverse[2], centre[:, k, 2:] - half[:, k, 2:] - eye[2], out=near)
        torch.mul(inverse[2], centre[:, k, 2:] + half[:, k, 2:] - eye[2], out=far)
        for a in (0, 1):
            torch.mul(inverse[a], centre[:, k, a : a + 1] - eye[a], out=middle)
            torch.mul(width[a], half[:, k, a : a + 1], out=reach)
            torch.maximum(near, middle - reach, out=near)
            torch.minimum(far, middle.add_(reach), out=far)
        hit = (near < far).logical_and_(near < distance)
        torch.where(hit, near, distance, out=distance)
        nearest.masked_fill_(hit, float(k))
    return nearest
