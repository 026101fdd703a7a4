"""Steps of a training with R1 and path length regularisation, plain or patched, from one seed."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import higan_fast as hf
from benchmarks.compat.networks import Subject

REGULARISE_EVERY = 4
LEARNING_RATE = 1e-4


def losses(
    subject: Subject, steps: int, batch: int, patched: bool, gradients: Any = "ours", nudged: bool = False
) -> tuple[Tensor, float]:
    """Returns the losses of both networks at each step, ``[steps, 2]``, and the seconds of a step.

    Every ``REGULARISE_EVERY``-th step adds R1 to the discriminator's loss and path length to the generator's.
    With ``nudged`` each weight begins one rounding of float32 higher or lower.
    """
    assert subject.discriminator is not None
    torch.manual_seed(0)
    generator, discriminator = subject.made(), subject.discriminator().train()
    generator.train().requires_grad_()
    discriminator.requires_grad_()
    for network in (generator, discriminator) if nudged else ():
        _nudge(network)
    real = torch.rand(batch, 3, subject.size, subject.size) * 2 - 1
    optimisers = [
        torch.optim.Adam(n.parameters(), LEARNING_RATE, (0.0, 0.99)) for n in (generator, discriminator)
    ]
    found, seconds = [], []
    with ExitStack() as stack:
        for network in (generator, discriminator) if patched else ():
            stack.enter_context(hf.patch(network, gradients=gradients))
        for step in range(steps):
            z, begin = subject.latents(batch, step), time.perf_counter()
            of_d = _of_discriminator(subject, generator, discriminator, z, real, step)
            _step(optimisers[1], of_d)
            of_g = _of_generator(subject, generator, discriminator, z, step)
            _step(optimisers[0], of_g)
            seconds.append(time.perf_counter() - begin)
            found.append([of_d.item(), of_g.item()])
    return torch.tensor(found), sorted(seconds)[len(seconds) // 2]


@torch.no_grad()
def _nudge(network: torch.nn.Module) -> None:
    random = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        sign = torch.randint(0, 2, parameter.shape, generator=random) * 2 - 1
        parameter.mul_(1 + sign * torch.finfo(torch.float32).eps)


def _of_discriminator(
    subject: Subject, generator: Any, discriminator: Any, z: Tensor, real: Tensor, step: int
) -> Tensor:
    with torch.no_grad():
        made = subject.draw(generator, z)
    regularise = step % REGULARISE_EVERY == 0
    real = real.detach().requires_grad_(regularise)
    of_real = subject.judge(discriminator, real)
    loss = F.softplus(subject.judge(discriminator, made)).mean() + F.softplus(-of_real).mean()
    if regularise:
        (gradient,) = torch.autograd.grad(of_real.sum(), [real], create_graph=True)
        loss = loss + 5 * gradient.square().sum([1, 2, 3]).mean()
    return loss


def _of_generator(subject: Subject, generator: Any, discriminator: Any, z: Tensor, step: int) -> Tensor:
    regularise = step % REGULARISE_EVERY == 0
    z = z.requires_grad_(regularise)
    made = subject.draw(generator, z)
    loss = F.softplus(-subject.judge(discriminator, made)).mean()
    if regularise:
        noise = torch.randn(made.shape, generator=torch.Generator().manual_seed(step)) / subject.size
        (gradient,) = torch.autograd.grad((made * noise).sum(), [z], create_graph=True)
        loss = loss + 2 * (gradient.square().sum(1).sqrt() - 0.1).square().mean()
    return loss


def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
