"""The second stream: what is launched when, and what is kept until when."""

import gc
import weakref

import torch

from higan_fast.engine.streams import SecondStream, upload
from tests.engine.emulated_cuda import EmulatedStream

CPU = torch.device("cpu")


def items(log, num):
    for index in range(num):
        log.append(f"item {index}")
        yield torch.full((2,), float(index))


def test_without_a_second_stream_items_come_one_by_one():
    log = []
    for index, (item, result) in enumerate(SecondStream(CPU).each(items(log, 3), lambda item: 2 * item)):
        assert log[-1] == f"item {index}" and torch.equal(result, 2 * item)
    assert len(log) == 3


def test_the_next_item_is_launched_before_one_is_handed_over():
    second = EmulatedStream()
    log = second.log
    found = [(float(item[0]), float(twice[0])) for item, twice in second.each(items(log, 3), lambda x: 2 * x)]
    assert found == [(0, 0), (1, 2), (2, 4)]
    one = ["launched", "handed over"]
    assert log == ["item 0", "launched", "item 1", *one, "item 2", *one, "handed over", "joined"]
    assert list(EmulatedStream().each([], torch.neg)) == []


def test_an_item_lives_until_the_stream_that_reads_it_was_waited_for():
    second, alive = EmulatedStream(), []

    def watched():
        for index in range(4):
            item = torch.full((2,), float(index))
            alive.append(weakref.ref(item))
            yield item
            del item
            gc.collect()
            assert sum(ref() is not None for ref in alive) <= 3, "what was handed over is let go"

    results = second.each(watched(), torch.neg)
    next(results)
    assert all(ref() is not None for ref in alive) and len(alive) == 2
    results.close()
    assert second.log[-1] == "joined"


def test_uploads_on_a_cpu_copy_nothing():
    steps = torch.ones(3)
    assert upload(steps, CPU) is steps
    assert upload(steps, CPU, torch.float64).dtype == torch.float64
