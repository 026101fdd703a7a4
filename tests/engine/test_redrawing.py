"""Redrawing: only the layers from a change on run, and the pictures are those of full forwards."""

import pytest
import torch

from higan_fast.engine.engine import Engine
from higan_fast.engine.redrawing import Canvas, Redrawing
from tests.boundaries.test_displacement import GENERATORS, make
from tests.engine.test_engine import small_stylegan2
from tests.toy import toy


@pytest.fixture(params=(toy, small_stylegan2), ids=("toy", "stylegan2"))
def engine(request):
    return Engine(request.param()[0].double(), batch_size=1)


def codes_of(generator, seed):
    z = torch.randn(1, generator.latent_dim, generator=torch.Generator().manual_seed(seed)).double()
    return generator.map(z, torch.tensor([1]) if generator.label_dim else None)


@pytest.mark.parametrize("name", GENERATORS)
@torch.inference_mode()
def test_pictures_are_those_of_full_forwards(name):
    generator, canvas = make(name), Canvas()
    engine = Engine(generator, batch_size=1)
    redrawing, random = Redrawing(engine), torch.Generator().manual_seed(0)
    codes = codes_of(generator, 0)
    for step in range(20):
        first = int(torch.randint(generator.num_layers, (), generator=random))
        codes = codes.clone()
        codes[:, first:] += 0.1 * torch.randn(codes[:, first:].shape, generator=random).double()
        if step % 10 == 9:
            codes = codes_of(generator, step)
        drawn = redrawing.draw(codes, canvas)
        torch.testing.assert_close(drawn.image, engine.images(codes), rtol=1e-9, atol=1e-9)


@torch.inference_mode()
def test_a_slider_of_late_layers_runs_these_alone(engine):
    generator, redrawing, canvas = engine.generator, Redrawing(engine), Canvas()
    ran = []
    inner = generator.layer
    generator.layer = lambda index, *rest: ran.append(index) or inner(index, *rest)
    codes, num, late = codes_of(generator, 0), generator.num_layers, generator.num_layers - 2

    def drawn(layer, by):
        moved = codes.clone()
        moved[:, layer] += by
        return redrawing.draw(moved, canvas).layers_run

    assert drawn(late, 0.0) == num, "the first picture"
    assert drawn(late, 0.1) == num, "nothing is kept yet"
    ran.clear()
    assert [drawn(late, by) for by in (0.2, 0.3, 0.0, 0.3, 0.3)] == [2] * 5
    assert not set(ran) - {late, late + 1}, "the layers below did not run"
    assert drawn(1, 0.1) == num, "an earlier layer"
    assert drawn(1, 0.2) == num - 1
    assert [drawn(late, by) for by in (0.1, 0.2)] == [num - 1, 2], "layer 1 goes back first"


@torch.inference_mode()
def test_what_is_kept_is_bounded(engine):
    generator = engine.generator
    size = engine.activation(codes_of(generator, 0), 2).features.nbytes
    redrawing = Redrawing(engine, most_bytes=int(3.5 * size))
    for seed in range(10):
        canvas, codes = Canvas(), codes_of(generator, seed)
        for by in (0.0, 0.1, 0.2):
            moved = codes.clone()
            moved[:, 2] += by
            redrawing.draw(moved, canvas)
        assert redrawing.bytes_kept <= 3.5 * size
    assert redrawing.bytes_kept > 0
    nothing = Redrawing(engine, most_bytes=0)
    assert [nothing.draw(moved, canvas).layers_run for _ in range(2)] == [generator.num_layers] * 2
