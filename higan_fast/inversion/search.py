"""Optimises variables of many images at once, each on a clock of its own, until its image fits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

Variables = dict[str, Tensor]

# Adam as in StyleGAN2's projection (Karras et al., arXiv 1912.04958, appendix D): the rate rises over the
# first twentieth of the steps and falls over the last quarter, and noise on the codes ends after three.
BETAS, EPSILON = (0.9, 0.999), 1e-8
RAMP_UP, RAMP_DOWN, NOISE_UNTIL = 0.05, 0.25, 0.75
# An image whose distance has fallen by less than this part over so many steps begins its last quarter.
WINDOW, ENOUGH = 50, 0.01


@dataclass(frozen=True)
class Schedule:
    """How a search goes.

    Attributes:
        steps: of each image, at most.
        rates: learning rate of each variable.
        noise: standard deviation of the noise on the codes at the start, in that of samples.
    """

    steps: int
    rates: Mapping[str, float]
    noise: float = 0.0

    @property
    def falls_at(self) -> int:
        """The step from which on the rate falls."""
        return self.steps - max(1, round(RAMP_DOWN * self.steps))

    def rate(self, clock: Tensor) -> Tensor:
        """The share of the learning rate at each step of ``clock`` ``[n]``."""
        up = ((clock + 1) / max(1.0, RAMP_UP * self.steps)).clamp(max=1)
        left = ((self.steps - clock) / (self.steps - self.falls_at)).clamp(0, 1)
        return up * (0.5 - 0.5 * torch.cos(math.pi * left))

    def noise_at(self, clock: Tensor) -> Tensor:
        left: Tensor = (1 - clock / (NOISE_UNTIL * self.steps)).clamp(min=0)
        return self.noise * left.square()


@dataclass
class State:
    """Where a search of N images is: all that decides how it goes on.

    Attributes:
        variables: name → ``[N, ...]``; "codes" are whitened.
        first, second: Adam's moments of each.
        clock: how many steps each image has gone, ``[N]``.
        recent, before: mean distance over this window of steps so far, and over the last one, ``[N]``.
        distance: the last one that was measured, ``[N]``.
        taken: how many steps were taken, ``[N]``; a clock may leave some out.
    """

    variables: Variables
    first: Variables
    second: Variables
    clock: Tensor
    recent: Tensor
    before: Tensor
    distance: Tensor
    taken: Tensor

    @classmethod
    def begin(cls, variables: Variables) -> State:
        """The state before the first step."""
        codes = variables["codes"]
        first, second = (
            {name: torch.zeros_like(value) for name, value in variables.items()} for _ in range(2)
        )
        clock = torch.zeros(len(codes), dtype=torch.int64, device=codes.device)
        recent = torch.zeros(len(codes), dtype=torch.float32, device=codes.device)
        far = recent + math.inf
        return cls(variables, first, second, clock, recent, far, far.clone(), clock.clone())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, to be kept."""
        parts = {name: getattr(self, name) for name in ("clock", "recent", "before", "distance", "taken")}
        for kind in ("variables", "first", "second"):
            parts |= {f"{kind}.{name}": value for name, value in getattr(self, kind).items()}
        return {name: value.cpu().numpy() for name, value in parts.items()}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], device: torch.device) -> State:
        """What ``arrays`` gave."""
        parts: dict[str, Any] = {"variables": {}, "first": {}, "second": {}}
        for name, array in arrays.items():
            kind, dot, of = name.partition(".")
            tensor = torch.from_numpy(array).to(device)
            if dot:
                parts[kind][of] = tensor
            else:
                parts[name] = tensor
        return cls(**parts)


Measure = Callable[[Variables, Tensor], tuple[Tensor, Tensor]]
Noise = Callable[[Tensor, Tensor], Tensor]
Project = Callable[[str, Tensor], Tensor]


def step(
    state: State, rows: Tensor, schedule: Schedule, measure: Measure, noise: Noise, project: Project
) -> None:
    """Moves the variables of some images by one step.

    Args:
        rows: which, ``[n]``.
        measure: variables of some images, and which these are → distances and penalties, ``[n]`` each.
        noise: rows and clocks → normal numbers, shaped as the codes.
        project: a variable's name and its value after a step → what it may be.
    """
    clock = state.clock[rows]
    leaves = {name: value[rows].requires_grad_() for name, value in state.variables.items()}
    scale = schedule.noise_at(clock)
    given = dict(leaves)
    with torch.enable_grad():
        if bool((scale > 0).any()):
            drawn = noise(rows, clock)
            given["codes"] = leaves["codes"] + drawn * scale.view(-1, *[1] * (drawn.ndim - 1))
        distance, penalty = measure(given, rows)
        gradients = torch.autograd.grad((distance + penalty).sum(), list(leaves.values()))
    share = schedule.rate(clock)
    for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True):
        wide = [-1, *[1] * (leaf.ndim - 1)]
        first = state.first[name][rows].lerp(gradient, 1 - BETAS[0])
        second = state.second[name][rows].lerp(gradient.square(), 1 - BETAS[1])
        corrected = first / (1 - BETAS[0] ** (clock + 1)).view(wide)
        size = (second / (1 - BETAS[1] ** (clock + 1)).view(wide)).sqrt() + EPSILON
        moved = leaf.detach() - schedule.rates[name] * share.view(wide) * corrected / size
        state.variables[name][rows] = project(name, moved)
        state.first[name][rows], state.second[name][rows] = first, second
    _tick(state, rows, distance.detach().float(), schedule)


def _tick(state: State, rows: Tensor, distance: Tensor, schedule: Schedule) -> None:
    """Advances clocks; those of images that no longer come nearer go to where the rate begins to fall."""
    clock = state.clock[rows] + 1
    recent = state.recent[rows] + distance / WINDOW
    ends = clock % WINDOW == 0
    stuck = ends & (recent > (1 - ENOUGH) * state.before[rows])
    state.before[rows] = torch.where(ends, recent, state.before[rows])
    state.recent[rows] = torch.where(ends, torch.zeros_like(recent), recent)
    state.distance[rows] = distance
    state.taken[rows] += 1
    state.clock[rows] = torch.where(stuck, clock.clamp(min=schedule.falls_at), clock)


def unfinished(state: State, schedule: Schedule, at_once: int) -> Tensor:
    """The first images whose clocks have not run out, ``[n]``; who is done makes room for the next."""
    return (state.clock < schedule.steps).nonzero()[:at_once, 0]
