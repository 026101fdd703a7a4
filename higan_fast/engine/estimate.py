"""How much work a plan is: images, floating-point operations, and time by a short probe of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from higan_fast.engine.engine import Engine
from higan_fast.engine.plan import Plan
from higan_fast.engine.scoring import score
from higan_fast.ops.implementation import only_reference
from higan_fast.progress import duration

# How many images are timed: few beside any job that needs an estimate. Where they take no time at all, it is
# as many as the engine takes at once, or the time would be that of getting started.
TIMED = 8
NO_TIME = 0.1

T = TypeVar("T")


class Estimate(NamedTuple):
    """What a plan takes for some samples."""

    images: int
    flops: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.images:,} images, {self.flops / 1e12:,.1f} TFLOP, about {duration(self.seconds)}"

    def plus(self, other: Estimate) -> Estimate:
        """Returns what both take together."""
        return Estimate(self.images + other.images, self.flops + other.flops, self.seconds + other.seconds)


class Rate:
    """What one image costs here, layer by layer; measured once, on codes of zeros.

    Attributes:
        layer_flops: of each layer, ``[L]``; 0 where torch cannot count.
        other_flops: of turning an activation into scores; 0 where torch cannot count.
        flops_per_second: with all layers and the predictor, as many images at once as the engine takes.
    """

    def __init__(self, engine: Engine) -> None:
        generator = engine.generator
        self.layer_flops = np.zeros(generator.num_layers)
        codes = torch.zeros(1, generator.num_layers, generator.code_dim).to(next(generator.parameters()))
        with torch.inference_mode(), only_reference():  # whose products torch can count
            activation = generator.start(1)
            for layer in range(generator.num_layers):
                move = partial(generator.layer, layer, activation, codes[:, layer])
                activation, self.layer_flops[layer] = _counted(move)
            predictor = engine.predictor
            assert predictor is not None
            _, self.other_flops = _counted(lambda: score(predictor, generator.image(activation)))
        num = min(TIMED, engine.budget.images)
        seconds = _seconds(engine, codes.expand(num, -1, -1))
        if seconds < NO_TIME and num < engine.budget.images:
            num = engine.budget.images
            seconds = _seconds(engine, codes.expand(num, -1, -1))
        self.flops_per_second = num * max(1.0, self.layer_flops.sum() + self.other_flops) / seconds

    def estimate(self, plan: Plan, num_samples: int) -> Estimate:
        """What a plan takes: its perturbations from their first layers on, and the base samples."""
        whole = self.layer_flops.sum() + self.other_flops
        flops = num_samples * (whole + self.layer_flops.sum())  # scored once, and walked beside the forks
        for index, layers in enumerate(plan.layer_sets):
            suffix = self.layer_flops[layers[0] if layers else 0 :].sum() + self.other_flops
            flops += num_samples * int(plan.chosen[:, index].sum()) * len(plan.steps) * suffix
        images = num_samples * (1 + plan.images_per_sample)
        return Estimate(images, float(flops), float(flops / self.flops_per_second))


class _NoModules:
    """In place of the counter's tracker of modules, whose hooks on gradients fail in inference mode.

    They do so on what is a view of a parameter, such as a constant that is expanded to a batch.
    """

    parents = frozenset({"Global"})

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def _counted(call: Callable[[], T]) -> tuple[T, float]:
    """Returns what a call gives, and its floating-point operations.

    They are 0 where torch fails to count: an estimate ends no job. What the call itself raises is raised.
    """
    try:
        counter = FlopCounterMode(display=False)
        counter.mod_tracker = _NoModules()  # type: ignore[assignment]
        with counter:
            result = call()
        return result, float(counter.get_total_flops())
    except Exception:  # of the counter, or the call's own, which comes again
        return call(), 0.0


@torch.inference_mode()
def _seconds(engine: Engine, codes: torch.Tensor) -> float:
    """How long images of these codes take, once everything is prepared: the better of two times."""
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        engine.scores(codes).sum().item()  # the item waits for a GPU
        times.append(time.perf_counter() - begin)
    return max(min(times[1:]), 1e-9)  # the first pass prepares weights
