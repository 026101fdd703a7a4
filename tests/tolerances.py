"""How far a result may lie from the float64 reference, as a share of its largest magnitude, and why."""

from __future__ import annotations

import torch
from torch import Tensor

# Half the distance between neighbouring numbers, relative to their size: one rounding errs by this at most.
ROUNDING = {
    torch.float64: 2.0**-53,
    torch.float32: 2.0**-24,
    torch.float16: 2.0**-11,
    torch.bfloat16: 2.0**-8,
}

# A kernel computes in float32 and rounds once at the end. Its float32 part errs by a few roundings of sums
# of up to some hundred terms, and by the 2 to 4 ulp of a GPU's or a libm's exponentials.
SINGLE_PASS = 1.01
FLOAT32_ARITHMETIC = 32

# A convolution's input is rounded after the style, its result before the tail, and the result of that again:
# three roundings, each of a value that the later gain of √2 and a demodulation of about 1 may enlarge. Only
# when rounding errors of single products line up would it be more.
CONVOLUTION = 4

# The reference rounds after every step of a chain: style, convolution, FIR twice, demodulation, noise, bias,
# activation, next style.
REFERENCE_CHAIN = 12


def tolerance(dtype: torch.dtype, roundings: float) -> float:
    """The share of the largest magnitude by which a result in ``dtype`` may differ."""
    arithmetic = FLOAT32_ARITHMETIC * ROUNDING[torch.float64 if dtype == torch.float64 else torch.float32]
    return roundings * ROUNDING[dtype] + arithmetic


def assert_near(found: Tensor, exact: Tensor, dtype: torch.dtype, roundings: float) -> None:
    """Fails, with the figures, when ``found`` lies further from ``exact`` than ``roundings`` explain."""
    assert found.shape == exact.shape
    if exact.numel() == 0:
        return
    scale = exact.abs().max().item()
    difference = (found.double().cpu() - exact).abs().max().item()
    allowed = tolerance(dtype, roundings) * max(scale, 1e-30)
    assert difference <= allowed, (
        f"differs by {difference:.3g}, allowed {allowed:.3g} ({scale=:.3g}, {dtype})"
    )
