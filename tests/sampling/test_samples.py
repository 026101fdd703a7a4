"""Sampling: the same samples whatever the batch size, the interruptions and the place they are kept."""

import errno
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import higan_fast.files as files
from higan_fast.probing import Samples, sample
from tests.toy import SEMANTICS, toy, toy_by_name
from tests.toy_families import chunked_toy, conditional_toy

CODES = ("z", "w", "codes")


def assert_same(one, other):
    assert len(one) == len(other)
    for name in CODES:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    # Scores may differ by rounding: a convolution of another batch size sums in another order.
    np.testing.assert_allclose(one.scores, other.scores, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def reference():
    return sample(*toy(), 300, progress=False)


def test_samples_hold_what_the_networks_give(reference):
    generator, predictor = toy()
    assert len(reference) == 300
    assert reference.semantics == SEMANTICS
    shapes = [getattr(reference, name).shape for name in (*CODES, "scores")]
    assert shapes == [(300, 12), (300, 32), (300, 5, 32), (300, 5)]
    with torch.no_grad():
        codes = generator.map(torch.tensor(reference.z))
        np.testing.assert_allclose(reference.codes, codes, rtol=0, atol=1e-5)
        np.testing.assert_allclose(
            reference.scores, predictor(generator.synthesize(codes).clamp(-1, 1)), rtol=0, atol=1e-5
        )


@pytest.mark.parametrize(("batch_size", "shard_size"), [(1, 64), (7, 128), (64, 256), (1000, 320)])
def test_batch_and_shard_size_change_nothing(reference, tmp_path, batch_size, shard_size):
    options = {"batch_size": batch_size, "shard_size": shard_size, "progress": False}
    assert_same(sample(*toy(), 300, **options), reference)
    assert_same(sample(*toy(), 300, tmp_path, **options), reference)


def test_a_store_opens_again_and_knows_its_settings(reference, tmp_path):
    sample(*toy(), 300, tmp_path, shard_size=64, progress=False, identity={"network": "toy"})
    opened = Samples.open(tmp_path)
    assert_same(opened, reference)
    assert opened.semantics == SEMANTICS
    assert opened.settings["seed"] == 0
    assert opened.settings["identity"] == {"network": "toy"}
    files = sorted(path.name for path in (tmp_path / "samples.zarr/codes/c").iterdir())
    assert files == ["0", "1", "2", "3", "4"]  # one shard file for every 64 samples


def test_a_larger_number_extends_and_a_smaller_one_reads(reference, tmp_path):
    sample(*toy_by_name(), 70, tmp_path, shard_size=64, progress=False)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("c/0/*")}
    assert_same(sample(*toy_by_name(), 300, tmp_path, shard_size=64, progress=False), reference)
    after = {path: path.stat().st_mtime_ns for path in before}
    assert after == before  # shards that were complete are not made again
    generator, predictor = toy_by_name()
    predictor.forward = None  # nothing is scored
    few = sample(generator, predictor, 10, tmp_path, shard_size=64, progress=False)
    assert len(few) == len(few.scores) == 10
    assert len(Samples.open(tmp_path)) == 300


@pytest.mark.parametrize("networks", [conditional_toy, chunked_toy])
def test_samples_of_a_conditional_generator_keep_their_classes(networks, tmp_path):
    reference = sample(*networks(), 200, progress=False)
    assert set(reference.labels) == {0, 1, 2} and reference.labels.dtype == np.int64
    generator, predictor = networks()
    with torch.no_grad():
        codes = generator.map(torch.tensor(reference.z), torch.tensor(reference.labels))
        np.testing.assert_allclose(reference.codes, codes, rtol=0, atol=1e-5)
        scores = predictor(generator.synthesize(codes).clamp(-1, 1))
        np.testing.assert_allclose(reference.scores, scores, rtol=0, atol=1e-5)
    sample(*networks(), 70, tmp_path, batch_size=7, shard_size=64, progress=False)
    resumed = sample(*networks(), 200, tmp_path, batch_size=64, shard_size=64, progress=False)
    for found in (resumed, Samples.open(tmp_path)):
        assert_same(found, reference)
        np.testing.assert_array_equal(found.labels, reference.labels)
        assert found.labels.dtype == np.int64


def test_all_samples_may_be_of_one_class(tmp_path):
    options = {"shard_size": 64, "progress": False}
    found = sample(*conditional_toy(), 64, tmp_path, label=2, **options)
    assert found.labels.tolist() == [2] * 64 and found.settings["label"] == 2
    with pytest.raises(ValueError, match="was made with label = 2, and this run has None"):
        sample(*conditional_toy(), 128, tmp_path, **options)
    with pytest.raises(ValueError, match=r"label .*: got 3, expected 0 to 2"):
        sample(*conditional_toy(), 64, label=3, progress=False)
    with pytest.raises(ValueError, match=r"label .*: got 0, but this generator is unconditional"):
        sample(*toy(), 64, label=0, progress=False)


def test_stores_of_unconditional_generators_are_as_ever(tmp_path):
    """So that a store which was made before there were classes can be read, and continued."""
    found = sample(*toy(), 64, tmp_path, progress=False)
    assert found.labels is None and Samples.open(tmp_path).labels is None
    assert {path.name for path in (tmp_path / "samples.zarr").iterdir() if path.is_dir()} == {
        "z", "w", "codes", "scores",
    }  # fmt: skip
    assert set(found.settings) == {
        "seed", "truncation_psi", "truncation_layers", "shard_size", "latent_dim", "code_dim", "num_layers",
        "semantics", "identity", "generator", "predictor",
    }  # fmt: skip


def test_w_is_as_long_as_the_generator_makes_it(tmp_path):
    generator, predictor = chunked_toy()
    found = sample(generator, predictor, 64, tmp_path, progress=False)
    assert found.w.shape == (64, generator.latent_dim + 4) and found.codes.shape == (
        64,
        5,
        generator.code_dim,
    )
    np.testing.assert_array_equal(found.w[:, : generator.latent_dim], found.z)


def test_truncation_is_what_the_generator_makes_of_it():
    generator, predictor = toy()
    options = {"truncation_psi": 0.5, "truncation_layers": 2, "progress": False}
    truncated = sample(generator, predictor, 5, **options)
    with torch.no_grad():
        expected = generator.layer_codes(torch.tensor(truncated.w), 0.5, 2)
    np.testing.assert_allclose(truncated.codes, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 1}, "seed = 0, and this run has 1"),
        ({"truncation_psi": 0.7}, "truncation_psi = 1.0, and this run has 0.7"),
        ({"truncation_layers": 3}, "truncation_layers = None, and this run has 3"),
        ({"shard_size": 128}, "shard_size = 64, and this run has 128"),
        ({"identity": {"network": "b"}}, "identity.network = 'a', and this run has 'b'"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path, changed, message):
    options = {"shard_size": 64, "identity": {"network": "a"}, "progress": False}
    sample(*toy(), 64, tmp_path, **options)
    with pytest.raises(ValueError, match=message):
        sample(*toy(), 128, tmp_path, **options | changed)
    assert len(Samples.open(tmp_path)) == 64


def test_other_networks_are_refused(tmp_path):
    sample(*toy(), 64, tmp_path, progress=False)
    generator, predictor = toy()
    generator.w_avg += 1e-3
    with pytest.raises(ValueError, match="was made with generator = "):
        sample(generator, predictor, 64, tmp_path, progress=False)
    generator, predictor = toy()
    predictor.semantics = predictor.semantics[::-1]
    with pytest.raises(ValueError, match="was made with semantics = "):
        sample(generator, predictor, 64, tmp_path, progress=False)


@pytest.mark.parametrize(
    ("argument", "option", "value"),
    [
        ("num", " (--num)", 0),
        ("num", " (--num)", 2.5),
        ("seed", " (--seed)", -1),
        ("batch_size", " (--batch)", 0),
        ("shard_size", "", 100),
        ("truncation_psi", " (--trunc)", float("nan")),
        ("truncation_layers", " (--trunc-layers)", 6),
    ],
)
def test_bad_arguments_are_named(argument, option, value):
    with pytest.raises(ValueError, match=f"^{re.escape(argument + option)}: got {value}"):
        sample(*toy(), **{"num": 10, "progress": False} | {argument: value})


def test_a_score_that_is_no_number_is_named_and_earlier_shards_stay(reference, tmp_path):
    generator, predictor = toy_by_name()
    healthy, seen = predictor.forward, 0

    def forward(images):
        nonlocal seen
        scores = healthy(images)
        if seen <= 150 < seen + len(images):
            scores[150 - seen, 3] = torch.nan
        seen += len(images)
        return scores

    predictor.forward = forward
    with pytest.raises(ValueError, match="nan for semantic 'constant' at sample 150"):
        sample(generator, predictor, 300, tmp_path, shard_size=64, progress=False)
    assert len(Samples.open(tmp_path)) == 128
    assert_same(sample(*toy_by_name(), 300, tmp_path, shard_size=64, progress=False), reference)


def test_networks_in_training_mode_are_put_into_evaluation_mode():
    generator, predictor = toy()
    predictor.dropout = torch.nn.Dropout(0.5)
    plain = predictor.forward
    predictor.forward = lambda images: plain(predictor.dropout(images))
    generator.train()
    predictor.train()
    assert_same(sample(generator, predictor, 64, progress=False), sample(*toy(), 64, progress=False))


def test_a_folder_without_samples_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no samples here"):
        Samples.open(tmp_path)


def test_a_full_disk_keeps_what_is_stored(reference, tmp_path, monkeypatch):
    sync = os.fsync

    def full(descriptor):
        if "/codes/c/2/" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device; free some space") as caught:
        sample(*toy(), 300, tmp_path, shard_size=64, progress=False)
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.rglob("*.partial"))
    monkeypatch.undo()
    assert len(Samples.open(tmp_path)) == 128
    assert_same(sample(*toy(), 300, tmp_path, shard_size=64, progress=False), reference)


def test_a_folder_that_cannot_be_written_to_says_so(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"cannot write .*file.*choose another folder"):
        sample(*toy(), 64, tmp_path / "file", progress=False)


def test_a_second_writer_is_refused(tmp_path):
    with files.only_writer(tmp_path), pytest.raises(RuntimeError, match="another process is writing here"):
        sample(*toy(), 64, tmp_path, progress=False)
    assert len(sample(*toy(), 64, tmp_path, progress=False)) == 64


def test_settings_are_plain_json(reference):
    assert json.loads(json.dumps(reference.settings)) == reference.settings


def test_a_part_of_them_is_as_if_there_were_no_others(tmp_path):
    for out in (None, tmp_path):
        whole = sample(*toy(), 130, out, progress=False)
        part = whole.part(50, 120).part(10, 20)
        assert len(part) == part.num_asked == 10 and part.settings == whole.settings
        for name in ("z", "w", "codes", "scores"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[60:70])
    for start, stop in ((-1, 3), (3, 3), (0, 131)):
        with pytest.raises(ValueError, match="expected 0 <= start < stop <= 130"):
            whole.part(start, stop)
