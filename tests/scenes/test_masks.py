"""The renderer's masks: each pixel is named by what its rays hit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from higan_fast.scenes.classes import CLASSES
from higan_fast.scenes.factors import sample_factors, with_factor
from higan_fast.scenes.furniture import furnish
from higan_fast.scenes.materials import NUM_MATERIALS
from higan_fast.scenes.renderer import OF_MATERIAL, render, render_with_masks

COUNTED = {name: index for index, name in enumerate(CLASSES)}
OBJECTS = ("bed", "sofa", "table", "lamp", "picture", "clutter", "window")


def share(masks: torch.Tensor, name: str) -> torch.Tensor:
    return (masks == COUNTED[name]).float().mean(dim=(1, 2))  # [N]


def test_masks_come_with_the_same_images() -> None:
    rooms = sample_factors(3, range(9))
    for resolution, supersample in ((64, 2), (17, 3)):
        images, masks = render_with_masks(rooms, resolution, supersample)
        assert torch.equal(images, render(rooms, resolution, supersample))
        assert masks.shape == (9, resolution, resolution) and masks.dtype == torch.uint8
        alone = render_with_masks(rooms[np.array([4])], resolution, supersample)[1]
        assert torch.equal(alone[0], masks[4])
    assert render_with_masks(sample_factors(0, []))[1].shape == (0, 64, 64)
    assert len(OF_MATERIAL) == NUM_MATERIALS


@pytest.mark.parametrize("name", OBJECTS)
def test_a_thing_is_in_the_mask_where_it_is_in_the_room(name: str) -> None:
    rooms = sample_factors(5, range(12))
    without, with_it = (render_with_masks(with_factor(rooms, name, value)) for value in (0, 1))
    assert share(without[1], name).max() == 0
    assert share(with_it[1], name).min() >= 8 / 4096  # the smallest: a lamp or a picture in the deepest room
    if name in ("picture", "window", "lamp"):  # which are wall and floor where they are not
        changed = without[1] != with_it[1]
        own = with_it[1] == COUNTED[name]
        curtains = with_it[1] == COUNTED["curtain"]
        assert torch.all(own <= changed)
        # beside it a pixel changes only where one ray on it decides between two others
        assert (changed & ~own & ~curtains).sum(dim=(1, 2)).max() <= 4


def test_rooms_always_show_their_surfaces_and_every_box_has_a_class() -> None:
    rooms = sample_factors(6, range(40))
    masks = render_with_masks(rooms, 32)[1]
    for name in ("wall", "floor", "ceiling"):
        assert share(masks, name).min() > 0.02
    assert masks.max() < len(CLASSES)
    boxes = furnish(rooms)
    kinds = {CLASSES[kind] for row, num in zip(boxes.kind, boxes.num, strict=True) for kind in row[:num]}
    assert kinds == {"bed", "sofa", "table", "lamp", "clutter", "ceiling"}


def test_finer_masks_say_the_same() -> None:
    """A pixel is the class of most of its rays: 8 × 8 rays a pixel are 4 × 4 pixels of 2 × 2 rays."""
    rooms = sample_factors(7, range(4))
    coarse, fine = render_with_masks(rooms, 16, 8)[1], render_with_masks(rooms, 128, 1)[1]
    blocks = (
        fine.unflatten(2, (16, 8)).unflatten(1, (16, 8)).movedim(2, 3).flatten(3).long()
    )  # [N, 16, 16, 64]
    votes = torch.nn.functional.one_hot(blocks, len(CLASSES)).sum(3)
    assert torch.equal(votes.gather(3, coarse.long()[..., None])[..., 0], votes.amax(3))
    tied = (votes == votes.amax(3, keepdim=True)) * torch.arange(len(CLASSES))
    assert torch.equal(tied.amax(3), coarse.long())  # of equally many, the one that is listed last
