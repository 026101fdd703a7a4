"""A whole verification on emulated CUDA: a recording for each layer, however few directions are left."""

import numpy as np
import pytest

from higan_fast.engine.engine import Engine
from higan_fast.probing import verify
from tests.engine.emulated_cuda import EmulatedStream, EmulatedTape
from tests.toy import NUM_LAYERS, toy

OPTIONS = {"max_samples": 112, "num_null": 10, "confidence": 0.9, "progress": False}


@pytest.fixture
def engines(monkeypatch):
    """All engines that are made from now on; they record their work and score it on a second stream."""
    made, plain = [], Engine.__init__

    def make(self, *arguments, **options):
        plain(self, *arguments, **options)
        made.append(self)

    monkeypatch.setattr("higan_fast.engine.engine.tape_for", lambda device: EmulatedTape())
    monkeypatch.setattr("higan_fast.engine.engine.SecondStream", lambda device: EmulatedStream())
    monkeypatch.setattr(Engine, "__init__", make)
    return made


@pytest.mark.parametrize("batch_size", [32, 50])  # parts have 32 images for each direction, or do not fit
def test_a_sequential_verification_records_once_for_each_layer(engines, boundaries, monkeypatch, batch_size):
    lists = []
    plain_work = Engine._in_batches

    def in_batches(self, draw, num, *others, **more):
        lists.append(num)
        return plain_work(self, draw, num, *others, **more)

    monkeypatch.setattr(Engine, "_in_batches", in_batches)
    found = verify(*toy(), boundaries, batch_size=batch_size, **OPTIONS)
    (engine,) = engines
    names = [name for name, *_ in engine._synthesis._graphs]
    drawn = [name for name in names if name != "images"]
    assert sorted(drawn) == [("draw", layer) for layer in range(NUM_LAYERS)]
    assert len(names) - len(drawn) <= 2 and len(engine._scoring) <= 2  # base samples, whole batches or halves
    tapes = engine._synthesis._tape, engine._scoring._tape
    assert sum(tape.recorded for tape in tapes) == len(names) + len(engine._scoring)
    assert all(tape.forgotten == 0 for tape in tapes)
    assert len(set(lists)) > 4, "there were lists of many lengths"
    monkeypatch.undo()
    plain = verify(*toy(), boundaries, batch_size=batch_size, **OPTIONS)
    assert found.images == plain.images
    assert np.array_equal(found.top_layer, plain.top_layer) and np.array_equal(found.sign, plain.sign)
    np.testing.assert_allclose(found.effect, plain.effect, rtol=0, atol=1e-5)
