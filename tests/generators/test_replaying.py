"""``synthesize`` replays recordings where it may, and its images are those of a plain call all the same."""

import copy
import gc
import threading
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from higan_fast.generators import replaying
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from tests.engine.emulated_cuda import EmulatedTape

CONFIG = StyleGAN2Config(channels={4: 8, 8: 6}, latent_dim=8, code_dim=10, mapping_depth=1)


@pytest.fixture
def tapes(monkeypatch):
    """All tapes that are asked for, in this order."""
    made = []
    monkeypatch.setattr(replaying, "tape_for", lambda device: made.append(EmulatedTape()) or made[-1])
    return made


@pytest.fixture
def generator():
    torch.manual_seed(0)
    generator = StyleGAN2(CONFIG).eval()
    for conv in generator.synthesis.convs:
        torch.nn.init.constant_(conv.noise_strength, 0.3)
    return generator


def codes(num=2):
    return torch.randn(num, 4, 10)


def check(generator, given, **options):
    """Synthesises, and compares with what comes without a recording."""
    found = generator.synthesize(given, **options)
    torch.testing.assert_close(found, generator.draw(given), rtol=0, atol=0)
    return found


@torch.inference_mode()
def test_the_third_call_replays_and_no_image_changes_afterwards(generator, tapes):
    kept = []
    for num in (2, 2, 3, 2, 3, 2, 3):
        given = codes(num)
        kept.append((check(generator, given), generator.draw(given)))
    assert len(tapes) == 1 and (tapes[0].recorded, tapes[0].replayed) == (2, 2 + 3)  # two to compare
    for found, wanted in kept:
        assert torch.equal(found, wanted)
    check(generator, given, replay=False)
    assert tapes[0].replayed == 5


def training(generator):
    generator.train()


def noisy(generator):
    generator.noise_mode = "random"


def hooked(generator):
    generator.synthesis.convs[0].register_forward_hook(lambda *_: None)


@torch.no_grad()
@pytest.mark.parametrize("change", [training, noisy, hooked])
def test_nothing_is_recorded_where_a_replay_would_do_less(generator, tapes, change):
    change(generator)
    for _ in range(4):
        generator.synthesize(codes())
    assert not tapes or tapes[0].recorded == 0


class Counter(TorchDispatchMode):
    """Counts the convolutions, as people count the work of a network."""

    def __init__(self):
        super().__init__()
        self.convolutions = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.convolutions += any(name in str(func) for name in ("modulated_conv2d", "finish_block"))
        return func(*args, **(kwargs or {}))


def test_neither_gradients_nor_counters_of_calls_see_a_replay(generator, tapes):
    given = codes().requires_grad_()
    for _ in range(3):
        assert generator.synthesize(given).requires_grad
    with torch.no_grad():
        for _ in range(3):
            with Counter() as counter:
                generator.synthesize(given)
            assert counter.convolutions == 3
        assert all(tape.recorded == 0 for tape in tapes)
        for _ in range(3):
            check(generator, given)
    assert tapes[-1].recorded == 1


@torch.inference_mode()
def test_recordings_follow_the_network_and_its_settings(generator, tapes, monkeypatch):
    given = codes()
    for _ in range(3):
        before = check(generator, given)
    changes = [
        lambda: generator.synthesis.convs[1].weight.mul_(1.5),
        lambda: generator.synthesis.rgbs[0].affine.bias.add_(1),
        lambda: setattr(generator, "noise_mode", "none"),
        lambda: setattr(generator, "activation_dtype", torch.bfloat16),
        lambda: (generator.synthesis.const.data.mul_(2), generator.weights_changed()),
    ]
    for change in changes:
        change()
        for _ in range(3):
            after = check(generator, given)
        assert not torch.equal(after, before)
        before = after
    assert tapes[0].recorded == 1 + len(changes)
    monkeypatch.setattr(replaying, "_rounding", lambda: (True, True))
    for _ in range(3):
        check(generator, given)
    assert tapes[0].recorded == 2 + len(changes)


@torch.inference_mode()
def test_a_generator_goes_with_its_recordings_and_a_copy_has_its_own(generator, tapes):
    for _ in range(3):
        check(generator, codes())
    twin = copy.deepcopy(generator)
    twin.synthesis.const.mul_(2)
    for _ in range(3):
        check(twin, codes())
    assert [tape.recorded for tape in tapes] == [1, 1]
    gone = [weakref.ref(twin), weakref.ref(replaying._recordings[twin].graphs)]
    del twin
    gc.collect()
    assert [one() for one in gone] == [None, None] and generator in replaying._recordings


@torch.inference_mode()
def test_when_memory_runs_out_recordings_give_theirs_back(generator, tapes, monkeypatch):
    for _ in range(3):
        check(generator, codes())
    draw, calls = StyleGAN2.draw, []

    def tight(self, given, *more):
        calls.append(len(given))
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return draw(self, given, *more)

    monkeypatch.setattr(StyleGAN2, "draw", tight)
    assert generator.synthesize(codes(7)).shape == (7, 3, 8, 8) and calls == [7, 7]
    assert tapes[0].forgotten == 1 and len(replaying._recordings[generator].graphs) == 0
    calls.clear()
    with pytest.raises(torch.OutOfMemoryError):  # there is nothing left to give
        generator.synthesize(codes(9))


def test_threads_take_turns(generator, tapes):
    problems = []

    def work():
        with torch.inference_mode():
            for _ in range(10):
                given = codes()
                if not torch.equal(generator.synthesize(given), generator.draw(given)):
                    problems.append(given)

    with torch.inference_mode():
        for _ in range(2):
            generator.synthesize(codes())
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems and tapes[0].replayed == 1 + 30
