"""Sampling that is killed at any moment, and resumed, gives the store of an uninterrupted run."""

import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from higan_fast.probing import Samples, sample
from tests.kills import die_at_write
from tests.processes import ended, exit_code, start
from tests.toy import toy

NUM, SHARD = 300, 64


def sample_slowly(folder: Path) -> None:
    """Samples with pauses, so that a kill falls into every part of the work."""
    generator, predictor = toy()
    forward, predictor.identity = predictor.forward, "toy"

    def slow(images):
        time.sleep(0.1)
        return forward(images)

    predictor.forward = slow
    sample(generator, predictor, NUM, folder, batch_size=16, shard_size=SHARD, progress=False)


def sample_and_die(folder: Path, write: int) -> None:
    """Samples until a given file is about to be renamed, and is killed there."""
    die_at_write(write, lambda: sample(*toy(), NUM, folder, shard_size=SHARD, progress=False))


def assert_uninterrupted(folder: Path) -> None:
    reference = sample(*toy(), NUM, batch_size=50, progress=False)
    opened = Samples.open(folder)
    assert len(opened) == NUM
    for name in ("z", "w", "codes"):
        np.testing.assert_array_equal(getattr(opened, name), getattr(reference, name))
    # Scores may differ by rounding: another batch size sums in another order.
    np.testing.assert_allclose(opened.scores, reference.scores, rtol=0, atol=1e-5)
    assert not list(folder.rglob("*.partial"))


def test_sigkill_at_random_moments(tmp_path):
    moments = random.Random(0)
    killed = 0
    for _ in range(8):
        child = start(sample_slowly, tmp_path)
        child.join(moments.uniform(0.05, 0.4))
        if child.is_alive():
            child.kill()
            killed += 1
        ended(child)
    assert killed >= 3
    generator, predictor = toy()
    predictor.identity = "toy"
    sample(generator, predictor, NUM, tmp_path, batch_size=7, shard_size=SHARD, progress=False)
    assert_uninterrupted(tmp_path)


@pytest.mark.parametrize("write", [1, 4, 7, 10, 13, 14])
def test_sigkill_at_a_write(tmp_path, write):
    assert exit_code(sample_and_die, tmp_path, write) == -signal.SIGKILL
    store = tmp_path / "samples.zarr"
    complete = len(Samples.open(tmp_path)) if list(store.glob("scores/c/*/0")) else 0
    assert complete % SHARD == 0
    sample(*toy(), NUM, tmp_path, shard_size=SHARD, progress=False)
    assert_uninterrupted(tmp_path)
