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


def test_padding_of_one_number_and_of_two():
    x, taps = torch.randn(1, 1, 6, 6, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    assert torch.equal(upfirdn2d(x, taps, padding=1), upfirdn2d(x, taps, padding=[1, 1, 1, 1]))
    assert torch.equal(upfirdn2d(x, taps, padding=[2, 1]), upfirdn2d(x, taps, padding=[2, 2, 1, 1]))


def test_setup_filter_sums_to_one():
    assert torch.allclose(setup_filter(), torch.tensor([1, 3, 3, 1]) / 8)


def test_gradient():
    x = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    taps = setup_filter().double()
    assert torch.autograd.gradcheck(lambda x: upfirdn2d(x, taps, up=2, padding=[2, 1, 2, 1], gain=4), x)


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
        ({"padding": [1, 2, 3]}, "padding: got"),
        ({"impl": "cuda"}, "impl: got 'cuda'"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        upfirdn2d(**{"x": torch.zeros(1, 3, 4, 4), "filter": setup_filter(), **arguments})
