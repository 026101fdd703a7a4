import itertools
import math
import random

import numpy as np
import pytest
import torch

from higan_fast.ops import filtered_lrelu, setup_filter
from tests.ops.implementations import EMULATED, KERNELS
from tests.ops.test_upfirdn2d import by_definition
from tests.tolerances import assert_near


def drawn(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("down_filter", [drawn(5, seed=1), drawn(3, 4, seed=2)])
def test_equals_the_definition(down_filter, flip):
    x, up_filter, bias = drawn(2, 3, 5, 4), drawn(4, seed=3), drawn(3, seed=4)
    found = filtered_lrelu(
        x, up_filter, down_filter, bias, 2, 3, [4, 7, 6, 5], flip_filter=flip, gain=1.3, slope=0.3, clamp=1.5
    )
    upsampled = by_definition(
        (x + bias[:, None, None]).numpy(), np.outer(up_filter, up_filter), 2, 1, [4, 7, 6, 5], flip, 4
    )
    active = np.clip(np.where(upsampled > 0, upsampled, 0.3 * upsampled) * 1.3, -1.5, 1.5)
    assert (np.abs(active) == 1.5).any() and (active < 0).any()
    kernel = np.outer(down_filter, down_filter) if down_filter.ndim == 1 else down_filter.numpy()
    expected = by_definition(active, kernel, 1, 3, [0] * 4, flip, 1)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def calls():
    """One call for each pair of factors, whose filters, sizes and sides are drawn."""
    draw = random.Random(0)
    for seed, (up, down) in enumerate(itertools.product((1, 2, 3, 4), repeat=2)):
        ups, downs = draw.choice([1, 2, 5, 12, 13, 32]), (draw.choice([1, 3, 12, 17, 32]),)
        if seed % 2:
            downs = (*downs, draw.choice([1, 4, 12]))
        size = draw.randint(1, 7), draw.randint(1, 7)
        sides = [draw.randint(-1, 9) for _ in range(4)]
        for side, length, down_taps in ((1, size[1], downs[-1]), (3, size[0], downs[0])):
            least = ups + down_taps + draw.randint(0, 5) - 2 - length * up - sides[side - 1] + 1
            sides[side] = max(sides[side], least)
        x, filters = drawn(1, 3, *size, seed=seed), (drawn(ups, seed=seed), drawn(*downs, seed=seed))
        options = {"up": up, "down": down, "padding": sides, "clamp": 2.0 if seed % 3 else None}
        shape = f"{size[0]}×{size[1]}, {ups} and {downs} taps, sides {sides}"
        yield pytest.param(x, *filters, options, id=f"up {up}, down {down}: {shape}")


@pytest.mark.parametrize("implementation", KERNELS)
@pytest.mark.parametrize("x, up_filter, down_filter, options", list(calls()))
def test_any_factors_taps_and_sides(x, up_filter, down_filter, options, implementation):
    exact = filtered_lrelu(x, up_filter, down_filter, impl="reference", **options)
    given = [tensor.float().to(implementation.device) for tensor in (x, up_filter, down_filter)]
    exact = filtered_lrelu(*[t.double().cpu() for t in given], impl="reference", **options)
    with implementation.active():
        found = filtered_lrelu(*given, impl=implementation.impl, **options)
    assert_near(found, exact, torch.float32, 1)


@pytest.mark.parametrize("implementation", KERNELS)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("up, taps, down_taps", [(2, 12, (12,)), (4, 24, (12, 12))])
def test_several_tiles(up, taps, down_taps, channels_last, implementation):
    """None of whose sizes divide the image, nor the lanes of a vector its channels."""
    emulated = implementation is EMULATED
    shape = (1, 1, 80 // up, 70 // up) if emulated else (1, 19, 160 // up, 140 // up)
    x = drawn(*shape).float().to(implementation.device)
    x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
    filters = [drawn(*of, seed=1).float().to(x.device) / 5 for of in ((taps,), down_taps)]
    options = {"up": up, "down": 2, "padding": [9, 8, 10, 7], "clamp": 256.0}
    with implementation.active():
        found = filtered_lrelu(x, *filters, impl="native", **options)
    exact = filtered_lrelu(*[t.double().cpu() for t in (x, *filters)], impl="reference", **options)
    assert_near(found, exact, torch.float32, 1)


def test_what_no_kernel_does_runs_in_passes():
    x, taps = drawn(1, 3, 6, 5), setup_filter().double()
    for up_filter, down_filter, up in [
        (torch.outer(taps, taps), taps, 2),
        (taps.repeat(12) / 12, taps, 2),
        (taps, taps.repeat(12) / 12, 1),
        (taps, taps, 5),
    ]:
        options = {"up": up, "padding": 30}
        found = filtered_lrelu(x, up_filter, down_filter, impl="native", **options)
        torch.testing.assert_close(
            found, filtered_lrelu(x, up_filter, down_filter, impl="reference", **options)
        )


def test_a_negative_gain_and_any_slope():
    x, taps = drawn(1, 3, 6, 5), setup_filter().double()
    for gain, slope in [(-1.5, 0.2), (0.0, 0.2), (2.0, -0.5), (1.0, 1.0)]:
        options = {"up": 2, "down": 2, "padding": 4, "gain": gain, "slope": slope, "clamp": 0.3}
        found, expected = (filtered_lrelu(x, taps, taps, impl=i, **options) for i in ("native", "reference"))
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("shape", [(0, 64, 8, 8), (0, 3, 8, 8), (2, 0, 8, 8), (0, 0, 8, 8)])
def test_no_numbers_give_none(shape):
    taps, x = setup_filter(), torch.zeros(shape, requires_grad=True)
    for impl in ("native", "reference", "auto"):
        out = filtered_lrelu(x, taps, taps, torch.zeros(shape[1]), 2, 2, 4, impl=impl)
        assert out.shape == (*shape[:2], 9, 9)
        out.sum().backward()
    assert x.grad.shape == shape


@pytest.mark.parametrize("padding", [[-20, 20, 0, 0], [3, 2, 30, -25], [-9, 30, 12, -8]])
def test_a_crop_of_all_that_there_is(padding):
    """One of [-20, 20] leaves nothing of a row of 11 but padding."""
    taps, found = setup_filter().double(), []
    for impl in ("reference", "native", "auto"):
        x = drawn(1, 3, 11, 11).requires_grad_()
        y = filtered_lrelu(x, taps, taps, padding=padding, impl=impl)
        found.append((y, *torch.autograd.grad(y.square().sum(), x)))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])
    assert (found[0][0] == 0).all() or padding[0] == -9


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own code for forward mode
def test_derivatives_are_those_of_the_reference():
    """Of "auto", which runs the kernels of its parts, and of the kernel; second ones and forward mode too."""
    tensors = [drawn(2, 3, 5, 4), drawn(5, seed=1), drawn(4, 3, seed=2), drawn(3, seed=3)]
    options = {"up": 2, "down": 2, "padding": [4, 5, 3, 6], "clamp": 3.0}
    found = []
    for impl in ("reference", "auto", "native"):
        given = [tensor.clone().requires_grad_() for tensor in tensors]
        y = filtered_lrelu(*given, impl=impl, **options)
        first = torch.autograd.grad(y.pow(3).sum(), given, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), given)
        found.append((y, *first, *second))
    for other in found[1:]:
        for ours, expected in zip(other, found[0], strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)
    x = tensors[0].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: filtered_lrelu(x, *tensors[1:], **options), x)
    _, tangent = torch.func.jvp(
        lambda x: filtered_lrelu(x, *tensors[1:], **options), (x.detach(),), (x.detach(),)
    )
    step = (filtered_lrelu(x * (1 + 1e-6), *tensors[1:], **options) - found[0][0]) / 1e-6
    torch.testing.assert_close(tangent, step, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"x": torch.zeros(3, 4, 4)}, "x: got shape"),
        ({"up_filter": torch.zeros(1, 2, 3)}, "up_filter: got shape"),
        ({"down_filter": torch.zeros(0)}, "down_filter: got shape"),
        ({"bias": torch.zeros(4)}, r"bias: got shape \(4,\), expected \[C\] = \(3,\)"),
        ({"up": 0}, "up: got 0, expected a whole number, 1 or more"),
        ({"up": 1.5}, "up: got 1.5, expected"),
        ({"down": "2"}, "down: got '2', expected"),
        ({"padding": [1, 2, 3]}, "padding: got"),
        ({"padding": 1.5}, "padding: got 1.5, expected one whole number"),
        ({"padding": 2**40}, "padding: got 1099511627776, expected one whole number"),
        ({"gain": None}, "gain: got None, expected a number"),
        ({"slope": "0.2"}, "slope: got '0.2', expected a number"),
        ({"clamp": -1}, "clamp: got -1, expected 0 or more, or None"),
        ({"clamp": math.nan}, "clamp: got nan, expected 0 or more, or None"),
        ({"up_filter": None}, "up_filter: got None, expected a tensor"),
        ({"bias": [0.0] * 3}, "bias: got .*, expected a tensor"),
        ({"x": torch.zeros(1, 3, 4, 4, dtype=torch.int64)}, "x: got torch.int64, expected floating-point"),
        ({"padding": -3}, r"leaves -\d×-\d pixels; expected at least 1×1"),
        ({"impl": "cuda"}, "impl: got 'cuda'"),
    ],
)
def test_bad_input_is_named(arguments, message):
    given = {
        "x": torch.zeros(1, 3, 4, 4),
        "up_filter": setup_filter(),
        "down_filter": setup_filter(),
        "padding": 2,
    }
    for impl in ("native", "reference"):
        with pytest.raises(ValueError, match=message):
            filtered_lrelu(**{**given, "impl": impl, **arguments})
