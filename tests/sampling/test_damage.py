"""A damaged store of samples heals where it is written, and is named where it is read. It never lies."""

import shutil

import numpy as np
import pytest

import higan_fast.probing as probing
from higan_fast.engine.engine import Engine
from tests.damage import DAMAGES
from tests.toy import toy

NUM, SHARD = 300, 128
FIELDS = ("z", "w", "codes", "scores")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    return folder, sample(folder)


def sample(folder):
    return probing.sample(*toy(), NUM, folder, shard_size=SHARD, progress=False)


def same(found, expected):
    return all(np.array_equal(getattr(found, name), getattr(expected, name)) for name in FIELDS)


def read_all(folder):
    samples = probing.Samples.open(folder)
    for name in FIELDS:
        getattr(samples, name)
    return samples


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_file_heals_and_is_named_until_then(whole, damage, tmp_path):
    folder, expected = whole
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "writer.lock"]
    assert len(files) == 1 + 4 + 4 * 3  # of the group, of each array, and three shards of each
    for number, file in enumerate(files):
        copy = tmp_path / str(number)
        shutil.copytree(folder, copy)
        damaged = copy / file.relative_to(folder)
        DAMAGES[damage](damaged, number)
        try:
            found = read_all(copy)
            last = damaged.parts[-4:] == ("scores", "c", str(NUM // SHARD), "0")
            # the last shard, when it is gone, looks as if it had not been made yet
            assert same(found, expected) or (last and len(found) == NUM // SHARD * SHARD)
        except ValueError as error:
            assert str(damaged) in str(error), error
            assert "higan-fast sample" in str(error)
            assert "\n" not in str(error)
        assert same(sample(copy), expected), damaged
        assert same(read_all(copy), expected)


@pytest.fixture
def made(monkeypatch):
    """How many images each call has synthesised and scored."""
    counts, scores = [], Engine.scores
    monkeypatch.setattr(
        Engine,
        "scores",
        lambda self, codes, *more: (counts.append(len(codes)), scores(self, codes, *more))[1],
    )
    return counts


@pytest.mark.parametrize("name", ["z", "w", "codes", "zarr.json", "codes/zarr.json"])
def test_scores_outlive_what_follows_from_the_seed(whole, made, name, tmp_path):
    """Codes are made anew without an image."""
    shutil.copytree(whole[0], tmp_path / "run")
    damaged = tmp_path / "run" / "samples.zarr" / name
    (damaged / "c" / "1" / "0" if damaged.is_dir() else damaged).rename(tmp_path / "gone")
    assert same(sample(tmp_path / "run"), whole[1])
    assert sum(made) == 0


def test_one_damaged_shard_of_scores_is_made_anew_alone(whole, made, tmp_path):
    shutil.copytree(whole[0], tmp_path / "run")
    DAMAGES["truncated"](tmp_path / "run" / "samples.zarr" / "scores" / "c" / "1" / "0", 0)
    assert same(sample(tmp_path / "run"), whole[1])
    assert sum(made) == SHARD


@pytest.mark.parametrize("old, new", [("300", "200"), ("300", "900")])
@pytest.mark.parametrize("name", FIELDS)
def test_a_wrong_length_misleads_nobody(whole, name, old, new, tmp_path):
    shutil.copytree(whole[0], tmp_path / "run")
    file = tmp_path / "run" / "samples.zarr" / name / "zarr.json"
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    try:
        assert same(read_all(tmp_path / "run"), whole[1])
    except ValueError as error:
        assert str(file.parent) in str(error)
    assert same(sample(tmp_path / "run"), whole[1])
