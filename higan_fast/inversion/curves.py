"""How near each picture came, step by step: kept while a search runs, written as a table and as a figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

POINTS = 100  # of each image in each space, at most
NAMED = 12  # pictures whose curves have their names; of more, all are drawn alike
SIZE, LEFT, RIGHT, TOP, BOTTOM = (720, 300), 44, 150, 14, 34  # of the figure, and its margins
LINE = 13  # pixels between two names
DASHES = ("none", "6 3", "1.5 2.5")  # that tell lines apart where they cross
Array = NDArray[np.float32]


class Curves:
    """PSNR in dB over the steps of a search, ``[N, spaces, POINTS]``; NaN where no step was taken.

    A point stands for ``every`` steps, and is that of the last of them.
    """

    def __init__(self, num: int, spaces: int, steps: int, like: Tensor) -> None:
        """``like``: a tensor on the device of the search."""
        self.every = every_of(steps)
        self.values = torch.full((num, spaces, math.ceil(steps / self.every)), math.nan, device=like.device)

    def record(self, space: int, rows: Tensor, taken: Tensor, psnr: Tensor) -> None:
        """Takes the PSNR of some images ``[n]`` at the step that was just ``taken``, from 1 on."""
        self.values[rows, space, torch.div(taken - 1, self.every, rounding_mode="floor")] = psnr.float()

    def arrays(self) -> dict[str, Array]:
        """What is to be kept."""
        return {"curves": self.values.cpu().numpy()}

    def restore(self, arrays: dict[str, Any]) -> None:
        """Takes up, and out of the arrays, what was kept; older files have none."""
        kept = arrays.pop("curves", None)
        if kept is not None and kept.shape == tuple(self.values.shape):
            self.values.copy_(torch.from_numpy(kept))


def every_of(steps: int) -> int:
    """How many steps a point stands for."""
    return math.ceil(steps / POINTS)


def rows_of(names: Sequence[str], curves: Array, settings: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """A row for each point: image, space, step in that space, and PSNR."""
    every, steps = every_of(settings["steps"]), settings["steps"]
    for name, of_image in zip(names, curves, strict=True):
        for space, values in zip(("w", "w+"), of_image, strict=False):
            for place in np.flatnonzero(np.isfinite(values)).tolist():
                step = min((place + 1) * every, steps)
                yield {"image": name, "space": space, "step": step, "psnr": float(values[place])}


def figure(names: Sequence[str], curves: Array, settings: Mapping[str, Any]) -> str:
    """The curves as an SVG picture, in the colour of the text around it: PSNR against steps.

    Circles mark where an image went on from w to w+.
    """
    lines = [_line(of_image, settings["steps"]) for of_image in curves]
    (width, height), right = SIZE, RIGHT if len(names) <= NAMED else 12
    points = np.concatenate([line for line, _ in lines])
    low, high = (
        5 * round_(value / 5)
        for round_, value in ((math.floor, points[:, 1].min()), (math.ceil, points[:, 1].max()))
    )
    high, last = max(high, low + 5), float(points[:, 0].max())

    def placed(point: Sequence[float]) -> tuple[float, float]:
        step, psnr = point
        across = LEFT + (width - LEFT - right) * step / last
        return round(across, 1), round(
            height - BOTTOM - (height - TOP - BOTTOM) * (psnr - low) / (high - low), 1
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" '
        'font-family="sans-serif" font-size="11" fill="currentColor" stroke="currentColor">'
    ]
    for psnr in range(int(low), int(high) + 1, 5 if high - low <= 40 else 10):
        _, y = placed((0, psnr))
        parts.append(f'<path d="M{LEFT} {y}H{width - right}" opacity="0.15"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end" stroke="none">{psnr}</text>')
    for share in (0.0, 0.5, 1.0):
        x, _ = placed((share * last, low))
        said = f"{round(share * last):,}"
        parts.append(f'<text x="{x}" y="{height - 18}" text-anchor="middle" stroke="none">{said}</text>')
    parts.append(f'<text x="{LEFT - 6}" y="{height - 3}" stroke="none">PSNR in dB against steps</text>')
    ends, opacity = [], 1 if len(names) <= NAMED else 0.4
    for number, (line, changes) in enumerate(lines):
        path = "L".join(f"{x} {y}" for x, y in map(placed, line.tolist()))
        dashes = DASHES[number % len(DASHES)] if len(names) <= NAMED else "none"
        how = f'fill="none" stroke-width="1.4" stroke-dasharray="{dashes}" opacity="{opacity}"'
        parts.append(f'<path d="M{path}" {how}/>')
        for x, y in map(placed, line[changes].tolist()):
            parts.append(f'<circle cx="{x}" cy="{y}" r="2.6" stroke="none"/>')
        ends.append(placed(line[-1].tolist()))
    if len(names) <= NAMED:
        parts += _names(names, ends, width - right + 8, height)
    return "\n".join([*parts, "</svg>"])


def _line(of_image: Array, most: int) -> tuple[NDArray[np.float64], list[int]]:
    """The points of one image, ``[P, 2]`` of steps and dB, and at which it went on to another space."""
    known = [values[np.isfinite(values)] for values in of_image]
    values = np.concatenate(known).astype(np.float64)
    each = [np.minimum(every_of(most) * np.arange(1, len(part) + 1), most) for part in known]
    steps = np.concatenate([each[0], *(each[0][-1] + part for part in each[1:])])
    return np.stack([steps, values], axis=1), [len(known[0]) - 1] if len(known) > 1 and len(known[1]) else []


def _names(
    names: Sequence[str], ends: Sequence[tuple[float, float]], left: float, height: float
) -> list[str]:
    """Names beside the ends of their lines, moved apart so that they can be read."""
    order = sorted(range(len(names)), key=lambda index: ends[index][1])
    places = [ends[index][1] + 4 for index in order]
    for below in range(1, len(places)):
        places[below] = max(places[below], places[below - 1] + LINE)
    over = max(0.0, places[-1] - (height - BOTTOM + 4))
    limit = places[-1] - over
    for above in reversed(range(len(places))):
        places[above] = min(places[above], limit)
        limit = places[above] - LINE
    return [
        f'<text x="{left}" y="{y:.1f}" stroke="none">{escape(names[index][-20:])}</text>'
        for index, y in zip(order, places, strict=True)
    ]
