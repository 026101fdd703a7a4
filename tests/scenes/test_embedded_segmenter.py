"""The embedded segmentation head against the exact masks of rooms that it was never trained on."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from higan_fast.predictors.segmentation import SegmentationPredictor
from higan_fast.predictors.segmenter import load_room_segmenter
from higan_fast.scenes.classes import CLASSES
from higan_fast.scenes.factors import FURNITURE, Factors, sample_factors
from higan_fast.scenes.renderer import render_with_masks
from higan_fast.scenes.train_segmenter import evaluate
from higan_fast.weights import embedded

NUM = 48
THINGS = ("bed", "sofa", "table", "lamp", "picture", "clutter", "window")
FULL = ("share", "presence", "position")


class Seen(NamedTuple):
    rooms: Factors
    masks: Tensor  # [N, 64, 64]
    predictor: SegmentationPredictor
    scores: Tensor  # [N, S]

    def score(self, name: str) -> Tensor:
        return self.scores[:, self.predictor.names.index(name)]

    def exact(self, name: str) -> Tensor:
        """Which pixels show a class, float ``[N, 64, 64]``."""
        return (self.masks == CLASSES.index(name)).float()


@pytest.fixture(scope="module")
def seen() -> Seen:
    rooms = sample_factors(3_000_017, range(NUM))
    images, masks = render_with_masks(rooms)
    predictor = SegmentationPredictor(load_room_segmenter(embedded("segmenter")), CLASSES, measures=FULL)
    with torch.no_grad():
        return Seen(rooms, masks, predictor, predictor(images.float() / 127.5 - 1))


def test_it_segments_rooms() -> None:
    measured = evaluate(load_room_segmenter(embedded("segmenter")), NUM)
    assert measured["mean"] >= 0.95
    assert min(measured.values()) >= 0.85


@pytest.mark.parametrize("name", CLASSES)
def test_shares_are_those_of_the_masks(name: str, seen: Seen) -> None:
    exact, ours = seen.exact(name).mean(dim=(1, 2)), seen.score(f"{name}_share")
    # an edge of a pixel's width around the class is what a segmentation may mistake
    assert (ours - exact).abs().max() < 0.01
    assert torch.corrcoef(torch.stack([exact, ours]))[0, 1] > 0.99


@pytest.mark.parametrize("name", THINGS)
def test_presence_tells_rooms_with_a_thing_from_those_without(name: str, seen: Seen) -> None:
    if name in FURNITURE:
        there = torch.from_numpy(seen.rooms.furniture == FURNITURE.index(name))
    else:
        there = torch.from_numpy(getattr(seen.rooms, name) == 1)
    assert 5 < there.sum() < NUM - 5
    presence = seen.score(f"{name}_presence")
    assert presence[there].min() > 0.99
    assert presence[~there].max() < 0.1


@pytest.mark.parametrize("name", THINGS)
def test_positions_are_centres_of_mass_and_0_where_there_is_nothing(name: str, seen: Seen) -> None:
    exact = seen.exact(name)
    place = (torch.arange(64) + 0.5) / 32 - 1
    there = exact.sum(dim=(1, 2)) > 0
    ours = seen.score(f"{name}_position")
    centre = (exact[there] * place).sum(dim=(1, 2)) / exact[there].sum(dim=(1, 2))
    # three pixels: the worst is a room with a small thing of five that it missed
    assert (ours[there] - centre).abs().max() < 3 / 32
    assert ours[~there].abs().max() < 0.05
