"""Recordings never change a result: whatever changes between two calls, and whatever cannot be recorded."""

import threading
import warnings
from functools import partial

import pytest
import torch
from torch import nn

from higan_fast import graphs as cuda_graphs
from higan_fast.generators.biggan_deep import BigGANDeep, BigGANDeepConfig
from higan_fast.generators.stylegan2_layers import StyledConv
from higan_fast.graphs import Graphs, tape_for
from higan_fast.ops.implementation import only_reference
from tests.engine.emulated_cuda import EmulatedTape
from tests.generators.biggan_checks import codes_for, make


class Network(nn.Module):
    """Counts how often Python runs it."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.gain = 2.0
        self.register_buffer("shift", torch.randn(4))

    def forward(self, x, more=None):
        CALLS.append(len(x))
        y = self.linear(x) * self.gain + self.shift
        return y if more is None else y + more


CALLS: list[int] = []


@pytest.fixture(autouse=True)
def no_calls():
    CALLS.clear()


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network()


@pytest.fixture
def tape():
    return EmulatedTape()


@pytest.fixture
def graphs(network, tape):
    return Graphs(network, tape)


def expected(network, *tensors):
    found = network(*tensors)
    CALLS.pop()
    return found


def run(graphs, network, *tensors):
    """Runs it, and checks the result."""
    found = graphs.run("forward", network, *tensors)
    torch.testing.assert_close(found, expected(network, *tensors), rtol=0, atol=0)
    return found


@torch.inference_mode()
def test_the_third_call_replays_and_no_result_changes_afterwards(graphs, network, tape):
    kept = []
    for _ in range(6):
        x = torch.randn(5, 3)
        kept.append((run(graphs, network, x), expected(network, x)))
    assert CALLS == [5, 5, 5]  # as it comes, the rehearsal, the recording
    assert (tape.recorded, tape.replayed, len(graphs)) == (
        1,
        5,
        1,
    )  # the first is compared with the rehearsal
    for found, wanted in kept:
        assert torch.equal(found, wanted)


@torch.inference_mode()
def test_inputs_of_another_kind_have_a_recording_of_their_own(graphs, network, tape):
    kinds = [
        lambda: (torch.randn(5, 3),),
        lambda: (torch.randn(4, 3),),
        lambda: (torch.randn(3, 5).T,),  # other strides
        lambda: (torch.randn(5, 3), torch.randn(5, 4)),
        lambda: (torch.randn(5, 3), torch.randn(4)),
        lambda: (torch.randn(5, 3), torch.randn(5, 1).expand(5, 4)),
    ]
    for _ in range(4):
        for kind in kinds:
            run(graphs, network, *kind())
    assert len(graphs) == tape.recorded == len(kinds)
    x = torch.randn(5, 3)
    for _ in range(3):
        assert torch.equal(graphs.run("twice", lambda x: 2 * network(x), x), 2 * expected(network, x))
        with only_reference():
            run(graphs, network, x)
    assert len(graphs) == len(kinds) + 2


def test_nothing_is_recorded_where_a_replay_would_do_less(network, tape):
    x = torch.randn(5, 3)
    with_gradients, graphs = Graphs(network, tape), Graphs(network, tape)
    for _ in range(3):
        run(with_gradients, network, x).sum().backward()
    with torch.no_grad():
        run(Graphs(network, tape_for(torch.device("cpu"))), network, x)
        tape.is_ready = False
        for _ in range(3):
            run(graphs, network, x)
        tape.is_ready, seen = True, []
        hook = network.linear.register_forward_hook(lambda *_: seen.append(1))
        for _ in range(3):
            run(graphs, network, x)
        assert tape.recorded == 0 and len(seen) == 6
        hook.remove()
        for _ in range(3):
            run(graphs, network, x)
    assert tape.recorded == 1


def test_one_recording_serves_with_and_without_inference_mode(graphs, network, tape):
    with torch.no_grad():
        for _ in range(3):
            run(graphs, network, torch.randn(5, 3))
    with torch.inference_mode():
        run(graphs, network, torch.randn(5, 3))
    with torch.no_grad():
        assert not run(graphs, network, torch.randn(5, 3)).is_inference()
    assert tape.recorded == 1


def changed_in_place(network):
    with torch.no_grad():
        network.linear.weight.mul_(2)


def changed_elsewhere(network):
    network.linear.weight.data = torch.randn(4, 3)


def changed_buffer(network):
    network.shift.zero_()


def changed_number(network):
    network.gain = 3.0


def changed_part(network):
    network.linear = nn.Linear(3, 4)


@pytest.mark.parametrize(
    "change", [changed_in_place, changed_elsewhere, changed_buffer, changed_number, changed_part]
)
def test_a_network_that_changes_is_recorded_anew(graphs, network, tape, change):
    with torch.no_grad():
        for _ in range(3):
            run(graphs, network, torch.randn(5, 3))
    change(network)
    with torch.no_grad():
        for _ in range(3):
            run(graphs, network, torch.randn(5, 3))
    assert (tape.recorded, tape.forgotten, len(graphs)) == (2, 1, 1)


@torch.inference_mode()
def test_one_recording_draws_codes_of_every_truncation(tape):
    generator = make(BigGANDeep, BigGANDeepConfig((8, 8, 4), (False, True), 6, 4, 3, num_statistics=11))
    graphs = Graphs(generator, tape)
    high, low = codes_for(generator, 2, 0.8), codes_for(generator, 2, 0.42)
    mixed = torch.stack([low[0], high[1]])
    wanted = [generator.synthesize(codes) for codes in (high, low, mixed)]
    assert (wanted[0][0] - wanted[2][0]).abs().max() > 0.01
    for _ in range(3):
        for codes, images in zip((high, low, mixed), wanted, strict=True):
            torch.testing.assert_close(graphs.run("images", generator.synthesize, codes), images)
    assert tape.recorded == 1


@torch.inference_mode()
def test_a_network_that_changes_in_every_call_is_never_recorded(network, tape):
    class Counting(Network):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return super().forward(x) + self.calls

    network = Counting()
    graphs = Graphs(network, tape)
    x = torch.zeros(2, 3)
    found = [graphs.run("forward", network, x) for _ in range(5)]
    assert [float((one - found[0])[0, 0].round()) for one in found] == [0, 1, 2, 3, 4]
    assert tape.recorded == tape.forgotten == 0


@torch.no_grad()
def test_a_recording_keeps_what_it_reads_and_nothing_that_it_made(tape):
    conv = StyledConv(8, 8, (4, 4), 6)
    graphs = Graphs(conv, tape)

    def call(x, code):
        return conv(x, conv.style(code, x.dtype), "const")

    inputs = torch.randn(2, 8, 4, 4), torch.randn(2, 6)
    for _ in range(2):
        graphs.run("conv", call, *inputs)
    prepared = conv.cache.get(conv.weight, torch.float32, 1, 16)
    (graph,) = graphs._graphs.values()
    kept = {storage.data_ptr() for storage in graph.reads}
    noise = conv._noise("const", inputs[0])
    read = [conv.bias, noise, conv.affine.weight, prepared.square, prepared.kernel]
    assert kept >= {tensor.untyped_storage().data_ptr() for tensor in (*read, *graph.inputs)}
    assert graph.output.untyped_storage().data_ptr() not in kept
    wanted = call(*inputs)
    del prepared, noise, read
    conv.cache.get(conv.weight, torch.float64, 1, 16)  # the cache keeps but one form of a weight
    assert torch.equal(graphs.run("conv", call, *inputs), wanted)
    assert (tape.recorded, tape.replayed) == (1, 2)  # once to compare


@torch.inference_mode()
def test_the_longest_unused_are_let_go(graphs, network, tape, monkeypatch):
    monkeypatch.setattr(cuda_graphs, "MOST_GRAPHS", 2)
    for num in (1, 1, 2, 2, 1, 3, 3):  # now 2 is the longest unused
        run(graphs, network, torch.randn(num, 3))
    assert (len(graphs), tape.recorded) == (2, 3)
    run(graphs, network, torch.randn(1, 3))
    assert tape.replayed == 3 + 2  # each is compared when it is made
    for _ in range(2):
        run(graphs, network, torch.randn(2, 3))
    assert (len(graphs), tape.recorded) == (2, 4)
    graphs.drop()
    assert (len(graphs), tape.forgotten) == (0, 1)


@torch.inference_mode()
@pytest.mark.parametrize(
    "problem", [RuntimeError("operation not permitted when stream is capturing"), MemoryError("full")]
)
def test_what_cannot_be_recorded_runs_as_it_comes_after_one_warning(graphs, network, tape, problem):
    for _ in range(2):
        run(graphs, network, torch.randn(2, 3))
    tape.problem = problem
    run(graphs, network, torch.randn(5, 3))
    with pytest.warns(RuntimeWarning, match=r"Network cannot be recorded .*: (operation not|full)") as warned:
        run(graphs, network, torch.randn(5, 3))
    assert len(warned) == 1 and len(graphs) == 0 and tape.forgotten == 1
    tape.problem = None
    for _ in range(3):
        run(graphs, network, torch.randn(5, 3))
    assert tape.recorded == 1


@torch.inference_mode()
def test_a_network_that_waits_for_the_device_is_not_recorded(graphs, network, tape, monkeypatch):
    def rehearse(call):
        raise RuntimeError("called a synchronizing CUDA operation")

    monkeypatch.setattr(tape, "rehearse", rehearse)
    run(graphs, network, torch.randn(5, 3))
    with pytest.warns(RuntimeWarning, match="called a synchronizing CUDA operation"):
        run(graphs, network, torch.randn(5, 3))
    assert tape.recorded == 0


@torch.inference_mode()
def test_a_wait_that_is_asked_for_by_name_is_an_error_while_rehearsing(monkeypatch):
    modes, waited = [], []
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: waited.append(device))
    before = torch.cuda.Event.synchronize
    with cuda_graphs._no_waiting():
        assert modes == ["error"]
        for wait in (torch.cuda.synchronize, partial(torch.cuda.Event.synchronize, None)):
            with pytest.raises(RuntimeError, match="wait for the device"):
                wait()
        other = threading.Thread(target=lambda: torch.cuda.synchronize("of another thread"))
        other.start()
        other.join()
    torch.cuda.synchronize("afterwards")
    assert waited == ["of another thread", "afterwards"] and torch.cuda.Event.synchronize is before
    assert modes == ["error", 0]


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_capture_that_fails_is_ended_for_the_allocator_too(monkeypatch, has_ended):
    done = []

    def end(*given):
        done.append(("end", *given))
        if has_ended:  # as torch 2.12 does
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")

    class Failed:
        def capture_end(self):
            raise RuntimeError("operation failed due to a previous error during capture")

    class Random:
        def clone_state(self):
            return "clone"

        def graphsafe_set_state(self, state):
            done.append(state)

    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", end, raising=False)
    release = partial(lambda *given: done.append(given), "release")
    monkeypatch.setattr(torch._C, "_cuda_releasePool", release, raising=False)
    monkeypatch.setattr(torch.cuda, "default_generators", (Random(),))
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 2))
    tape = cuda_graphs.Tape.__new__(cuda_graphs.Tape)
    tape._device, tape._pool = torch.device("cuda", 0), (0, 1)
    tape._abandon(Failed())
    assert done == [("end", 0, (0, 1)), *([] if has_ended else [("release", 0, (0, 1)), "clone"])]
    assert tape._pool == (0, 2)


def test_an_error_of_the_network_itself_is_its_own(graphs, network):
    def broken(x):
        if len(CALLS) > 0:
            raise ValueError("scores: too many")
        return network(x)

    graphs.run("broken", broken, torch.zeros(1, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="scores: too many"):
            graphs.run("broken", broken, torch.zeros(1, 3))


@torch.inference_mode()
def test_a_recording_that_gives_something_else_is_not_kept(network, tape):
    graphs = Graphs(network, tape)
    factors = iter([1.0, 1.0, 2.0, 3.0])  # what Python reads at each call: the third records
    x = torch.randn(5, 3)

    def drifting(x):
        return x * next(factors)

    graphs.run("drifting", drifting, x)
    assert torch.equal(graphs.run("drifting", drifting, x), x)  # that of the rehearsal
    with pytest.warns(RuntimeWarning, match="does not reproduce the result of the eager call"):
        assert torch.equal(graphs.run("drifting", drifting, x), 3 * x)
    assert len(graphs) == 0
