"""The renderer: the same picture in every batch, and every factor visible in it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from higan_fast.scenes import renderer
from higan_fast.scenes.factors import CONTINUOUS, SEMANTICS, sample_factors, with_factor
from higan_fast.scenes.renderer import render

NAMES = [semantic.name for semantic in SEMANTICS]


def test_images_have_the_promised_shape_and_type() -> None:
    rooms = sample_factors(0, range(3))
    for resolution, supersample in ((64, 2), (24, 1), (17, 3)):
        images = render(rooms, resolution, supersample)
        assert images.shape == (3, 3, resolution, resolution) and images.dtype == torch.uint8
    assert render(sample_factors(0, [])).shape == (0, 3, 64, 64)


@pytest.mark.parametrize("resolution", [64, 17])
def test_an_image_does_not_depend_on_its_batch(resolution: int, monkeypatch: pytest.MonkeyPatch) -> None:
    together = render(sample_factors(3, range(40)), resolution)
    for size in (1, 7):
        parts = [
            render(sample_factors(3, range(i, min(i + size, 40))), resolution) for i in range(0, 40, size)
        ]
        assert torch.equal(torch.cat(parts), together)
    shuffled = np.random.default_rng(0).permutation(40)
    assert torch.equal(render(sample_factors(3, shuffled), resolution), together[torch.from_numpy(shuffled)])
    monkeypatch.setattr(renderer, "RAYS", 11 * 4 * resolution**2)
    assert torch.equal(render(sample_factors(3, range(40)), resolution), together)


def test_an_image_does_not_depend_on_the_number_of_threads() -> None:
    threads = torch.get_num_threads()
    rooms = sample_factors(4, range(8))
    try:
        torch.set_num_threads(1)
        alone = render(rooms)
        torch.set_num_threads(2)
        assert torch.equal(render(rooms), alone)
    finally:
        torch.set_num_threads(threads)


def changed_pixels(name: str) -> Tensor:
    """How many pixels differ by more than 12 of 255 when a factor goes from 0 to 1, in 12 rooms."""
    rooms = sample_factors(5, range(12))
    low, high = (render(with_factor(rooms, name, value)).int() for value in (0, 1))
    return ((low - high).abs().amax(dim=1) > 12).sum(dim=(1, 2))


@pytest.mark.parametrize("name", NAMES)
def test_every_factor_is_visible_in_every_room(name: str) -> None:
    # Of 4096 pixels: a lamp or a picture in the deepest room covers about 30, a layout moves most edges.
    least = {"view": 400, "pitch": 400, "depth": 400, "lighting": 2500, "wood_floor": 250}.get(name, 20)
    if name in ("warmth", "saturation"):
        least = 300
    assert changed_pixels(name).min() >= least


@pytest.mark.parametrize("name", CONTINUOUS)
def test_a_continuous_factor_changes_the_picture_step_by_step(name: str) -> None:
    rooms = sample_factors(6, range(4))
    strip = [render(with_factor(rooms, name, step / 4)).float() for step in range(5)]
    near = torch.stack([(a - b).abs().mean(dim=(1, 2, 3)) for a, b in pairwise(strip)])
    assert near.min() > 0.2
    ends = (strip[0] - strip[-1]).abs().mean(dim=(1, 2, 3))
    assert torch.all(ends > near.mean(dim=0))


def test_light_rises_with_lighting_and_is_never_black() -> None:
    rooms = sample_factors(8, range(16))
    means = [
        render(with_factor(rooms, "lighting", value)).float().mean(dim=(1, 2, 3)) for value in (0, 0.5, 1)
    ]
    assert torch.all(means[0] < means[1]) and torch.all(means[1] < means[2])
    assert means[0].min() > 25


def test_warmth_takes_the_walls_from_blue_to_red() -> None:
    rooms = with_factor(sample_factors(9, range(8)), "saturation", 1)
    cool, warm = (render(with_factor(rooms, "warmth", value)).float() for value in (0, 1))
    wall = (slice(None), slice(None), slice(14, 26), slice(26, 38))  # the back wall's middle
    cool, warm = cool[wall].mean(dim=(2, 3)), warm[wall].mean(dim=(2, 3))
    assert torch.all(cool[:, 2] > cool[:, 0] + 20) and torch.all(warm[:, 0] > warm[:, 2] + 20)


def test_the_lamp_brightens_the_walls_beside_it() -> None:
    rooms = with_factor(with_factor(sample_factors(10, range(8)), "lighting", 0.2), "view", 0.5)
    off, on = (render(with_factor(rooms, "lamp", value)).float() for value in (0, 1))
    assert torch.all((on - off)[:, :, :, 40:].mean(dim=(1, 2, 3)) > 2)


def test_bad_sizes_are_refused() -> None:
    rooms = sample_factors(0, [0])
    with pytest.raises(ValueError, match="resolution: got 0, expected a positive integer"):
        render(rooms, 0)
    with pytest.raises(ValueError, match="supersample: got -1"):
        render(rooms, 8, -1)
