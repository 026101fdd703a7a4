"""Shards that are written behind: complete ones first, then none, and few of them in memory."""

import threading
import time

import numpy as np
import pytest
import torch

from higan_fast.probing import Samples, sample
from higan_fast.sampling.store import Store
from higan_fast.sampling.writing import AHEAD, WriteBehind
from tests.toy import toy

SHARD = {"z": np.zeros(1), "codes": np.zeros(1), "scores": np.zeros(1)}
QUIET = {"shard_size": 64, "progress": False}


class Log:
    """Notes what is written; some writes wait for an event, and some fail."""

    def __init__(self, waits=(), fails=()):
        self.done, self.waits, self.fails = [], dict(waits), fails

    def write(self, name, start, values):
        if (name, start) in self.waits:
            assert self.waits[name, start].wait(10)
        if (name, start) in self.fails:
            raise OSError(f"{name} {start}")
        self.done.append((name, start))


def test_scores_follow_the_other_files_and_each_other():
    slow = threading.Event()
    log = Log({("codes", 0): slow})
    with WriteBehind(log) as writer:
        for start in range(3):
            writer.put(start, SHARD)
        begin = time.monotonic()
        while len(log.done) < 5 and time.monotonic() - begin < 10:  # files of later shards do not wait
            time.sleep(1e-3)
        assert not [name for name, _ in log.done if name == "scores"]
        slow.set()
    assert [start for name, start in log.done if name == "scores"] == [0, 1, 2]
    for start in range(3):
        assert max(log.done.index((name, start)) for name in SHARD) == log.done.index(("scores", start))


def test_a_shard_that_cannot_be_written_is_the_last_to_be_complete():
    log = Log(fails=[("codes", 1)])
    with pytest.raises(OSError, match="codes 1"), WriteBehind(log) as writer:
        for start in range(20):
            writer.put(start, SHARD)
            time.sleep(1e-3)
    assert [start for name, start in log.done if name == "scores"] == [0]
    assert ("z", 19) not in log.done  # whoever makes shards has heard of it


def test_an_interruption_loses_nothing_that_was_handed_over():
    log = Log()
    with pytest.raises(KeyboardInterrupt), WriteBehind(log) as writer:
        writer.put(0, SHARD)
        raise KeyboardInterrupt
    assert ("scores", 0) in log.done


def test_memory_holds_a_few_shards():
    never = threading.Event()
    log = Log({("codes", start): never for start in range(20)})
    with WriteBehind(log) as writer:
        put = threading.Thread(target=lambda: [writer.put(start, SHARD) for start in range(AHEAD + 1)])
        put.start()
        put.join(0.1)
        assert put.is_alive()
        never.set()
        put.join(10)
        assert not put.is_alive()


def test_what_is_absent_is_not_read(tmp_path, monkeypatch):
    sample(*toy(), 128, tmp_path, **QUIET)
    read, asked = Store.read, []

    def noted(self, name, start, stop):
        asked.append(start)
        return read(self, name, start, stop)

    monkeypatch.setattr(Store, "read", noted)
    assert len(sample(*toy(), 640, tmp_path, **QUIET)) == 640
    assert set(asked) == {0, 64}


def test_sixteen_bits_are_noted_and_kept_to(tmp_path, monkeypatch):
    monkeypatch.setattr("higan_fast.engine.precision._cpu_multiplies_bfloat16", lambda: True)
    exact = sample(*toy(), 64, **QUIET)
    fast = sample(*toy(), 64, tmp_path, precision="fast", **QUIET)
    assert fast.settings["precision"] == "fast" and "precision" not in exact.settings
    np.testing.assert_array_equal(fast.codes, exact.codes)
    off = np.abs(fast.scores - exact.scores).max() / np.abs(exact.scores).max()
    assert 0 < off < 0.05
    assert sample(*toy(), 128, tmp_path, precision="auto", **QUIET).settings["precision"] == "fast"
    assert sample(*toy(), 64, precision="auto", **QUIET).settings == exact.settings
    with pytest.raises(ValueError, match="precision = 'fast', and this run has None"):
        sample(*toy(), 128, tmp_path, **QUIET)
    with pytest.raises(ValueError, match=r"precision \(--precision\): got 'half'"):
        sample(*toy(), 64, precision="half", **QUIET)
    assert len(Samples.open(tmp_path)) == 128 and torch.tensor(Samples.open(tmp_path).scores).isfinite().all()
