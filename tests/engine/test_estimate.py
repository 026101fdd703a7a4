"""The estimate of a job, before it begins."""

import time

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from higan_fast.engine.engine import Engine
from higan_fast.engine.estimate import Estimate, Rate
from higan_fast.engine.plan import Plan, all_and_each
from higan_fast.generators import wrap
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.predictors.base import ModulePredictor


@pytest.fixture(scope="module")
def engine():
    torch.manual_seed(0)
    config = StyleGAN2Config(
        channels={4: 32, 8: 32, 16: 32, 32: 32}, latent_dim=8, code_dim=8, mapping_depth=1
    )
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.Flatten(), torch.nn.Linear(16 * 900, 2))
    return Engine(StyleGAN2(config), ModulePredictor(network, ["one", "two"]))


def test_operations_are_those_of_the_layers(engine):
    rate = Rate(engine)
    # products and sums of the transposed convolution of b32.conv0 and the convolution of b32.conv1 alone
    assert rate.layer_flops[5] > 2 * 9 * 32 * 32 * 16 * 16
    assert rate.layer_flops[6] >= 2 * 9 * 32 * 32 * 32 * 32
    assert rate.layer_flops[7] < 0.1 * rate.layer_flops[6]
    assert rate.other_flops >= 2 * (27 * 16 + 16 * 2) * 900


class _Drawn(torch.nn.Module):
    """A network of somebody's, whose constant is a parameter that is expanded before the first module."""

    def __init__(self):
        super().__init__()
        self.const = torch.nn.Parameter(torch.zeros(1, 8, 8, 8))
        self.style, self.rgb = torch.nn.Conv2d(8, 8, 1), torch.nn.Conv2d(8, 3, 1)

    def forward(self, codes):
        grown = self.style(self.const.expand(len(codes), -1, -1, -1))
        return self.rgb(grown + codes.sum(1)[..., None, None]).tanh()


@pytest.fixture(scope="module")
def drawn():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64, 1))
    return Engine(wrap(_Drawn(), 3, 8, 8), ModulePredictor(network, ["one"]))


def test_views_of_parameters_are_counted(drawn):
    rate = Rate(drawn)
    expected = 2 * 64 * 8 * (8 + 3) + 2 * 3 * 64  # two convolutions, and the predictor
    assert rate.layer_flops.sum() + rate.other_flops == expected


def test_what_cannot_be_counted_is_no_obstacle(drawn, monkeypatch):
    def refused(*_):
        raise AttributeError("no such operation")

    monkeypatch.setattr(FlopCounterMode, "_count_flops", refused)
    rate = Rate(drawn)
    assert rate.other_flops == 0
    assert rate.estimate(Plan(torch.ones(1, 3, 8), ((0, 1, 2),), torch.tensor([1.0])), 5).seconds >= 0


def test_a_plan_costs_its_suffixes(engine):
    rate = Rate(engine)
    num = engine.generator.num_layers
    moves, steps = torch.ones(3, num, 8), torch.tensor([1.0, -1.0])
    all_layers = rate.estimate(Plan(moves, (tuple(range(num)),), steps), 10)
    last = rate.estimate(Plan(moves, ((num - 1,),), steps), 10)
    each = rate.estimate(Plan(moves, all_and_each(num), steps), 10)
    assert all_layers.images == last.images == 10 * (1 + 6)
    assert each.images == 10 * (1 + 6 * (1 + num))
    assert last.flops < 0.5 * all_layers.flops < all_layers.flops < each.flops
    assert each.flops < 1.0 * (1 + num) * all_layers.flops
    assert str(each).startswith("550 images, 0.")


def test_the_time_is_of_the_right_size(engine, monkeypatch):
    monkeypatch.setattr(time, "perf_counter", time.process_time)  # nobody else's
    num = engine.generator.num_layers
    plan = Plan(torch.ones(4, num, 8), all_and_each(num), torch.tensor([1.0, -1.0]))
    codes = engine.generator.map(torch.randn(8, 8))
    expected = Rate(engine).estimate(plan, 8).seconds
    begin = time.perf_counter()
    with torch.inference_mode():
        engine.scores(codes)
        for _ in engine.perturbed_scores(codes, plan):
            pass
    assert expected / 20 < time.perf_counter() - begin < 20 * expected


def test_the_first_image_does_not_count_for_the_rate(engine, monkeypatch):
    """The first pass through a network prepares weights and threads, and no later image waits for those."""
    scores, calls, waited = engine.scores, [], 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: time.process_time() + waited)

    def slow_at_first(codes):
        nonlocal waited
        calls.append(len(codes))
        waited += 0.5 if len(calls) == 1 else 0
        return scores(codes)

    monkeypatch.setattr(engine, "scores", slow_at_first)
    rate = Rate(engine)
    seconds = calls[-1] * (rate.layer_flops.sum() + rate.other_flops) / rate.flops_per_second
    assert seconds < 0.4
    assert calls[0] == 8 and calls[-1] in (8, engine.budget.images)


def test_estimates_add_up_and_are_read_in_human_units():
    both = Estimate(10, 2e12, 100.0).plus(Estimate(5, 1e12, 25_169.0))
    assert both == Estimate(15, 3e12, 25_269.0)
    assert str(both) == "15 images, 3.0 TFLOP, about 7 h"
