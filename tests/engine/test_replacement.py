"""One layer's code replaced: whatever is shared and however it is cut, what comes out are plain forwards."""

import pytest
import torch

from higan_fast.engine.engine import Engine
from higan_fast.ops.implementation import only_reference
from higan_fast.predictors.color import ColorPredictor
from tests.boundaries.test_displacement import GENERATORS, make
from tests.engine.emulated_cuda import EmulatedStream, EmulatedTape
from tests.toy import NUM_LAYERS, toy


def replaced(engine, base, others):
    """Scores ``[N, L, S]``; every one is given once."""
    shape = len(base), engine.generator.num_layers, engine.predictor.num_semantics
    scores = torch.full(shape, torch.nan, dtype=torch.float64)
    for found in engine.replaced_scores(base, others):
        assert scores[found.samples, found.layer].isnan().all()
        scores[found.samples, found.layer] = found.values.double()
    return scores


def plain(generator, predictor, base, others):
    scores = []
    with only_reference():
        for layer in range(generator.num_layers):
            mixed = base.clone()
            mixed[:, layer] = others[:, layer]
            scores.append(predictor(generator.synthesize(mixed).clamp(-1, 1)))
    return torch.stack(scores, dim=1)


@torch.inference_mode()
@pytest.mark.parametrize("family", GENERATORS)
def test_every_family_draws_what_plain_forwards_draw(family, monkeypatch):
    generator, predictor = make(family), ColorPredictor().double()
    base, others = torch.randn(2, 7, generator.num_layers, generator.code_dim, dtype=torch.float64)
    expected = plain(generator, predictor, base, others)
    for batch_size, at_once in ((None, None), (3, 2), (1, None)):
        monkeypatch.setattr(generator, "samples_at_once", lambda index, at_once=at_once: at_once)
        found = replaced(Engine(generator, predictor, batch_size=batch_size), base, others)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@torch.inference_mode()
def test_running_out_of_memory_halves_the_batch_and_loses_nothing(monkeypatch):
    generator, predictor = (network.double() for network in toy())
    base, others = generator.map(torch.randn(16, generator.latent_dim, dtype=torch.float64)).split(8)
    expected = plain(generator, predictor, base, others)
    engine, plain_layer = Engine(generator, predictor, batch_size=64), generator.layer

    def tight(index, activation, code):
        if len(code) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain_layer(index, activation, code)

    monkeypatch.setattr(generator, "layer", tight)
    torch.testing.assert_close(replaced(engine, base, others), expected, rtol=0, atol=1e-12)
    assert engine.budget.images == 2


@torch.inference_mode()
def test_recordings_and_a_second_stream_change_no_result(monkeypatch):
    generator, predictor = make("stylegan2"), ColorPredictor().double()
    monkeypatch.setattr("higan_fast.engine.engine.tape_for", lambda device: EmulatedTape())
    monkeypatch.setattr("higan_fast.engine.engine.SecondStream", lambda device: EmulatedStream())
    engine = Engine(generator, predictor, batch_size=4)
    for _ in range(3):
        base, others = torch.randn(2, 10, generator.num_layers, generator.code_dim, dtype=torch.float64)
        expected = plain(generator, predictor, base, others)
        torch.testing.assert_close(replaced(engine, base, others), expected, rtol=0, atol=1e-12)
    assert engine._synthesis._tape.replayed > 0


@torch.inference_mode()
def test_the_layers_below_run_once(monkeypatch):
    generator, predictor = toy()
    base, others = generator.map(torch.randn(8, generator.latent_dim)).split(4)
    engine, plain_layer, ran = Engine(generator, predictor), generator.layer, []

    def counting(index, activation, code):
        ran.append(index)
        return plain_layer(index, activation, code)

    monkeypatch.setattr(generator, "layer", counting)
    replaced(engine, base, others)
    # each suffix, and the walk beneath, which the last layer does not need
    assert len(ran) == NUM_LAYERS * (NUM_LAYERS + 1) / 2 + NUM_LAYERS - 1
