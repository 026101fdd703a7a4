"""The cache of rendered rooms: right, resumable, never stale, and never harmed by half a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from higan_fast.scenes import dataset
from higan_fast.scenes.dataset import SceneDataset
from higan_fast.scenes.factors import labels, sample_factors
from higan_fast.scenes.renderer import render

SIZE = 16  # pixels
SHARD = 24  # images


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "SHARD_SIZE", SHARD)
    monkeypatch.setattr(dataset, "_STRIDE", 10)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each call of the renderer drew."""
    calls: list[int] = []

    def counting(factors: Any, resolution: int) -> torch.Tensor:
        calls.append(len(factors))
        return render(factors, resolution)

    monkeypatch.setattr(dataset, "render", counting)
    return calls


def test_cached_images_are_the_rendered_ones(tmp_path: Path) -> None:
    indices = [50, 0, 23, 24, 3, 0]  # three shards, out of order, one twice
    cached, cached_labels = SceneDataset(1, SIZE, tmp_path).batch(indices)
    images, values = SceneDataset(1, SIZE).batch(indices)
    assert torch.equal(cached, images) and torch.equal(cached_labels, values)
    assert images.shape == (6, 3, SIZE, SIZE) and images.dtype == torch.uint8
    assert values.shape == (6, 14) and values.dtype == torch.float32
    factors = sample_factors(1, indices)
    assert torch.equal(images, render(factors, SIZE)) and np.array_equal(values.numpy(), labels(factors))


def test_a_second_reader_draws_nothing_and_maps_the_file(tmp_path: Path, drawn: list[int]) -> None:
    SceneDataset(1, SIZE, tmp_path).batch(range(SHARD))
    assert sum(drawn) == SHARD
    reader = SceneDataset(1, SIZE, tmp_path)
    reader.batch(range(SHARD))
    assert sum(drawn) == SHARD
    assert isinstance(reader._shards[0], np.memmap) and not reader._shards[0].flags.writeable


def test_changing_a_batch_leaves_the_cache_alone(tmp_path: Path) -> None:
    data = SceneDataset(1, SIZE, tmp_path)
    images = data.batch([0, 1])[0]
    copy = images.clone()
    images.zero_()
    assert torch.equal(data.batch([0, 1])[0], copy)


def test_prerender_draws_what_is_missing_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = 0

    def interrupted(factors: Any, resolution: int) -> torch.Tensor:
        nonlocal done
        if done >= SHARD + 10:  # in the middle of the second shard
            raise KeyboardInterrupt
        done += len(factors)
        return render(factors, resolution)

    with monkeypatch.context() as patch:
        patch.setattr(dataset, "render", interrupted)
        with pytest.raises(KeyboardInterrupt):
            SceneDataset(2, SIZE, tmp_path).prerender(3 * SHARD - 1)
    folder = SceneDataset(2, SIZE, tmp_path).folder
    assert folder is not None and [path.name for path in folder.iterdir()] == ["00000.npy"]

    again = 0

    def counting(factors: Any, resolution: int) -> torch.Tensor:
        nonlocal again
        again += len(factors)
        return render(factors, resolution)

    monkeypatch.setattr(dataset, "render", counting)
    data = SceneDataset(2, SIZE, tmp_path)
    data.prerender(3 * SHARD - 1)
    assert again == 2 * SHARD
    assert torch.equal(data.batch(range(3 * SHARD))[0], render(sample_factors(2, range(3 * SHARD)), SIZE))
    assert again == 2 * SHARD


def test_a_write_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    data = SceneDataset(1, SIZE, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            data.batch([0])
    assert data.folder is not None and list(data.folder.iterdir()) == []
    assert torch.equal(data.batch([0])[0], render(sample_factors(1, [0]), SIZE))


@pytest.mark.parametrize("kept", [0, 40, 500])
def test_half_a_file_is_drawn_again(kept: int, tmp_path: Path) -> None:
    first = SceneDataset(1, SIZE, tmp_path)
    whole = first.batch(range(4))[0]
    assert first.folder is not None
    (first.folder / "00001-123.tmp").write_bytes(b"left behind by a killed process")
    path = first.folder / "00000.npy"
    content = path.read_bytes()
    path.unlink()  # the mapped file stays as it is for its reader
    path.write_bytes(content[:kept])
    data = SceneDataset(1, SIZE, tmp_path)
    assert torch.equal(data.batch(range(4))[0], whole)
    assert torch.equal(data.batch([SHARD])[0], render(sample_factors(1, [SHARD]), SIZE))
    assert path.read_bytes() == content


def test_no_image_of_another_world_or_renderer_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: list[int]
) -> None:
    for seed, resolution in ((1, SIZE), (2, SIZE), (1, SIZE + 1)):
        SceneDataset(seed, resolution, tmp_path).batch([0])
    assert sum(drawn) == 3 * SHARD
    monkeypatch.setattr(dataset, "RENDERER_VERSION", dataset.RENDERER_VERSION + 1)
    SceneDataset(1, SIZE, tmp_path).batch([0])
    assert sum(drawn) == 4 * SHARD


def test_bad_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="indices: got -1"):
        SceneDataset(0, SIZE, tmp_path).batch([-1])
    with pytest.raises(ValueError, match="cache: got None, expected a folder"):
        SceneDataset(0, SIZE).prerender(10)
    with pytest.raises(ValueError, match="num: got -1"):
        SceneDataset(0, SIZE, tmp_path).prerender(-1)
    with pytest.raises(ValueError, match="seed: got -1"):
        SceneDataset(-1)
    with pytest.raises(ValueError, match="resolution: got 0"):
        SceneDataset(0, 0)
    assert list(tmp_path.iterdir()) == []
