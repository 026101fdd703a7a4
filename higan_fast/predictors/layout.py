"""A predictor without weights: view direction, horizon and corners of a room, from its lines."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from higan_fast.predictors import manhattan
from higan_fast.predictors.base import Semantic
from higan_fast.predictors.closed_form import ClosedForm
from higan_fast.predictors.lines import Edges

FIELD_OF_VIEW = 75.0  # degrees: a wide lens, as rooms are photographed
RESOLUTION = 64  # at which lines are looked for
SHARPNESS = 50.0  # how fast a hypothesis loses weight, per unit of log-likelihood of a mean edge
SPARSE = 0.01  # mean strength of edges below which there is little to go by, and all hypotheses weigh alike
ALONG = 10  # cos² of the angle to an axis, to this power: half at 15 degrees
INSIDE = 8.0  # weight of lines that end at a corner, beside those that run along it
SOFT = 0.05  # over what share of half a picture the horizon and the view direction divide it


class LayoutPredictor(ClosedForm):
    """Rooms → view, horizon, left corner and right corner, from lines and their vanishing points.

    - ``view``: by how many degrees the camera is turned to the right of the wall that it faces; between −44
      and 44.
    - ``horizon``: how high it lies in the picture: 0 at the bottom, 1 at the top, beyond where the camera
      looks down or up by more than half its field of view.
    - ``left_corner``, ``right_corner``: where the wall that is faced ends, along the horizon: 0 at the left
      edge of the picture, 1 at the right one.

    All four are means over hypotheses, weighed by how well the edges of a picture agree with each. So they
    are differentiable, and a picture without lines has those of the mean hypothesis.

    Args:
        field_of_view: of the camera, from the left to the right edge, degrees between 20 and 140. Where it is
            10 degrees off, directions err by a tenth, and their order stays.

    Raises:
        ValueError: if the field of view is another.
    """

    not_fingerprinted = (
        "table",
        "views",
        "pitches",
        "right",
        "up",
        "places",
        "before",
    )  # follow from the rest

    table: Tensor  # [harmonics × cells, hypotheses]
    views: Tensor  # [hypotheses] radians, and so are
    pitches: Tensor  # [hypotheses]
    right: Tensor  # [1, RESOLUTION] of a pixel's middle, in focal lengths, and so is
    up: Tensor  # [RESOLUTION, 1]
    places: Tensor  # [RESOLUTION] along the horizon, from -1 to 1
    before: Tensor  # [RESOLUTION, RESOLUTION] how much of each place is to the left of another one

    def __init__(self, field_of_view: float = FIELD_OF_VIEW) -> None:
        super().__init__()
        if not 20 <= field_of_view <= 140:
            raise ValueError(
                f"field_of_view: got {field_of_view:g}, expected degrees between 20 and 140, from the "
                "left to the right edge of a picture"
            )
        self.field_of_view = float(field_of_view)
        self.definition = 1
        self.semantics = tuple(
            Semantic(name, "layout") for name in ("view", "horizon", "left_corner", "right_corner")
        )
        self.reach = math.tan(math.radians(field_of_view / 2))
        views, pitches = manhattan.hypotheses()
        right, up = manhattan.points(RESOLUTION, field_of_view)
        buffers = {
            "table": manhattan.log_likelihoods(self.field_of_view).clone(),
            "views": views.deg2rad(),
            "pitches": pitches.deg2rad(),
            "right": right,
            "up": up,
            "places": right[0] / self.reach,
            "before": torch.ones(RESOLUTION, RESOLUTION).triu(1) + torch.eye(RESOLUTION) / 2,
        }
        for name, tensor in buffers.items():
            self.register_buffer(name, tensor, persistent=False)

    @property
    def score_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        steepest = float(manhattan.PITCHES.max().deg2rad().tan()) / self.reach
        view = float(manhattan.VIEWS.max())
        return (-view, view), ((1 - steepest) / 2, (1 + steepest) / 2), (0.0, 1.0), (0.0, 1.0)

    def formulas(self, rgb: Tensor) -> Tensor:
        if rgb.shape[-1] != rgb.shape[-2]:
            raise ValueError(
                f"images: got {rgb.shape[-1]} × {rgb.shape[-2]} pixels, expected square ones, whose field "
                "of view is the same both ways"
            )
        if rgb.shape[-1] != RESOLUTION:
            size = (RESOLUTION, RESOLUTION)
            rgb = F.interpolate(rgb, size, mode="bilinear", antialias=True, align_corners=False)
        edges = Edges(rgb)
        view, pitch = self._camera(edges)
        horizon = (1 - pitch.tan() / self.reach) / 2
        return torch.stack([view.rad2deg(), horizon, *self._corners(edges, view, pitch)], dim=1)

    def _camera(self, edges: Edges) -> tuple[Tensor, Tensor]:
        """Which way the camera looks: view and pitch in radians, ``[N]`` each."""
        harmonics = edges.harmonics(manhattan.HARMONICS)
        pooled = F.avg_pool2d(harmonics, RESOLUTION // manhattan.CELLS).flatten(1)
        total = pooled @ self.table / manhattan.CELLS**2  # [N, hypotheses]
        strength = edges.strength.mean([1, 2])
        weights = (SHARPNESS * total / (strength + SPARSE)[:, None]).softmax(1)
        return weights @ self.views, weights @ self.pitches

    def _corners(self, edges: Edges, view: Tensor, pitch: Tensor) -> tuple[Tensor, Tensor]:
        """Where the wall that is faced ends at its left and its right, in [0, 1], ``[N]`` each.

        At a corner edges run upright; and from it to the picture's border others run away from the camera,
        where those between the corners run across. Above the horizon little stands before the walls.
        """
        view, pitch = view[:, None, None], pitch[:, None, None]
        frame = manhattan.axes(view, pitch)
        across, upright, away = (
            edges.along(*manhattan.towards(axis, self.right, self.up), ALONG) for axis in frame
        )
        evidence = self._upright(torch.stack([upright, away - across], dim=1), pitch)
        upright, outside = evidence.unbind(1)  # [N, places] each
        left_of = outside @ self.before / len(self.places)  # the mean of what is to the left of each place
        right_of = outside.mean(1, keepdim=True) - left_of
        # What lies straight away from the camera is on the wall that it faces, between the corners.
        ahead = -view[:, 0].tan() / pitch[:, 0].cos() / self.reach  # [N, 1] along the horizon
        to_right = (self.places - ahead) / SOFT  # [N, places]
        corners = []
        for beyond, side in ((left_of, -to_right), (right_of, to_right)):
            found = SHARPNESS * (upright + INSIDE * beyond) + F.logsigmoid(side)
            corners.append(((found.softmax(1) * self.places).sum(1) + 1) / 2)
        return corners[0], corners[1]

    def _upright(self, maps: Tensor, pitch: Tensor) -> Tensor:
        """Maps ``[N, C, H, W]`` → their means above the horizon along upright lines, ``[N, C, places]``."""
        cos_pitch, sin_pitch = pitch.cos(), pitch.sin()
        # The upright line that crosses the horizon at a place, where it meets each row of the picture.
        across = self.places * cos_pitch * (cos_pitch - self.up * sin_pitch)  # [N, H, places]
        down = -(self.up / self.reach).expand_as(across)
        straight = F.grid_sample(maps, torch.stack([across, down], dim=3), align_corners=False)
        above = ((self.up + pitch.tan()) / SOFT).sigmoid()  # [N, H, 1]
        return (straight * above[:, None]).mean(2)
