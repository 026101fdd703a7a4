import pytest
import torch
import torch.nn.functional as F

from higan_fast.ops import adain, bias_act


def tensors(num=2, channels=3, height=5, width=4):
    torch.manual_seed(0)
    image, table = (num, channels, height, width), (num, channels)
    return [torch.randn(shape, dtype=torch.float64) for shape in (image, table, table)]


def test_equals_instance_norm_and_a_style():
    x, scale, shift = tensors()
    noise, strength, bias = torch.randn(2, 1, 5, 4).double(), torch.randn(3).double(), torch.randn(3).double()
    tail = F.leaky_relu(x + noise * strength.reshape(1, 3, 1, 1) + bias.reshape(1, 3, 1, 1), 0.2)
    expected = F.instance_norm(tail, eps=1e-8) * scale.reshape(2, 3, 1, 1) + shift.reshape(2, 3, 1, 1)
    found = adain(x, scale, shift, noise=noise, strength=strength, bias=bias)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


def test_each_plane_takes_the_mean_and_deviation_of_its_style():
    x, scale, shift = tensors(height=8, width=8)
    found = adain(x * 7 - 40, scale, shift)
    torch.testing.assert_close(found.mean([2, 3]), shift, atol=1e-12, rtol=0)
    # ε is 1e-8 beside a variance of about 2.
    torch.testing.assert_close(found.std([2, 3], correction=0), scale.abs(), atol=1e-7, rtol=0)


@pytest.mark.parametrize(
    "activation, alpha, gain", [("linear", None, 1.0), ("lrelu", 0.4, 3.0), ("tanh", None, 0.5)]
)
def test_the_tail_comes_before_the_statistics(activation, alpha, gain):
    x, scale, shift = tensors()
    tail = bias_act(x, activation=activation, alpha=alpha, gain=gain)
    deviation = (tail.var([2, 3], correction=0, keepdim=True) + 0.1).sqrt()
    expected = (tail - tail.mean([2, 3], keepdim=True)) / deviation
    expected = expected * scale.reshape(2, 3, 1, 1) + shift.reshape(2, 3, 1, 1)
    found = adain(x, scale, shift, activation=activation, alpha=alpha, gain=gain, epsilon=0.1)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1, 5, 4), (5, 4), (1, 1)])
def test_noise_broadcasts(shape):
    x, scale, shift = tensors()
    noise, strength = torch.randn(shape).double(), torch.randn(3).double()
    found = adain(x, scale, shift, noise=noise, strength=strength)
    whole = adain(x, scale, shift, noise=noise.expand(2, 1, 5, 4), strength=strength)
    assert torch.equal(found, whole)


def test_a_plane_of_one_value_becomes_its_shift():
    _, scale, shift = tensors()
    found = adain(torch.full((2, 3, 5, 4), 1e3).double(), scale, shift)
    assert torch.equal(found, shift.reshape(2, 3, 1, 1).expand_as(found))


def test_gradients():
    x, scale, shift = tensors(height=3, width=2)
    noise, strength, bias = torch.randn(2, 1, 3, 2).double(), torch.randn(3).double(), torch.randn(3).double()
    inputs = [tensor.requires_grad_() for tensor in (x, scale, shift, noise, strength, bias)]

    def op(x, scale, shift, noise, strength, bias):
        return adain(x, scale, shift, noise=noise, strength=strength, bias=bias)

    assert torch.autograd.gradcheck(op, inputs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_near(dtype):
    x, scale, shift = tensors(height=16, width=16)
    x = x.to(dtype)
    found = adain(x, scale.float(), shift.float())
    assert found.dtype is dtype
    exact = adain(x.double(), scale, shift)
    # Rounding the result is all that happens in the low precision.
    torch.testing.assert_close(found.double(), exact, atol=1e-6, rtol=torch.finfo(dtype).eps)


@pytest.mark.parametrize("shape", [(0, 3, 5, 4), (2, 0, 5, 4), (2, 3, 0, 4)])
def test_empty(shape):
    assert adain(torch.zeros(shape), torch.zeros(shape[:2]), torch.zeros(shape[:2])).shape == shape


@pytest.mark.parametrize(
    "change, message",
    [
        ({"x": torch.zeros(3, 5, 4)}, "x: got shape"),
        ({"scale": torch.zeros(2, 4)}, "scale: got shape"),
        ({"shift": torch.zeros(3)}, "shift: got shape"),
        ({"bias": torch.zeros(2)}, "bias: got shape"),
        ({"noise": torch.zeros(5, 4)}, "strength: got None"),
        ({"strength": torch.zeros(3)}, "noise: got None"),
        ({"noise": torch.zeros(2, 3, 5, 4), "strength": torch.zeros(3)}, "noise: got shape"),
        ({"noise": torch.zeros(5, 4), "strength": torch.zeros(1)}, "strength: got shape"),
        ({"activation": "gelu"}, "activation: got 'gelu'"),
        ({"impl": "cuda"}, "impl: got 'cuda'"),
    ],
)
def test_bad_input_is_named(change, message):
    x, scale, shift = tensors()
    with pytest.raises(ValueError, match=message):
        adain(**{"x": x, "scale": scale, "shift": shift, **change})
