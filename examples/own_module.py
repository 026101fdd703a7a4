"""Our ops in a module of one's own: a StyleGAN2 layer in one call, trained for a few steps.

    python examples/own_module.py

The layer learns to repeat what another one draws. Under ``torch.no_grad()`` the same call runs as one kernel.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn

from higan_fast.ops import modulated_conv2d, setup_filter


class Layer(nn.Module):
    """Upsampling, modulated convolution, noise, bias and leaky ReLU, from features and a code."""

    def __init__(self, inputs: int, outputs: int, code_dim: int) -> None:
        super().__init__()
        self.affine = nn.Linear(code_dim, inputs)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("taps", setup_filter((1, 3, 3, 1)))

    def forward(self, x: Tensor, code: Tensor, noise: Tensor) -> Tensor:
        return modulated_conv2d(
            x,
            self.weight,
            self.affine(code) + 1,
            up=2,
            resample_filter=self.taps,
            noise=noise * self.noise_strength,
            bias=self.bias,
            activation="lrelu",
        )


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", default=100, type=int)
    options = parser.parse_args(arguments)

    torch.manual_seed(0)
    teacher, layer = Layer(16, 8, 12), Layer(16, 8, 12)
    x, code, noise = torch.randn(4, 16, 8, 8), torch.randn(4, 12), torch.randn(16, 16)
    with torch.no_grad():
        goal = teacher(x, code, noise)
    optimiser = torch.optim.Adam(layer.parameters(), 0.02)
    losses = []
    for _ in range(options.steps):
        loss = (layer(x, code, noise) - goal).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    print(f"loss {losses[0]:.3f} → {losses[-1]:.3f} after {options.steps} steps")
    return losses[0], losses[-1]


if __name__ == "__main__":
    main()
