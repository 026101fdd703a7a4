"""A verification that is stopped anywhere goes on after the last part that it kept, to the same bits."""

import signal

import numpy as np
import pytest

from higan_fast.probing import verify
from higan_fast.probing.freed import FREED_SAMPLES
from higan_fast.probing.measurement import SAMPLES_AT_ONCE
from tests.kills import die_at_write
from tests.probing.same import same
from tests.processes import exit_code
from tests.toy import NUM_LAYERS, toy_by_name

FIXED = {"num": 200, "null": "isotropic", "num_null": 8, "progress": False}
IMAGES = 200 * (1 + (4 + 8) * 2 * (1 + NUM_LAYERS))
ISOTROPIC = {"null": "isotropic", "num_null": 32, "progress": False}
SEQUENTIAL = ISOTROPIC | {"max_samples": 400, "confidence": 0.95}


def counted(stop_after=None):
    """The toy networks, and a list of how many images the predictor saw; stops it in the middle."""
    generator, predictor = toy_by_name()
    seen, forward = [], predictor.forward

    def counting(images):
        if stop_after is not None and sum(seen) >= stop_after:
            raise KeyboardInterrupt
        seen.append(len(images))
        return forward(images)

    predictor.forward = counting
    return generator, predictor, seen


@pytest.fixture(scope="module")
def fixed(boundaries):
    return verify(*toy_by_name(), boundaries, **FIXED)


@pytest.mark.parametrize("stops", [(0.59,), (0.05, 0.3, 0.3, 0.2)])
def test_a_fixed_number_of_samples_goes_on_where_it_was(boundaries, fixed, tmp_path, stops):
    total = 0
    for stop in stops:
        *networks, seen = counted(stop * IMAGES)
        with pytest.raises(KeyboardInterrupt):
            verify(*networks, boundaries, out=tmp_path, **FIXED)
        total += sum(seen)
    *networks, seen = counted()
    same(verify(*networks, boundaries, out=tmp_path, **FIXED), fixed)
    # each stop loses no more than one part, and scores the base samples of its own parts again
    part = SAMPLES_AT_ONCE * 8 * 2 * (1 + NUM_LAYERS)
    assert total + sum(seen) <= IMAGES + len(stops) * (part + FIXED["num"])
    if len(stops) == 1:
        assert sum(seen) < 0.65 * IMAGES
    *networks, seen = counted()
    same(verify(*networks, boundaries, out=tmp_path, **FIXED), fixed)
    assert sum(seen) == 0


def test_a_long_round_goes_on_in_its_middle(boundaries, tmp_path):
    *networks, seen = counted()
    found = verify(*networks, boundaries, **SEQUENTIAL)
    whole = sum(seen)
    *networks, seen = counted(2 * (4 + 32) * (128 + SAMPLES_AT_ONCE + 10))  # in the round 128 to 255
    with pytest.raises(KeyboardInterrupt):
        verify(*networks, boundaries, out=tmp_path, **SEQUENTIAL)
    first = sum(seen)
    *networks, seen = counted()
    same(verify(*networks, boundaries, out=tmp_path, **SEQUENTIAL), found)
    assert first + sum(seen) < whole + 2 * (4 + 32) * SAMPLES_AT_ONCE


def verify_and_die(folder, boundaries, write):
    """Verifies until a given file is about to be renamed, and is killed there."""
    die_at_write(write, lambda: verify(*toy_by_name(), boundaries, out=folder, **FIXED))


def test_sigkill_at_a_write(boundaries, fixed, tmp_path):
    for write in (1, 3):
        assert exit_code(verify_and_die, tmp_path, boundaries, write) == -signal.SIGKILL
    *networks, seen = counted()
    same(verify(*networks, boundaries, out=tmp_path, **FIXED), fixed)
    parts, freed = 2 * SAMPLES_AT_ONCE * 8 * 2 * (1 + NUM_LAYERS), 2 * FREED_SAMPLES * len(fixed.freed)
    assert sum(seen) < IMAGES - parts + freed + FIXED["num"]
    assert not list(tmp_path.rglob("*.partial"))


def test_screening_goes_on_where_it_was(boundaries, tmp_path):
    options = ISOTROPIC | {"num": 32, "confidence": 0.9, "screening": 40}
    measured = 32 * (1 + (4 + 32) * 2 * (1 + NUM_LAYERS))
    expected = verify(*toy_by_name(), boundaries, **options)
    assert np.isfinite(expected.screening).all()
    measured += 2 * 32 * len(expected.freed)
    *networks, seen = counted(measured + 24)  # in its fourth batch of 8
    with pytest.raises(KeyboardInterrupt):
        verify(*networks, boundaries, out=tmp_path, **options)
    *networks, seen = counted()
    same(verify(*networks, boundaries, out=tmp_path, **options), expected)
    assert sum(seen) == 32 + 16  # the former tell the unit of the constant score, which has no boundary
