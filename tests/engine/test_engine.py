"""The engine: whatever it shares and however it cuts the work, what comes out are plain full forwards."""

import numpy as np
import pytest
import torch

from higan_fast.engine.budget import Budget
from higan_fast.engine.engine import Engine
from higan_fast.engine.inputs import as_codes
from higan_fast.engine.plan import Plan, all_and_each
from higan_fast.engine.scoring import score
from higan_fast.generators.base import Generator
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.ops.implementation import only_reference
from higan_fast.predictors.color import ColorPredictor
from tests.boundaries.test_displacement import GENERATORS, make
from tests.engine.emulated_cuda import EmulatedStream, EmulatedTape
from tests.toy import CODE_DIM, NUM_LAYERS, ToyGenerator, ToyPredictor, toy

STEPS = torch.tensor([2.0, -2.0, 0.0, 0.7], dtype=torch.float64)


def small_stylegan2():
    """Random weights in which nothing is zero, so that nothing can be forgotten unseen."""
    torch.manual_seed(0)
    config = StyleGAN2Config(channels={4: 12, 8: 10, 16: 8}, latent_dim=16, code_dim=20, mapping_depth=2)
    generator = StyleGAN2(config).requires_grad_(False)
    for name, parameter in generator.named_parameters():
        if name.endswith(("bias", "noise_strength")):
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    generator.mapping_network.w_avg.copy_(torch.randn(20))
    return generator, ColorPredictor()


WORLDS = {"toy": toy, "stylegan2": small_stylegan2}


@pytest.fixture(params=WORLDS)
def world(request):
    """A generator and a predictor in float64."""
    return tuple(network.double().eval() for network in WORLDS[request.param]())


def plans(generator):
    """One of every kind: all layers, each alone, sets with gaps, some of all, and latents."""
    num = generator.num_layers
    moves = torch.randn(3, num, generator.code_dim, dtype=torch.float64)
    odd = ((0, 2), (1, num - 1), (2, 3, num - 1), (num - 2, num - 1))
    some = np.random.default_rng(0).random((3, 1 + num)) < 0.4
    return {
        "all and each": Plan(moves, all_and_each(num), STEPS),
        "sets with gaps": Plan(moves, odd, STEPS[:1]),
        "some": Plan(moves, all_and_each(num), STEPS[:2], some),
        "latents": Plan(torch.randn(3, generator.latent_dim, dtype=torch.float64), ((),), STEPS),
    }


def plain_scores(generator: Generator, predictor, base, plan, direction, layer_set, step):
    """A full forward pass of every sample with the reference of every op."""
    with only_reference():
        if plan.in_latents:
            images = generator.synthesize(generator.map(base + step * plan.moves[direction]))
            return predictor(images.clamp(-1, 1))
        moved = base.clone()
        layers = list(plan.layer_sets[layer_set])
        moved[:, layers] += step * plan.moves[direction][layers]
        return predictor(generator.synthesize(moved).clamp(-1, 1))


def measured(engine, base, plan):
    """Scores of a whole plan, ``[sets, M, N, T, S]``; NaN where nothing was asked for."""
    num_semantics = engine.predictor.num_semantics
    shape = (len(plan.layer_sets), len(plan.moves), len(base), len(plan.steps), num_semantics)
    scores = torch.full(shape, torch.nan, dtype=torch.float64)
    for found in engine.perturbed_scores(base, plan, engine.generator.map):
        where = (found.layer_set, found.directions, found.samples)
        assert scores[where].isnan().all(), "nothing is measured twice"
        scores[where] = found.values.transpose(0, 1).double()
    return scores


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["all and each", "sets with gaps", "some", "latents"])
def test_differences_equal_those_of_plain_forwards(world, kind):
    generator, predictor = world
    torch.manual_seed(1)
    z = torch.randn(4, generator.latent_dim, dtype=torch.float64)
    plan = plans(generator)[kind]
    base = z if plan.in_latents else generator.map(z, truncation_psi=0.7)
    engine = Engine(generator, predictor)
    scores = measured(engine, base, plan)
    for layer_set, direction in np.ndindex(len(plan.layer_sets), len(plan.moves)):
        found = scores[layer_set, direction]
        if not plan.chosen[direction, layer_set]:
            assert found.isnan().all()
            continue
        arguments = (generator, predictor, base, plan, direction, layer_set)
        expected = torch.stack([plain_scores(*arguments, step) for step in plan.steps], dim=1)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    with only_reference():
        plain = predictor(generator.synthesize(base if base.ndim == 3 else generator.map(base)).clamp(-1, 1))
    torch.testing.assert_close(
        engine.scores(base if base.ndim == 3 else generator.map(base)), plain, rtol=0, atol=1e-9
    )


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["all and each", "some", "latents"])
def test_neither_batch_nor_memory_nor_order_change_a_result(world, kind, monkeypatch):
    generator, predictor = world
    torch.manual_seed(1)
    plan = plans(generator)[kind]
    z = torch.randn(5, generator.latent_dim, dtype=torch.float64)
    base = z if plan.in_latents else generator.map(z)
    expected = measured(Engine(generator, predictor), base, plan)
    for batch_size, at_once in ((1, None), (3, None), (7, 2), (200, 13)):
        engine = Engine(generator, predictor, batch_size=batch_size)
        monkeypatch.setattr(generator, "samples_at_once", lambda index, at_once=at_once: at_once)
        torch.testing.assert_close(measured(engine, base, plan), expected, rtol=0, atol=1e-12, equal_nan=True)
    turned = Plan(plan.moves.flip(0), plan.layer_sets, plan.steps.flip(0), plan.chosen[::-1].copy())
    backwards = measured(Engine(generator, predictor), base.flip(0), turned).flip(1, 2, 3)
    torch.testing.assert_close(backwards, expected, rtol=0, atol=1e-12, equal_nan=True)


@torch.inference_mode()
def test_running_out_of_memory_halves_the_batch_and_loses_nothing(monkeypatch):
    generator, predictor = (network.double().eval() for network in toy())
    plan = plans(generator)["all and each"]
    codes = generator.map(torch.randn(8, generator.latent_dim, dtype=torch.float64))
    expected = measured(Engine(generator, predictor), codes, plan)
    engine = Engine(generator, predictor, batch_size=64)
    plain_layer, plain_predictor = generator.layer, predictor.forward
    sizes = []

    def tight_layer(index, activation, code):
        sizes.append(len(code))
        if len(code) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain_layer(index, activation, code)

    def tight_predictor(images):
        if len(images) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return plain_predictor(images)

    monkeypatch.setattr(generator, "layer", tight_layer)
    monkeypatch.setattr(predictor, "forward", tight_predictor)
    torch.testing.assert_close(measured(engine, codes, plan), expected, rtol=0, atol=1e-12)
    assert engine.budget.images == 2
    assert max(sizes) > 3 and max(sizes[100:]) <= 3
    monkeypatch.setattr(generator, "layer", lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(RuntimeError, match="not enough memory for a single image"):
        measured(engine, codes, plan)
    monkeypatch.setattr(generator, "layer", lambda *_: (_ for _ in ()).throw(RuntimeError("broken")))
    with pytest.raises(RuntimeError, match="broken"):
        measured(engine, codes, plan)


@pytest.fixture
def cuda(monkeypatch):
    """Engines that are made within it record their work and score it on a second stream."""
    monkeypatch.setattr("higan_fast.engine.engine.tape_for", lambda device: EmulatedTape())
    monkeypatch.setattr("higan_fast.engine.engine.SecondStream", lambda device: EmulatedStream())


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["all and each", "sets with gaps", "some", "latents"])
def test_recordings_and_a_second_stream_change_no_result(world, kind, cuda, monkeypatch):
    generator, predictor = world
    plan = plans(generator)[kind]
    engine = Engine(generator, predictor, batch_size=7)
    monkeypatch.undo()
    plain = Engine(generator, predictor, batch_size=7)
    torch.manual_seed(1)
    for _ in range(4):
        z = torch.randn(5, generator.latent_dim, dtype=torch.float64)
        base = z if plan.in_latents else generator.map(z)
        expected, found = measured(plain, base, plan), measured(engine, base, plan)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12, equal_nan=True)
        codes = generator.map(z)
        torch.testing.assert_close(engine.scores(codes), plain.scores(codes), rtol=0, atol=1e-12)
    tapes = engine._synthesis._tape, engine._scoring._tape
    assert all(tape.recorded == len(graphs) for tape, graphs in zip(tapes, graphs_of(engine), strict=True))
    assert all(tape.replayed > tape.recorded for tape in tapes)


def graphs_of(engine):
    return engine._synthesis, engine._scoring


@torch.inference_mode()
@pytest.mark.parametrize("family", GENERATORS)
def test_every_family_can_be_recorded(family, cuda, monkeypatch):
    generator, predictor = make(family), ColorPredictor()
    engine = Engine(generator, predictor)
    monkeypatch.undo()
    plain = Engine(generator, predictor)
    torch.manual_seed(1)
    for _ in range(3):
        codes, moves = (torch.randn(num, *code_shape(generator), dtype=torch.float64) for num in (3, 2))
        plan = Plan(moves, all_and_each(generator.num_layers), STEPS[:2])
        torch.testing.assert_close(
            measured(engine, codes, plan), measured(plain, codes, plan), rtol=0, atol=1e-12
        )
    assert engine._synthesis._tape.replayed > 0


def code_shape(generator):
    return generator.num_layers, generator.code_dim


@torch.inference_mode()
def test_two_precisions_in_turn_leave_each_others_recordings_alone(cuda, monkeypatch):
    generator, predictor = small_stylegan2()
    plan = plans(generator)["all and each"]
    recorded = Engine(generator, predictor), Engine(generator, predictor)
    monkeypatch.undo()
    plain = Engine(generator, predictor), Engine(generator, predictor)
    for pair in (recorded, plain):
        pair[1].activation_dtype = torch.bfloat16  # its weights take the place of the others in their caches
    for _ in range(4):
        codes = generator.map(torch.randn(3, generator.latent_dim))
        for one, other in zip(recorded, plain, strict=True):
            found, expected = measured(one, codes, plan), measured(other, codes, plan)
            torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert all(engine._synthesis._tape.replayed > 0 for engine in recorded)


@torch.inference_mode()
def test_running_out_of_memory_lets_recordings_go(cuda):
    generator, predictor = toy()
    plan = plans(generator)["all and each"]
    engine = Engine(generator, predictor, batch_size=8)
    codes = generator.map(torch.randn(4, generator.latent_dim))
    expected = measured(engine, codes, plan)
    for _ in range(2):
        measured(engine, codes, plan)
    assert all(len(graphs) > 0 for graphs in graphs_of(engine))
    tapes = [graphs._tape for graphs in graphs_of(engine)]
    plain, calls = predictor.forward, []

    def tight(images):
        calls.append([len(graphs) for graphs in graphs_of(engine)])
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(images)

    predictor.forward = tight
    torch.testing.assert_close(measured(engine, codes, plan), expected, rtol=0, atol=1e-5)
    assert engine.budget.images == 4 and calls[1] == [0, 0]
    assert [tape.forgotten for tape in tapes] == [1, 1]


@torch.inference_mode()
def test_a_batch_is_scored_while_the_next_is_synthesised(cuda):
    generator, predictor = toy()
    engine = Engine(generator, predictor, batch_size=8)
    codes = generator.map(torch.randn(4, generator.latent_dim))
    plan = Plan(torch.ones(2, NUM_LAYERS, CODE_DIM), ((0,), (2,)), STEPS[:2])
    batches = engine.perturbed_scores(codes, plan)
    next(batches)
    log = engine._second_stream.log
    assert log == ["launched", "launched", "handed over"]
    assert len(list(batches)) == 3 and log[-2:] == ["handed over", "joined"]


def test_a_batch_is_what_memory_has_room_for(monkeypatch):
    generator, predictor = toy()
    assert Engine(generator, predictor).budget.images == 32
    assert Engine(generator, predictor, batch_size=5).budget.images == 5
    image = 4 * 3 * 16 * 16  # bytes of the toy's features, of which two and their copies are in work
    monkeypatch.setattr("higan_fast.engine.budget._free_memory", lambda device: 10 / 0.7 * 3 * 2 * image + 1)
    assert Engine(generator, predictor).budget.images == 10
    monkeypatch.setattr("higan_fast.engine.budget._free_memory", lambda device: 1)
    assert Engine(generator, predictor).budget.images == 1


class OnCuda(ToyGenerator):
    """Says that it is on a CUDA device, whose memory a test emulates."""

    device = torch.device("cuda")


@pytest.fixture
def cuda_memory(monkeypatch):
    """A device of 1,000 bytes: a batch takes 100, and 10 for each image; at first 5,000 more."""
    memory = {"free": 1000, "first": 5000, "fixed": 100, "each": 10, "most": 1000}
    peak, seen, plain = [0], set(), ToyGenerator.draw

    def draw(self, codes, *arguments):
        if len(codes) > memory["most"]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        first = 0 if len(codes) in seen else memory["first"]
        seen.add(len(codes))
        peak[0] = first + memory["fixed"] + memory["each"] * len(codes)
        return plain(self, codes, *arguments)

    monkeypatch.setattr(ToyGenerator, "draw", draw)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: peak.__setitem__(0, 0))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 70)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 70 + peak[0])
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr("higan_fast.engine.budget._free_memory", lambda device: memory["free"] / 0.35)
    return memory


@pytest.mark.parametrize(
    "change, at_most, expected",
    [
        ({}, None, 64),  # 90 have room, of which 64 fill with whole rounds
        ({}, 50, 50),
        ({"free": 5000}, None, 128),
        ({"fixed": 900}, None, 8),  # the working memory of libraries is taken once, not for each image
        ({"fixed": 2000}, None, 1),
        ({"most": 3}, None, 64),  # measured on one image and on two
        ({"most": 1}, None, 1),
    ],
)
def test_on_cuda_an_image_takes_what_one_more_image_takes(cuda_memory, change, at_most, expected):
    cuda_memory.update(change)
    generator = OnCuda()
    assert Budget.measure(generator, ToyPredictor(generator), at_most).images == expected


@torch.inference_mode()
def test_the_prefix_is_walked_once_and_batches_stay_bounded(generator, predictor):
    runs = []
    plain_layer = generator.layer
    engine = Engine(generator, predictor, batch_size=8)

    def layer(index, activation, code):
        runs.append((index, len(code)))
        return plain_layer(index, activation, code)

    generator.layer = layer
    codes = generator.map(torch.randn(8, generator.latent_dim))
    moves = torch.ones(2, NUM_LAYERS, CODE_DIM)
    plan = Plan(moves, all_and_each(NUM_LAYERS), torch.tensor([1.0, -1.0]))
    measured(engine, codes, plan)
    # Images through layers: the base up to layer 3; per perturbation all layers 5, and layer l alone 5 − l.
    assert sum(size for _, size in runs) == 8 * 4 + 8 * 4 * (5 + 5 + 4 + 3 + 2 + 1)
    assert max(size for _, size in runs) == 8
    runs.clear()
    chosen = np.zeros((2, 1 + NUM_LAYERS), bool)
    chosen[1, 3] = True  # layer 2 alone
    measured(engine, codes, Plan(moves, plan.layer_sets, plan.steps, chosen))
    assert runs == [(0, 8), (1, 8)] + [(layer, 8) for layer in (2, 3, 4)] * 2


def test_plans_that_make_no_sense_are_refused():
    moves = torch.zeros(2, 5, 3)
    for arguments, message in [
        ((moves, ((1, 0),), STEPS), "layer_sets: got"),
        ((moves, ((0,), ()), STEPS), "layer_sets: got"),
        ((moves[0], ((0,),), STEPS), r"moves: got shape \[5, 3\]"),
        ((moves, ((0,),), STEPS, np.ones((1, 1), bool)), r"chosen: got shape \[1, 1\], expected \[2, 1\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            Plan(*arguments)


def test_a_predictor_of_another_width_is_named(predictor):
    predictor.forward = lambda images: torch.zeros(len(images), 3)
    with pytest.raises(ValueError, match=r"scores of shape \(2, 3\) for 2 images, expected \[2, 5\]"):
        score(predictor, torch.zeros(2, 3, 16, 16))


def test_codes_come_from_numpy_and_torch_and_are_checked(generator):
    codes = np.zeros((2, NUM_LAYERS, CODE_DIM))
    assert as_codes(codes, generator).dtype == torch.float32
    assert as_codes(torch.from_numpy(codes), generator).shape == codes.shape
    with pytest.raises(ValueError, match=r"codes: got shape \(2, 32\), expected \[N, 5, 32\]"):
        as_codes(codes[:, 0], generator)
    with pytest.raises(TypeError, match=r"codes: got 'x', expected an array \[N, "):
        as_codes("x", generator)
    codes[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="sample 1 has a code that is not finite"):
        as_codes(codes, generator)


def test_random_noise_is_refused():
    """An image must be a function of its codes: a sample would not come back, and an effect be noise."""
    generator = StyleGAN2(StyleGAN2Config(channels={4: 4, 8: 4}, latent_dim=4, code_dim=4, mapping_depth=1))
    generator.noise_mode = "random"
    with pytest.raises(ValueError, match=r"noise_mode is 'random'.* set generator\.noise_mode = 'const'"):
        Engine(generator)
    generator.noise_mode = "none"
    Engine(generator)
