import numpy as np
import pytest
import torch

from higan_fast.ops import setup_filter, upfirdn2d


def by_definition(x, kernel, up, down, padding, flip, gain):
    """Each output pixel as the sum that the definition says, for one channel at a time."""
    left, right, top, bottom = padding
    num, channels, height, width = x.shape
    canvas = np.zeros((num, channels, height * up + top + bottom, width * up + left + right))
    canvas[:, :, top : top + height * up : up, left : left + width * up : up] = x
    kernel = kernel if flip else kernel[::-1, ::-1]
    kh, kw = kernel.shape
    rows = range(0, canvas.shape[2] - kh + 1, down)
    columns = range(0, canvas.shape[3] - kw + 1, down)
    return gain * np.array(
        [[(canvas[:, :, r : r + kh, c : c + kw] * kernel).sum((2, 3)) for c in columns] for r in rows]
    ).transpose(2, 3, 0, 1)


@pytest.mark.parametrize("up, down", [(1, 1), (2, 1), (1, 2), (2, 2), (3, 2)])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("separable", [False, True])
def test_equals_the_definition(up, down, flip, separable):
    random = np.random.default_rng(0)
    x, padding = random.normal(size=(2, 3, 5, 7)), (2, 1, 3, 0)
    taps = random.normal(size=4)
    kernel = np.outer(taps, taps) if separable else random.normal(size=(3, 2))
    given = torch.tensor(taps if separable else kernel)
    found = upfirdn2d(torch.tensor(x), given, up=up, down=down, padding=padding, flip_filter=flip, gain=1.7)
    np.testing.assert_allclose(
        found.numpy(), by_definition(x, kernel, up, down, padding, flip, 1.7), atol=1e-12
    )


def test_narrow_images_with_many_channels_keep_their_layout():
    x, taps = torch.randn(2, 48, 9, 8), setup_filter()
    found = upfirdn2d(x, taps, down=2, padding=1)
    exact = upfirdn2d(x.double(), taps.double(), down=2, padding=1, impl="reference")
    assert found.is_contiguous()
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 64, 8, 8), (0, 3, 8, 8)])
def test_no_images_give_no_images(shape):
    filter = torch.tensor([1.0, 3, 3, 1]) / 8
    x = torch.zeros(shape, requires_grad=True)
    for impl in ("native", "reference"):
        out = upfirdn2d(x, filter, up=2, padding=2, impl=impl)
        assert out.shape == (0, shape[1], 17, 17)
        out.sum().backward()
    assert x.grad.shape == shape


def test_padding_of_one_number_and_of_two():
    x, taps = torch.randn(1, 1, 6, 6, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    assert torch.equal(upfirdn2d(x, taps, padding=1), upfirdn2d(x, taps, padding=[1, 1, 1, 1]))
    assert torch.equal(upfirdn2d(x, taps, padding=[2, 1]), upfirdn2d(x, taps, padding=[2, 2, 1, 1]))


def test_setup_filter_sums_to_one():
    assert torch.allclose(setup_filter(), torch.tensor([1, 3, 3, 1]) / 8)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    "up, down, padding, taps",
    [
        (1, 2, [1, 1, 1, 1], (4,)),
        (2, 1, [2, 1, 2, 1], (4,)),
        (3, 2, [3, 0, -1, 2], (3, 2)),
        (1, 3, [2] * 4, (5,)),
    ],
)
def test_second_derivatives_of_the_kernel(up, down, padding, taps, flip):
    """As R1 takes them; the kernel's gradient is the same op with up and down exchanged."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 9, 8, dtype=torch.float64, generator=random, requires_grad=True)
    filter = torch.randn(taps, dtype=torch.float64, generator=random)
    options = {"up": up, "down": down, "padding": padding, "flip_filter": flip, "gain": 1.7}
    found = []
    for impl in ("auto", "reference"):
        y = upfirdn2d(x, filter, impl=impl, **options)
        [first] = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        [second] = torch.autograd.grad(first.square().sum(), x)
        found.append((y, first, second))
    assert found[0][0].grad_fn.name() != found[1][0].grad_fn.name()
    for ours, expected in zip(*found, strict=True):
        assert (ours - expected).norm() <= 1e-14 * expected.norm()
    native = lambda x: upfirdn2d(x, filter, impl="native", **options)  # noqa: E731
    assert torch.autograd.gradcheck(native, x) and torch.autograd.gradgradcheck(native, x, fast_mode=True)


def test_a_filter_that_is_trained_gets_its_gradient():
    x, taps = torch.randn(1, 2, 5, 6, dtype=torch.float64), setup_filter().double().requires_grad_()
    for impl in ("auto", "native"):
        assert torch.autograd.gradcheck(lambda taps: upfirdn2d(x, taps, up=2, padding=2, impl=impl), taps)  # noqa: B023
    x.requires_grad_()
    [found] = torch.autograd.grad(upfirdn2d(x, taps, down=2, padding=2, impl="native").sum(), taps)
    [expected] = torch.autograd.grad(upfirdn2d(x, taps, down=2, padding=2, impl="reference").sum(), taps)
    torch.testing.assert_close(found, expected)
    torch.func.grad(lambda x: upfirdn2d(x, setup_filter().double(), down=2).sum())(x)


def test_gradient():
    x = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    taps = setup_filter().double()
    assert torch.autograd.gradcheck(lambda x: upfirdn2d(x, taps, up=2, padding=[2, 1, 2, 1], gain=4), x)


@pytest.mark.parametrize("size", [(8, 8), (32, 32)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("options", [{"up": 2, "padding": 2}, {"down": 2, "padding": 3}])
def test_no_samples_of_narrow_images_and_their_gradients(options, layout, size):
    x = torch.zeros(0, 64, *size).contiguous(memory_format=layout).requires_grad_()
    y = upfirdn2d(x, setup_filter(), **options)
    assert y.shape == upfirdn2d(x, setup_filter(), impl="reference", **options).shape
    [first] = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    [second] = torch.autograd.grad(first.square().sum(), x)
    assert first.shape == second.shape == x.shape


@pytest.mark.parametrize("taps", [(4,), (3, 2)])
@pytest.mark.parametrize("impl", ["reference", "native"])
def test_a_negative_gain_negates(impl, taps):
    x, filter = torch.randn(2, 3, 6, 7, requires_grad=True), torch.rand(taps)
    found, expected = (upfirdn2d(x, filter, up=2, padding=2, gain=g, impl=impl) for g in (-1.7, 1.7))
    assert expected.abs().max() > 0.1 and torch.equal(found, -expected)
    assert torch.equal(
        *(torch.autograd.grad((s * y.square() * y).sum(), x)[0] for s, y in ((-1, found), (1, expected)))
    )


def test_empty_batch():
    assert upfirdn2d(torch.zeros(0, 3, 4, 4), setup_filter(), up=2, padding=[2, 1, 2, 1]).shape == (
        0,
        3,
        8,
        8,
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"x": torch.zeros(3, 4, 4)}, "x: got shape"),
        ({"filter": torch.zeros(1, 2, 3)}, "filter: got shape"),
        ({"filter": None}, "filter: got None, expected a tensor"),
        ({"down": 0}, "down: got 0, expected a whole number, 1 or more"),
        ({"gain": None}, "gain: got None, expected a number"),
        ({"padding": [1, 2, 3]}, "padding: got"),
        ({"impl": "cuda"}, "impl: got 'cuda'"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        upfirdn2d(**{"x": torch.zeros(1, 3, 4, 4), "filter": setup_filter(), **arguments})
