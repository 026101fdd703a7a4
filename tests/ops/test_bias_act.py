import math

import pytest
import torch

from higan_fast.ops import bias_act
from higan_fast.ops.bias_act import ACTIVATIONS


def by_definition(name, x):
    return {
        "linear": lambda: x,
        "relu": lambda: max(x, 0.0),
        "lrelu": lambda: x if x > 0 else 0.2 * x,
        "tanh": lambda: math.tanh(x),
        "sigmoid": lambda: 1 / (1 + math.exp(-x)),
        "elu": lambda: x if x > 0 else math.expm1(x),
        "selu": lambda: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
        "softplus": lambda: math.log1p(math.exp(x)),
        "swish": lambda: x / (1 + math.exp(-x)),
    }[name]()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_equals_the_definition_with_the_default_gain(name):
    x = torch.linspace(-3, 3, 13, dtype=torch.float64).reshape(1, 13)
    bias = torch.linspace(-0.3, 0.4, 13, dtype=torch.float64)
    gain = math.sqrt(2) if name in ("relu", "lrelu", "swish") else 1.0
    expected = [gain * by_definition(name, value) for value in (x[0] + bias).tolist()]
    found = bias_act(x, bias, activation=name)
    torch.testing.assert_close(found[0], torch.tensor(expected, dtype=torch.float64), atol=1e-14, rtol=0)


def test_bias_runs_along_dim_and_the_clamp_comes_last():
    x = torch.ones(2, 3, 4)
    found = bias_act(x, torch.tensor([0.0, 1.0, 2.0, 30.0]), dim=2, gain=10, clamp=25)
    assert found[1, 2].tolist() == [10, 20, 25, 25]


def test_alpha():
    assert bias_act(torch.tensor([[-1.0]]), activation="lrelu", alpha=0.5, gain=1).item() == -0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_stays(dtype):
    assert bias_act(torch.ones(1, 2, dtype=dtype), torch.zeros(2), activation="lrelu").dtype is dtype


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="activation: got 'gelu'"):
        bias_act(torch.zeros(1, 2), activation="gelu")
    with pytest.raises(ValueError, match=r"bias: got shape \(3,\), expected \(2,\)"):
        bias_act(torch.zeros(1, 2), torch.zeros(3))
    for impl in ("native", "reference"):  # to a kernel −1 says that there is none
        with pytest.raises(ValueError, match="clamp: got -1, expected 0 or more, or None for no bound"):
            bias_act(torch.zeros(1, 2), clamp=-1, impl=impl)
