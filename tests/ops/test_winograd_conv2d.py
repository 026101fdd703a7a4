"""Winograd's convolution on CPUs: the whole op beside the reference, its rounding, and when it runs."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from higan_fast import _native
from higan_fast.generators.prepared import WeightCache, prepare
from higan_fast.ops import finish_block, modulated_conv2d
from higan_fast.ops.implementation import only_reference
from higan_fast.ops.layout import to_channels_last
from higan_fast.ops.winograd import at_points, convolve_3x3, weight_at_points
from tests.tolerances import assert_near

# Of each tile's sums, before and after the products.
ROUNDINGS = 16
# Of the error of float32 sums in order, whose products are rounded one by one.
TIMES_PLAIN = 2
# Of the largest result: twice the worst that was measured with 512 channels.
WORST = 1e-5


def seeded(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + len(shape)))


def launches(monkeypatch):
    """The names of the kernels that run from here on."""
    names, launch = [], _native.launch
    monkeypatch.setattr(_native, "launch", lambda name, *given: names.append(name) or launch(name, *given))
    return names


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    ("inputs", "outputs", "size", "per_sample", "layout"),
    [
        (16, 24, (16, 17), 1, torch.channels_last),
        (40, 130, (19, 14), 2, torch.channels_last),  # three chunks of outputs, the last with two
        (33, 64, (4, 65), 3, torch.contiguous_format),
        (5, 3, (1, 2), 1, torch.contiguous_format),
    ],
)
def test_equals_the_reference(inputs, outputs, size, per_sample, layout, whole, threads, monkeypatch):
    x, weight = seeded(2, inputs, *size).contiguous(memory_format=layout), seeded(outputs, inputs, 3, 3)
    num = 2 * per_sample
    tail = {"demodulate": False}
    if whole:
        tail = {
            "noise": seeded(num, 1, *size), "bias": seeded(outputs), "activation": "lrelu", "clamp": 2.0,
            "next_styles": seeded(num, outputs),
        }  # fmt: skip
    styles = seeded(num, inputs)
    exact_tail = {
        k: value.double() if isinstance(value, torch.Tensor) else value for k, value in tail.items()
    }
    exact = modulated_conv2d(x.double(), weight.double(), styles.double(), impl="reference", **exact_tail)
    names, before = launches(monkeypatch), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = modulated_conv2d(x, weight, styles, weight_points=at_points(weight), impl="native", **tail)
    finally:
        torch.set_num_threads(before)
    assert "winograd_conv2d" in names and found.is_contiguous(memory_format=torch.channels_last)
    assert_near(found, exact, torch.float32, roundings=ROUNDINGS)
    library = modulated_conv2d(
        x, weight, styles, weight_points=at_points(weight), convolution="library", impl="native", **tail
    )
    assert_near(library, exact, torch.float32, roundings=ROUNDINGS)


def test_a_sample_is_the_same_whatever_comes_with_it():
    x, weight, styles = seeded(5, 32, 18, 18), seeded(48, 32, 3, 3), seeded(5, 32)
    points = at_points(weight)
    together = modulated_conv2d(x, weight, styles, demodulate=False, weight_points=points)
    for i in range(5):
        own = x[i : i + 1], weight, styles[i : i + 1]
        alone = modulated_conv2d(*own, demodulate=False, weight_points=points)
        assert torch.equal(alone[0], together[i])


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("channels", [32, 512])
def test_rms_error_stays_within_twice_that_of_sums_in_order(channels, positive):
    """With the points 0, ±1 and ±2, which most use, it would be four times that."""
    x, weight = F.leaky_relu(seeded(1, channels, 16, 16), 0.2) * math.sqrt(2), seeded(16, channels, 3, 3)
    if positive:
        x, weight = x.abs(), weight.abs()
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    patches = F.unfold(x, 3, padding=1)[0]  # [9·I, 256]
    plain = torch.zeros(16, 256)
    for row, factors in zip(patches, weight.flatten(1).T, strict=True):
        plain += factors[:, None] * row
    ones = torch.ones(1, channels)
    found = modulated_conv2d(x, weight, ones, demodulate=False, weight_points=at_points(weight))
    error, allowed = (
        (values.double().flatten() - exact.flatten()).square().mean().sqrt() for values in (found, plain)
    )
    assert error <= TIMES_PLAIN * allowed
    assert (found - exact).abs().max() <= WORST * exact.abs().max()


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("place", [(4, 7), (8, 8), (9, 10)])
def test_what_is_not_finite_stays_in_the_tiles_around_it(place, value):
    x, weight = seeded(2, 16, 24, 24), seeded(16, 16, 3, 3)
    x[0, 3, place[0], place[1]] = value
    found = ~convolve_3x3(x, weight).isfinite().all(1)
    row, column = place
    around, tiles = torch.zeros_like(found), torch.zeros_like(found)
    around[0, row - 1 : row + 2, column - 1 : column + 2] = True
    (top, bottom), (left, right) = (((p - 1) // 4 * 4, (p + 1) // 4 * 4 + 4) for p in place)
    tiles[0, top:bottom, left:right] = True
    assert found[around].all() and not found[~tiles].any()


def test_what_only_torch_takes_is_left_to_it(monkeypatch):
    names, weight = launches(monkeypatch), seeded(16, 16, 3, 3)
    single = seeded(16, 24, 24)
    assert torch.equal(convolve_3x3(single, weight), F.conv2d(single, weight, padding=1))
    with pytest.raises(RuntimeError, match=r"\[16, 16, 3, 3\].*\[2, 32, 16, 16\].*16 channels"):
        convolve_3x3(seeded(2, 32, 16, 16), weight)
    empty = seeded(0, 16, 32, 32).requires_grad_()
    weight.requires_grad_()
    gradients = torch.autograd.grad(convolve_3x3(empty, weight).sum(), (empty, weight))
    assert gradients[0].shape == empty.shape and not gradients[1].any() and not names


def test_gradients_are_those_of_the_reference():
    x, weight, styles = seeded(1, 16, 16, 16), seeded(16, 16, 3, 3), seeded(1, 16)
    gradients = []
    for options in ({"weight_points": at_points(weight), "impl": "native"}, {"impl": "reference"}):
        given = [tensor.clone().requires_grad_() for tensor in (x, weight, styles)]
        loss = modulated_conv2d(*given, activation="softplus", **options).square().sum()
        gradients.append(torch.autograd.grad(loss, given))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


def test_the_end_of_a_block(monkeypatch):
    x, weight, names = seeded(2, 16, 16, 16), seeded(16, 16, 3, 3), launches(monkeypatch)
    given = (x, weight, seeded(2, 16), seeded(3, 16, 1, 1), seeded(2, 16))
    found = finish_block(*given, activation="lrelu", weight_points=at_points(weight), impl="native")
    expected = finish_block(*(t.double() for t in given), activation="lrelu", impl="reference")
    assert "winograd_conv2d" in names
    for ours, exact in zip(found, expected, strict=True):
        assert_near(ours, exact, torch.float32, roundings=ROUNDINGS)


@pytest.mark.parametrize(
    "shape", [(3, 5, 32, 33), (1, 16, 64, 64), (2, 1, 40, 40), (0, 4, 40, 40), (2, 4, 3, 3)]
)
def test_channels_last_is_the_same_image(shape):
    x = seeded(*shape)
    found, expected = to_channels_last(x), x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, x) and found.stride() == expected.stride()
    assert to_channels_last(expected).data_ptr() == expected.data_ptr()


def test_where_it_pays(monkeypatch):
    weight = seeded(16, 16, 3, 3)
    assert weight_at_points(weight, 256).shape == (1, 36, 16, 32)
    assert weight_at_points(weight, 255) is None
    assert weight_at_points(seeded(16, 15, 3, 3), 256) is None
    assert weight_at_points(seeded(16, 16, 1, 1), 256) is None
    assert weight_at_points(weight.double(), 256) is None
    assert weight_at_points(weight.requires_grad_(), 256) is None
    weight = weight.detach()
    assert prepare(weight, torch.float32, 1, 256).points is not None
    assert prepare(weight, torch.float32, 2, 256).points is None
    assert prepare(weight, torch.bfloat16, 1, 256).points is None
    cache = WeightCache()
    with only_reference():  # in which nothing of ours runs, and which is not remembered
        assert cache.get(weight, torch.float32, 1, 256).points is None
    assert cache.get(weight, torch.float32, 1, 256).points is not None
    monkeypatch.setattr(_native, "load", lambda: (None, "it has not been built"))
    assert weight_at_points(weight, 256) is None


def derivatives(convolve, dtype, needed=(True, True)):
    """The result, the gradients of both, and the gradients of the squares of these."""
    x, weight = (seeded(*shape).to(dtype) for shape in ((2, 16, 16, 17), (24, 16, 3, 3)))
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_(needed[0])
    weight.requires_grad_(needed[1])
    given = [tensor for tensor in (x, weight) if tensor.requires_grad]
    y = convolve(x, weight)
    first = torch.autograd.grad(F.softplus(y).square().sum(), given, create_graph=True)
    second = torch.autograd.grad(sum(value.square().sum() for value in first), given)
    return [y.detach(), *(value.detach() for value in first), *second]


@pytest.mark.parametrize("needed", [(True, True), (True, False), (False, True)])
def test_derivatives_of_a_training(needed, monkeypatch):
    names = launches(monkeypatch)
    found = derivatives(convolve_3x3, torch.float32, needed)
    assert names.count("winograd_conv2d") >= 1 + needed[0]
    exact = derivatives(lambda x, weight: F.conv2d(x, weight, padding=1), torch.float64, needed)
    for ours, expected in zip(found, exact, strict=True):
        assert (ours - expected).norm() <= 1e-5 * expected.norm()


def test_a_gradient_that_nobody_asks_for_is_not_computed():
    x, leaf = seeded(2, 16, 16, 16).requires_grad_(), seeded(16, 16, 3, 3).requires_grad_()
    y = convolve_3x3(x, leaf * 2).sum()
    for asked, calls in (([x], 0), ([leaf], 1), ([x, leaf], 1)):
        with profile(activities=[ProfilerActivity.CPU]) as watched:
            torch.autograd.grad(y, asked, retain_graph=True)
        assert sum(event.name == "aten::convolution_backward" for event in watched.events()) == calls


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own code for forward mode
def test_a_training_elsewhere_takes_the_library(monkeypatch):
    names = launches(monkeypatch)
    x, weight = seeded(2, 16, 16, 16), seeded(16, 16, 3, 3).requires_grad_()
    convolve_3x3(x.double(), weight.double())
    convolve_3x3(x[:1], weight)
    convolve_3x3(x, weight[:8])
    with only_reference():
        convolve_3x3(x, weight)
    torch.func.grad(lambda weight: convolve_3x3(x, weight).sum())(weight)
    torch.func.jvp(lambda weight: convolve_3x3(x, weight), (weight.detach(),), (weight.detach(),))
    assert not names


def test_operator_as_torch_sees_it():
    for layout in (torch.channels_last, torch.contiguous_format):
        x = seeded(2, 16, 16, 16).contiguous(memory_format=layout).requires_grad_()
        args = (x, seeded(16, 16, 3, 3).requires_grad_())
        torch.library.opcheck(torch.ops.higan_fast.convolve_3x3.default, args, rtol=1e-4, atol=1e-4)
    compiled = torch.compile(lambda x, weight: convolve_3x3(x, weight), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*args), F.conv2d(*args, padding=1), rtol=1e-4, atol=1e-4)
