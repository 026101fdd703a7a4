"""What follows a convolution, kernel by kernel: the FIR filter in both of its forms, and the tail."""

import math
from itertools import product

import pytest
import torch

from higan_fast import _native
from higan_fast.ops import bias_act, setup_filter, upfirdn2d
from higan_fast.ops.bias_act import tail_numbers
from tests.ops.calls import arranged
from tests.ops.implementations import EMULATED, KERNELS
from tests.tolerances import SINGLE_PASS, assert_near

DTYPES = [torch.float32, torch.float16, torch.bfloat16]
# Channels, rows and columns of the result: whole tiles, several of them with ragged ends, single pixels and
# rows, few channels, and channels that no vector divides.
SIZES = [(64, 8, 32), (72, 13, 37), (8, 9, 1), (16, 1, 5), (24, 6, 2), (5, 7, 9)]


def run(x, taps, pad, tail, numbers, out):
    """``numbers`` are activation, alpha, gain and clamp; ``tail`` the tensors by name."""
    given = [tail.get(name) for name in ("demod", "noise", "bias", "next_styles")]
    _native.launch("conv_epilogue", x.device, x, taps, pad, *given, *tail_numbers(*numbers), out)
    return out


def by_passes(x, taps, pad, tail, numbers):
    """The same, pass by pass, in float64."""
    x, tail = x.double(), {name: tensor.double() for name, tensor in tail.items()}
    if taps is not None:
        x = upfirdn2d(x, taps.double(), padding=[pad] * 4, gain=4, impl="reference")
    if "demod" in tail:
        x = x * tail["demod"][:, :, None, None]
    x = x + tail.get("noise", 0)
    activation, alpha, gain, clamp = numbers
    x = bias_act(
        x, tail.get("bias"), activation=activation, alpha=alpha, gain=gain, clamp=clamp, impl="reference"
    )
    return x * tail["next_styles"][:, :, None, None] if "next_styles" in tail else x


def some_tail(num, channels, height, width):
    shapes = {"demod": (num, channels), "bias": (channels,), "next_styles": (num, channels)}
    tail = {name: torch.randn(shape) for name, shape in shapes.items()}
    return tail | {"noise": torch.randn(1, 1, height, width).expand(num, 1, height, width)}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("implementation", KERNELS, ids=lambda kernel: kernel.name)
def test_the_filter_in_every_size_layout_and_dtype(implementation, size):
    torch.manual_seed(0)
    channels, height, width = size
    tail, pad, numbers = some_tail(2, *size), 1, ("lrelu", None, None, 2.0)
    tail["noise"] = torch.randn(2, 1, height, width)
    for dtype, layout in product(DTYPES, ("channels_last", "contiguous", "sliced")):
        x = arranged(torch.randn(2, channels, height + 1, width + 1).to(dtype), layout)
        exact = by_passes(x, setup_filter(), pad, tail, numbers)
        there = implementation.device
        out = arranged(torch.full((2, *size), math.nan, dtype=dtype, device=there), layout)
        with implementation.active():
            on_device = {name: tensor.to(there) for name, tensor in tail.items()}
            run(arranged(x.to(there), layout), setup_filter().to(there), pad, on_device, numbers, out)
        assert_near(out, exact, dtype, SINGLE_PASS)


@pytest.mark.parametrize("pad, taps", [(0, 4), (2, 4), (3, 4), (1, 3), (2, 7)])
@pytest.mark.parametrize("implementation", KERNELS, ids=lambda kernel: kernel.name)
def test_the_filter_at_the_edges(implementation, pad, taps):
    torch.manual_seed(0)
    x = arranged(torch.randn(1, 16, 6, 7), "channels_last")
    taps = torch.rand(taps)  # without symmetry
    exact = by_passes(x, taps, pad, {}, ("linear", None, None, None))
    there = implementation.device
    out = arranged(torch.full(exact.shape, math.nan, device=there), "channels_last")
    with implementation.active():
        run(
            arranged(x.to(there), "channels_last"), taps.to(there), pad, {}, ("linear", None, None, None), out
        )
    assert_near(out, exact, torch.float32, SINGLE_PASS)


def test_the_order_of_threads_does_not_change_a_filter_of_many_tiles():
    torch.manual_seed(0)
    x = arranged(torch.randn(1, 72, 14, 38).half(), "channels_last")
    results = []
    for order, seed in [("forward", 0), ("reverse", 0), ("shuffled", 1)]:
        out = arranged(torch.empty(1, 72, 13, 37).half(), "channels_last")
        with EMULATED.active(order, seed):
            run(x, setup_filter(), 1, {}, ("lrelu", None, None, None), out)
        results.append(out)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


NUMBERS = [
    ("lrelu", 0.2, math.sqrt(2), 1.5),
    ("lrelu", 0.2, -0.7, 0.5),
    ("lrelu", 1.5, 1.0, None),
    ("lrelu", -0.3, 1.0, 0.4),
    ("lrelu", 0.2, 0.0, 1.0),
    ("relu", None, None, None),
    ("relu", None, 2.0, 1.0),
    ("linear", None, -1.0, 0.0),
    ("swish", None, 2.0, 1.0),
]


@pytest.mark.parametrize("numbers", NUMBERS, ids=lambda numbers: "-".join(map(str, numbers)))
@pytest.mark.parametrize("implementation", KERNELS, ids=lambda kernel: kernel.name)
def test_rectifiers_gains_and_clamps(implementation, numbers):
    torch.manual_seed(0)
    tail, there = some_tail(2, 16, 3, 5), implementation.device
    on_device = {name: tensor.to(there) for name, tensor in tail.items()}
    for layout, taps in product(("channels_last", "contiguous"), (None, setup_filter())):
        more = 0 if taps is None else 1
        x = arranged(torch.randn(2, 16, 3 + more, 5 + more), layout)
        exact = by_passes(x, taps, 1, tail, numbers)
        out = arranged(torch.full((2, 16, 3, 5), math.nan, device=there), layout)
        with implementation.active():
            run(
                arranged(x.to(there), layout), taps if taps is None else taps.to(there), 1 if more else 0,
                on_device, numbers, out,
            )  # fmt: skip
        assert_near(out, exact, torch.float32, SINGLE_PASS)


@pytest.mark.parametrize(
    "numbers", [("lrelu", None, None, 3.0), ("relu", None, None, 3.0), ("linear", None, None, 3.0)]
)
@pytest.mark.parametrize("implementation", KERNELS, ids=lambda kernel: kernel.name)
def test_what_is_not_finite_stays_what_it_is(implementation, numbers):
    x = torch.zeros(1, 16, 1, 2)
    x[0, :3, 0, 0] = torch.tensor([math.nan, math.inf, -math.inf])
    expected = by_passes(x, None, 0, {}, numbers).float()
    with implementation.active():
        found = arranged(x.to(implementation.device), "channels_last")
        run(found, None, 0, {}, numbers, found)
    torch.testing.assert_close(found.cpu(), expected, equal_nan=True, rtol=1e-6, atol=0)
