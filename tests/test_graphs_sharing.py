"""Recordings share memory and shapes: short lists of rows, gathered inputs, and one wait for each pool."""

import contextlib
from types import SimpleNamespace

import pytest
import torch

from higan_fast import graphs as cuda_graphs
from higan_fast.graph_memory import Rows
from tests.test_graphs import CALLS, expected, graphs, network, no_calls, run, tape

__all__ = ["graphs", "network", "no_calls", "tape"]


@torch.inference_mode()
def test_calls_with_fewer_rows_share_a_recording(graphs, network, tape):
    sizes = [8, 16]
    for num in (16, 9, 16, 12, 8, 3, 5, 2, 10):
        x, more = torch.randn(num, 3), torch.randn(num, 4)
        found = graphs.run("forward", network, x, more, sizes=sizes)
        assert found.shape == (num, 4)
        torch.testing.assert_close(found, expected(network, x, more))
    assert (len(graphs), tape.recorded) == (2, 2)
    CALLS.clear()
    for num in (1, 17):  # mostly padding, and too many
        for _ in range(3):
            graphs.run("forward", network, torch.randn(num, 3), torch.randn(num, 4), sizes=sizes)
    assert CALLS == [1] * 3 + [17] * 3 and tape.recorded == 2


@torch.inference_mode()
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_rows_are_gathered_where_they_are_needed(graphs, tape, memory_format):
    """Through the eager call, the recording and its replays, as a tensor of those rows would be."""
    layouts = []

    def square(x, nothing, empty):
        layouts.append((x.shape, x.is_contiguous(memory_format=memory_format)))
        return x.square().sum(1) + 2

    for num in (6, 6, 4, 5, 6):
        x = torch.randn(3, 5, 4, 2).contiguous(memory_format=memory_format)
        which, none = torch.randint(3, (num,)), torch.zeros(3, 0, 4, 4)
        rows = Rows(x, which)
        assert torch.equal(rows.taken(), x[which])
        found = graphs.run("square", square, rows, None, Rows(none, which), sizes=[6])
        torch.testing.assert_close(found, x[which].square().sum(1) + 2)
    assert tape.recorded == 1 and set(layouts) == {((6, 5, 4, 2), True)}
    found = graphs.run("square", square, x[which], None, none[which], sizes=[6])
    assert tape.recorded == 1, "a tensor that lies in memory as those rows do shares their recording"


@torch.inference_mode()
def test_all_recordings_have_their_inputs_and_results_in_the_same_memory(graphs, network):
    for num in (2, 5, 3, 4):
        for _ in range(3):
            run(graphs, network, torch.randn(num, 3), torch.randn(num, 4))
    kept = list(graphs._graphs.values())
    blocks = {tensor.untyped_storage().data_ptr() for graph in kept for tensor in graph.inputs}
    results = {graph.output.untyped_storage().data_ptr() for graph in kept}
    assert len(kept) == 4 and len(blocks) == 1 and len(results) <= 2 and not blocks & results
    (x, more), *_ = (graph.inputs for graph in kept)
    x.fill_(1)
    more.fill_(2)
    assert (x == 1).all(), "those of one recording lie beside each other"


def test_recording_does_not_wait_but_for_the_first_of_a_pool(monkeypatch):
    done = []

    class Stream(contextlib.nullcontext):
        def wait_stream(self, other):
            pass

    class Recording:
        def capture_begin(self, **options):
            done.append("begin")

        def capture_end(self):
            done.append("end")

        def replay(self):
            pass

    for name in ("synchronize", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda *device, name=name: done.append(name))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Recording)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "Event", lambda: SimpleNamespace(synchronize=lambda: None))
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    tape = cuda_graphs.Tape(torch.device("cuda"))
    for _ in range(3):
        tape.record(lambda: done.append("run"))
    once, waits = ["begin", "run", "end"], ["synchronize", "empty_cache"]
    assert done == waits + 3 * once
    tape.forget()
    tape.record(lambda: None)
    assert done[-4:] == [*waits, "begin", "end"]
