"""On a CUDA device: the same probe as on the CPU, and graphs and streams that change nothing but the time."""

import gc
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

import higan_fast as hf
from higan_fast import graphs as cuda_graphs
from higan_fast.engine.engine import Engine
from higan_fast.engine.plan import Plan, all_and_each
from higan_fast.generators import replaying
from higan_fast.predictors.base import ModulePredictor
from higan_fast.probing.tally import Tally

NUM, DIRECTIONS = 16, 3

# Of scores and pixels, where the same work is done in other batches, or recorded: the library may then choose
# another algorithm, which sums in another order. As between CPU and GPU, float32 through ten layers and the
# predictor; in 16 bits each layer rounds to 2^-11 too. A recording that is stale or spoilt is off by tenths.
ATOL = {"exact": 1e-3, "fast": 2e-2}
ROOM = 2**20  # bytes: less than one batch of images, more than what libraries keep

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(autouse=True)
def full_float32():
    """Without TF32, whose ten bits would hide what is compared here."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def networks(device):
    with torch.inference_mode(False):  # as users load them
        return hf.load_generator("scenes", device), hf.load_predictor("scenes", device=device)


def test_samples_agree():
    here = hf.sample(*networks("cpu"), 256, progress=False)
    there = hf.sample(*networks("cuda"), 256, progress=False)
    assert np.array_equal(here.z, there.z)
    # float32 through ten layers and the predictor, summed in another order
    np.testing.assert_allclose(here.codes, there.codes, atol=1e-5)
    np.testing.assert_allclose(here.scores, there.scores, atol=ATOL["exact"])


def test_a_probe_finds_the_same_layers():
    samples = hf.sample(*networks("cpu"), 512, progress=False)
    boundaries = hf.fit_boundaries(samples, chosen_num=0.25, progress=False)
    here, there = (
        hf.verify(*networks(device), boundaries, num=16, num_null=8, progress=False)
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(here.effect, there.effect, atol=ATOL["exact"])
    for name, beats in zip(here.boundary_names, here.beats_null, strict=True):
        if beats:
            assert here.best_layer(name) == there.best_layer(name)


def test_boundaries_and_samples_in_sixteen_bits_agree():
    here, there = (
        hf.sample(*networks(device), 512, precision=precision, progress=False)
        for device, precision in (("cpu", "exact"), ("cuda", "fast"))
    )
    np.testing.assert_allclose(here.scores, there.scores, atol=ATOL["fast"])
    fits = [
        hf.fit_boundaries(here, recipe="higan", chosen_num=0.25, device=device, progress=False)
        for device in ("cpu", "cuda")
    ]
    for ours, theirs in zip(*(fit.values() for fit in fits), strict=True):
        assert ours.normal @ theirs.normal > 0.9995, ours.name  # each is proven to be within 0.99995


def test_an_attribution_finds_the_same_layers():
    here, there = (
        hf.attribute_layers(*networks(device), num=200, progress=False) for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(here.index, there.index, atol=1e-2)  # scores that jump may differ more
    for name in (semantic.name for semantic in here.semantics):
        if here.best_layer(name) is not None and there.best_layer(name) is not None:
            assert here.best_layer(name) == there.best_layer(name)


@contextmanager
def no_waiting():
    """Within it whatever makes the host wait for the device is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@contextmanager
def without_graphs(monkeypatch):
    """Engines that are made within it run everything as it comes."""
    with monkeypatch.context() as patch:
        patch.setattr("higan_fast.engine.engine.tape_for", lambda device: None)
        yield


def codes_of(generator):
    return generator.map(torch.randn(NUM, generator.latent_dim, device="cuda"))


def plan_of(generator):
    torch.manual_seed(0)
    moves = torch.randn(DIRECTIONS, generator.num_layers, generator.code_dim, device="cuda")
    steps = torch.tensor([2.0, -2.0], dtype=torch.float64)
    return Plan(0.1 * moves, all_and_each(generator.num_layers), steps)


def scores_of(engine, codes, plan):
    """``[sets, M, N, T, S]``."""
    found = torch.empty(
        len(plan.layer_sets), len(plan.moves), len(codes), len(plan.steps), engine.predictor.num_semantics
    )
    for part in engine.perturbed_scores(codes, plan):
        found[part.layer_set, part.directions, part.samples] = part.values.transpose(0, 1).cpu()
    return found


@torch.inference_mode()
@pytest.mark.parametrize("precision", ["exact", "fast"])
def test_graphs_give_what_eager_work_gives(precision, monkeypatch):
    generator, predictor = networks("cuda")
    with without_graphs(monkeypatch):
        plain = Engine(generator, predictor, batch_size=32, precision=precision)
    engine = Engine(generator, predictor, batch_size=32, precision=precision)
    plan = plan_of(generator)
    atol = ATOL[precision]
    for _ in range(4):
        codes = codes_of(generator)
        expected, found = scores_of(plain, codes, plan), scores_of(engine, codes, plan)
        torch.testing.assert_close(found, expected, rtol=0, atol=atol)
        torch.testing.assert_close(engine.images(codes), plain.images(codes), rtol=0, atol=atol)
        torch.testing.assert_close(engine.scores(codes), plain.scores(codes), rtol=0, atol=atol)
    assert len(engine._synthesis) > generator.num_layers and len(engine._scoring) > 0


@torch.inference_mode()
def test_lists_of_any_length_share_the_recording_of_their_layer(monkeypatch):
    generator, predictor = networks("cuda")
    with without_graphs(monkeypatch):
        plain = Engine(generator, predictor, batch_size=32)
    engine, plan = Engine(generator, predictor, batch_size=32), plan_of(generator)
    for num, left in ((NUM, 3), (NUM, 2), (NUM - 3, 2), (NUM - 5, 1)):
        codes, chosen = codes_of(generator)[:num], plan.chosen.copy()
        chosen[left:] = False
        some = replace(plan, chosen=chosen)
        found, expected = (scores_of(one, codes, some)[:, :left] for one in (engine, plain))
        torch.testing.assert_close(found, expected, rtol=0, atol=ATOL["exact"])
    assert len(engine._synthesis) == generator.num_layers


@torch.inference_mode()
def test_a_recorded_round_does_not_wait_for_the_device():
    generator, predictor = networks("cuda")
    engine, plan, codes = Engine(generator, predictor), plan_of(generator), codes_of(generator)
    base = engine.scores(codes)
    tallies = [Tally(NUM, DIRECTIONS, len(plan.layer_sets), [0, 1], base) for _ in range(4)]
    for tally in tallies:
        with no_waiting() if tally is tallies[-1] else nullcontext():  # by then all is recorded
            for found in engine.perturbed_scores(codes, plan):
                tally.add(found)
    first, *others = (tally.effects() for tally in tallies)
    for effects in others:
        np.testing.assert_allclose(effects.mean, first.mean, atol=ATOL["exact"])


@torch.inference_mode()
def test_graphs_follow_weights_and_take_no_more_memory_with_time():
    generator, predictor = networks("cuda")
    engine, plan = Engine(generator, predictor, batch_size=32), plan_of(generator)

    def allocated():
        scores_of(engine, codes_of(generator), plan)
        torch.cuda.synchronize()
        gc.collect()  # what frames and closures of the last call may still hold in a cycle
        return torch.cuda.memory_allocated()

    steady = [allocated() for _ in range(4)][-1]
    assert [allocated() for _ in range(8)][-1] < steady + ROOM
    with torch.inference_mode(False), torch.no_grad():
        for parameter in generator.parameters():
            parameter.mul_(1.01)
    codes = codes_of(generator)
    for _ in range(3):
        found = scores_of(engine, codes, plan)
    expected = scores_of(Engine(generator, predictor, batch_size=32), codes, plan)
    torch.testing.assert_close(found, expected, rtol=0, atol=ATOL["exact"])
    gc.collect()
    before, taken = torch.cuda.memory_allocated(), 0
    for graphs in (engine._synthesis, engine._scoring):
        taken += sum(graph.nbytes for graph in graphs._graphs.values())
        graphs.drop()
    gc.collect()
    assert taken > 0 and torch.cuda.memory_allocated() <= before - taken


@torch.inference_mode()
@pytest.mark.parametrize("dtype, atol", [(None, ATOL["exact"]), (torch.float16, ATOL["fast"])])
def test_images_are_replayed_outside_of_the_engine_too(dtype, atol):
    generator, _ = networks("cuda")
    generator.activation_dtype = dtype
    for _ in range(4):
        codes = codes_of(generator)
        plain = generator.synthesize(codes, replay=False)
        torch.testing.assert_close(generator.synthesize(codes), plain, rtol=0, atol=atol)
    assert len(replaying._recordings[generator].graphs) == 1


@torch.inference_mode()
def test_two_engines_in_turn_leave_each_others_graphs_alone(monkeypatch):
    """They share the generator, whose prepared weights are those of the precision that ran last."""
    generator, predictor = networks("cuda")
    plan = plan_of(generator)
    engines = [Engine(generator, predictor, precision=name) for name in ("exact", "fast")]
    with without_graphs(monkeypatch):
        plain = [Engine(generator, predictor, precision=name) for name in ("exact", "fast")]
    for _ in range(4):
        codes = codes_of(generator)
        for engine, other, atol in zip(engines, plain, ATOL.values(), strict=True):
            found, expected = scores_of(engine, codes, plan), scores_of(other, codes, plan)
            torch.testing.assert_close(found, expected, rtol=0, atol=atol)


@torch.inference_mode()
def test_the_longest_unused_graphs_are_let_go(monkeypatch):
    monkeypatch.setattr(cuda_graphs, "MOST_GRAPHS", 2)
    generator, predictor = networks("cuda")
    engine, plan = Engine(generator, predictor, batch_size=32), plan_of(generator)
    codes = codes_of(generator)
    expected = scores_of(engine, codes, plan)
    for _ in range(4):
        torch.testing.assert_close(scores_of(engine, codes, plan), expected, rtol=0, atol=ATOL["exact"])
    assert len(engine._synthesis) == 2


@torch.inference_mode()
def test_running_out_of_memory_lets_graphs_go():
    generator, predictor = networks("cuda")
    engine, plan, codes = Engine(generator, predictor, batch_size=32), plan_of(generator), codes_of(generator)
    expected = scores_of(engine, codes, plan)
    for _ in range(2):
        scores_of(engine, codes, plan)
    attempts = []

    def run():
        attempts.append((len(engine._synthesis), len(engine._scoring)))
        if len(attempts) == 1:
            torch.empty(2**50, device="cuda")
        return torch.ones(1)

    assert engine._attempt(run) is None and engine._attempt(run) is not None
    assert min(attempts[0]) > 0 and attempts[1] == (0, 0) and engine.budget.images == 16
    for _ in range(3):  # in batches half as large
        torch.testing.assert_close(scores_of(engine, codes, plan), expected, rtol=0, atol=ATOL["exact"])


WAITS = {
    "in an op": lambda means: means.sum().item(),
    "by name": lambda means: torch.cuda.synchronize(),
    "in a library": lambda means: torch._C._cuda_synchronize(),
}


@torch.inference_mode()
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_predictor_that_waits_for_the_device_runs_without_graphs(wait):
    """The first two are seen while they are rehearsed; the last breaks its recording and nothing else."""

    def mean(images):
        means = images.mean([2, 3])
        wait(means)
        return means

    class Waiting(torch.nn.Module):
        def forward(self, images):
            return mean(images)

    generator, _ = networks("cuda")
    engine = Engine(generator, ModulePredictor(Waiting(), ["red", "green", "blue"]), batch_size=32)
    plan, codes = plan_of(generator), codes_of(generator)
    expected = scores_of(engine, codes, plan)
    stream = torch.cuda.current_stream()
    with pytest.warns(RuntimeWarning, match="cannot be recorded as a CUDA graph") as warned:
        for _ in range(4):
            found = scores_of(engine, codes, plan)
            torch.testing.assert_close(found, expected, rtol=0, atol=ATOL["exact"])
    said = [str(one.message) for one in warned if "CUDA graph" in str(one.message)]
    assert len(said) == 1 and "Waiting" in said[0] and torch.cuda.current_stream() == stream
    assert len(engine._synthesis) > 0 and len(engine._scoring) == 0
    torch.cuda.empty_cache()
    assert torch.randn(2, device="cuda").isfinite().all()  # the generator is no capture's any more
