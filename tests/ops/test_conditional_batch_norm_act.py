import pytest
import torch
import torch.nn.functional as F

from higan_fast.ops import bias_act, conditional_batch_norm_act


def tensors(num=2, channels=3, height=5, width=4):
    torch.manual_seed(0)
    image, vector, table = (num, channels, height, width), (channels,), (num, channels)
    x, mean, variance, scale, shift = (
        torch.randn(shape, dtype=torch.float64) for shape in (image, vector, vector, table, table)
    )
    return [x, mean, variance.square() + 0.1, scale, shift]


@pytest.mark.parametrize("up", [1, 2])
@pytest.mark.parametrize("epsilon", [1e-5, 0.1])
def test_equals_batch_norm_relu_and_nearest_interpolation(up, epsilon):
    x, mean, variance, scale, shift = tensors()
    expected = F.batch_norm(x, mean, variance, eps=epsilon)
    expected = F.relu(expected * scale.reshape(2, 3, 1, 1) + shift.reshape(2, 3, 1, 1))
    expected = F.interpolate(expected, scale_factor=up, mode="nearest")
    found = conditional_batch_norm_act(x, mean, variance, scale, shift, up=up, epsilon=epsilon)
    assert found.shape == (2, 3, 5 * up, 4 * up)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(
    "activation, alpha, gain", [("linear", None, 1.0), ("lrelu", 0.4, 3.0), ("swish", None, 0.5)]
)
def test_activation(activation, alpha, gain):
    tail = {"activation": activation, "alpha": alpha, "gain": gain}
    plain = conditional_batch_norm_act(*tensors(), activation="linear")
    found = conditional_batch_norm_act(*tensors(), **tail)
    torch.testing.assert_close(found, bias_act(plain, **tail), atol=1e-13, rtol=1e-13)


def test_a_class_for_all_samples():
    x, mean, variance, scale, shift = tensors()
    shared = scale[:1].expand(2, 3), shift[:1].expand(2, 3)
    found = conditional_batch_norm_act(x, mean, variance, *shared)
    for i in range(2):
        alone = conditional_batch_norm_act(x[i : i + 1], mean, variance, scale[:1], shift[:1])
        assert torch.equal(found[i : i + 1], alone)


@pytest.mark.parametrize("impl", ["reference", "native"])
def test_statistics_of_each_sample(impl):
    x, _, _, scale, shift = tensors()
    mean, variance = torch.randn(2, 3).double(), torch.rand(2, 3).double() + 0.1
    found = conditional_batch_norm_act(x, mean, variance, scale, shift, epsilon=0.1, impl=impl)
    for i in range(2):
        own = slice(i, i + 1)
        alone = conditional_batch_norm_act(
            x[own], mean[i], variance[i], scale[own], shift[own], epsilon=0.1, impl=impl
        )
        torch.testing.assert_close(found[own], alone, atol=1e-13, rtol=1e-13)


@pytest.mark.parametrize("up", [1, 2])
def test_gradients(up):
    inputs = [tensor.requires_grad_() for tensor in tensors(height=3, width=2)]

    def op(*inputs):
        return conditional_batch_norm_act(*inputs, activation="lrelu", up=up)

    assert torch.autograd.gradcheck(op, inputs)
    x, mean, variance, *others = inputs
    of_each = [
        torch.stack([part.detach(), part.detach() + 0.5]).requires_grad_() for part in (mean, variance)
    ]
    assert torch.autograd.gradcheck(op, [x, *of_each, *others])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_near(dtype):
    x, *others = tensors()
    x = x.to(dtype)
    found = conditional_batch_norm_act(x, *(tensor.float() for tensor in others))
    assert found.dtype is dtype
    exact = conditional_batch_norm_act(x.double(), *others)
    # Rounding the result is all that happens in the low precision.
    torch.testing.assert_close(found.double(), exact, atol=1e-5, rtol=torch.finfo(dtype).eps)


@pytest.mark.parametrize("shape", [(0, 3, 5, 4), (2, 0, 5, 4), (2, 3, 0, 4)])
@pytest.mark.parametrize("up", [1, 2])
def test_empty(shape, up):
    vector, table = torch.ones(shape[1]), torch.ones(shape[:2])
    found = conditional_batch_norm_act(torch.zeros(shape), vector, vector, table, table, up=up)
    assert found.shape == (*shape[:2], shape[2] * up, shape[3] * up)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"x": torch.zeros(3, 5, 4)}, "x: got shape"),
        ({"mean": torch.zeros(4)}, "mean: got shape"),
        ({"variance": torch.zeros(2, 3)}, r"variance: got shape \(2, 3\), expected \[C\] = \(3,\)"),
        ({"mean": torch.zeros(2, 3)}, r"variance: got shape \(3,\), expected \[N, C\] = \(2, 3\)"),
        ({"scale": torch.zeros(3)}, "scale: got shape"),
        ({"shift": torch.zeros(1, 3)}, "shift: got shape"),
        ({"up": 4}, "up: got 4"),
        ({"activation": "gelu"}, "activation: got 'gelu'"),
        ({"impl": "cuda"}, "impl: got 'cuda'"),
    ],
)
def test_bad_input_is_named(change, message):
    good = dict(zip(["x", "mean", "variance", "scale", "shift"], tensors(), strict=True))
    with pytest.raises(ValueError, match=message):
        conditional_batch_norm_act(**{**good, **change})
