"""The picture along a sweep: its first sample, and the strongest boundaries first."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from higan_fast.pictures import labelled_grid
from higan_fast.probing import sweep_steps
from higan_fast.probing.sweep_pictures import MOST_STEPS, _some, strongest, sweep_picture
from higan_fast.sampling.latents import DOSE, make_codes
from tests.toy import toy


@pytest.fixture(scope="module")
def found(boundaries, verification):
    return sweep_steps(*toy(), boundaries, (-2, 3), num=8, verification=verification, progress=False)


def test_it_shows_what_the_networks_make_of_the_first_sample(found, boundaries):
    generator, _ = toy()
    names = strongest(found)
    assert sorted(names) == sorted(boundaries) and len(names) == 4
    with torch.no_grad():
        codes = make_codes(generator, 1, 0, 1, stream=DOSE).codes
        images = torch.stack(
            [
                torch.cat(
                    [
                        generator.synthesize(codes + step * torch.tensor(boundaries[name].normal).float())
                        for step in (-2, 0, 3)
                    ]
                )
                for name in names
            ]
        ).clamp(-1, 1)
    title = "The first sample of the sweep, on all layers"
    expected = labelled_grid(images, names, ["-2", "0", "+3"], title, "step")
    drawn = sweep_picture(generator, boundaries, found)
    assert drawn.shape == expected.shape
    assert np.abs(drawn.astype(int) - expected).max() <= 1  # rounding


def test_those_that_move_most_stand_first(found):
    change = np.zeros_like(found.change)
    for curve, size in zip(found.curves(), (1, 4, 2, 3), strict=True):
        change[curve, -1, found.columns[curve]] = size * found.deviation[found.columns[curve]]
    order = strongest(replace(found, change=change))
    assert order == [found.boundary_names[curve] for curve in (1, 3, 2, 0)]


def test_many_steps_keep_both_ends_and_zero():
    few = np.arange(-6.0, 7)
    assert _some(few) is few
    many = _some(np.arange(-40.0, 61))
    assert len(many) <= MOST_STEPS and {-40.0, 0.0, 60.0} <= set(many.tolist())
