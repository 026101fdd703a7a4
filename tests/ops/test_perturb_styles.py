import pytest
import torch

from higan_fast.ops import perturb_styles
from higan_fast.ops.modulated_conv2d import demodulation, square_weight


def tensors(num=3, directions=4, steps=5, channels=6, outputs=7):
    torch.manual_seed(0)
    shapes = [(num, channels), (directions, channels), (steps,), (outputs, channels, 3, 3)]
    return [torch.randn(shape, dtype=torch.float64) for shape in shapes]


def test_equals_the_weights_of_each_perturbed_sample():
    base, directions, steps, weight = tensors()
    styles, demod = perturb_styles(base, directions, steps, weight_square=square_weight(weight))
    assert styles.shape == (3, 4, 5, 6)
    assert demod.shape == (3, 4, 5, 7)
    for n in range(3):
        for m in range(4):
            for s in range(5):
                style = base[n] + steps[s] * directions[m]
                own = weight * style[None, :, None, None]
                norm = (own.square().sum([1, 2, 3]) + 1e-8).sqrt()  # as the paper demodulates
                torch.testing.assert_close(styles[n, m, s], style, atol=1e-15, rtol=0)
                torch.testing.assert_close(demod[n, m, s], 1 / norm, atol=1e-12, rtol=1e-12)


def test_a_step_of_zero_is_the_base():
    base, directions, steps, weight = tensors()
    square = square_weight(weight)
    styles, demod = perturb_styles(base, directions, steps * 0, weight_square=square)
    assert torch.equal(styles, base[:, None, None].expand_as(styles))
    expected = demodulation(base, square)[:, None, None].expand_as(demod)
    torch.testing.assert_close(demod, expected, atol=1e-14, rtol=1e-14)


def test_rounding_never_leaves_a_negative_square():
    torch.manual_seed(0)
    base = torch.randn(40, 512)
    square = torch.rand(30, 512)
    # One step back along the style itself arrives at a style of nothing, whose square is rounding alone.
    styles, demod = perturb_styles(base, base, torch.tensor([-1.0]), weight_square=square)
    here = torch.arange(40)
    assert styles[here, here].abs().max() == 0
    assert torch.isfinite(demod).all()
    assert demod.max() <= 1e4 * (1 + 1e-6)  # 1 / √ε


def test_without_a_weight_there_is_no_demodulation():
    base, directions, steps, weight = tensors()
    styles, demod = perturb_styles(base, directions, steps)
    assert demod is None
    assert torch.equal(
        styles, perturb_styles(base, directions, steps, weight_square=square_weight(weight))[0]
    )


def test_gradients():
    base, directions, steps, weight = (tensor.requires_grad_() for tensor in tensors(2, 2, 2, 3, 2))

    def op(base, directions, steps, weight):
        return perturb_styles(base, directions, steps, weight_square=square_weight(weight))

    assert torch.autograd.gradcheck(op, (base, directions, steps, weight))


@pytest.mark.parametrize("empty", [{"num": 0}, {"directions": 0}, {"steps": 0}, {"outputs": 0}])
def test_empty(empty):
    base, directions, steps, weight = tensors(**empty)
    styles, demod = perturb_styles(base, directions, steps, weight_square=square_weight(weight))
    assert styles.shape == (base.shape[0], directions.shape[0], steps.shape[0], 6)
    assert demod.shape == (*styles.shape[:3], weight.shape[0])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"base": torch.zeros(6).double()}, "base: got shape"),
        ({"directions": torch.zeros(4, 5).double()}, r"directions: got shape \(4, 5\), expected .* C = 6"),
        ({"directions": torch.zeros(4, 6)}, "directions: got torch.float32"),
        ({"steps": torch.zeros(2, 2).double()}, "steps: got shape"),
        ({"weight_square": torch.zeros(7, 6, 3, 3).double()}, "weight_square: got shape"),
        ({"impl": "cuda"}, "impl: got 'cuda'"),
    ],
)
def test_bad_input_is_named(change, message):
    base, directions, steps, weight = tensors()
    good = {"base": base, "directions": directions, "steps": steps, "weight_square": square_weight(weight)}
    with pytest.raises(ValueError, match=message):
        perturb_styles(**{**good, **change})
