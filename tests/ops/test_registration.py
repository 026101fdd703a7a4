"""The operators as torch sees them: schema, shapes without data, gradients, compilation."""

from itertools import product

import pytest
import torch

from higan_fast import ops
from higan_fast.ops import implementation
from tests.ops.calls import Case
from tests.ops.cases import CASES
from tests.ops.implementations import NATIVE

SEEN = [case for case in CASES if not case.only and "odd" not in case.name]
FIRST = list({case.op: case for case in reversed(SEEN)}.values())  # one of each op
TRACED = {*map(str, FIRST), "modulated_conv2d-up", "upfirdn2d-up", "finish_block-upsampled"}


def capture(case: Case, layout: str, monkeypatch):
    """The arguments with which the public function calls its operator."""
    import sys

    module = sys.modules[case.op.__module__]
    calls = []
    original = module._op

    def record(*args):
        calls.append(args)
        return original(*args)

    monkeypatch.setattr(module, "_op", record)
    given = case.cast(case.tensors(torch.float32, layout), torch.float32, layout, "cpu")
    case.call(given, "native")
    [args] = calls
    return original, args


@pytest.mark.parametrize(
    "case, layout",
    [*product(SEEN, ["channels_last"]), *product(FIRST, ["contiguous", "sliced"])],
    ids=str,
)
def test_opcheck(case, layout, monkeypatch):
    """Schema, fake tensors (shape, dtype, strides), autograd's registration, tracing with dynamic shapes.

    One case of each op is traced, and those that change the size: a trace takes ten times the rest. The first
    three see the other cases and layouts, and ``test_compiles_into_one_graph`` traces all cases forward.
    """
    op, args = capture(case, layout, monkeypatch)
    args = tuple(
        arg.detach().requires_grad_() if isinstance(arg, torch.Tensor) and arg.is_floating_point() else arg
        for arg in args
    )
    utils = ["test_schema", "test_autograd_registration", "test_faketensor"]
    if layout == "channels_last" and str(case) in TRACED:
        utils.append("test_aot_dispatch_dynamic")
    torch.library.opcheck(op._opoverload, args, test_utils=utils, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", SEEN, ids=str)
def test_gradcheck(case):
    """The gradient of the native op beside differences of its own results, in float64."""
    tensors = case.tensors(torch.float64, "contiguous")
    names = list(tensors)

    def op(*values):
        return case.call(dict(zip(names, values, strict=True)), "native")

    inputs = [values.clone().requires_grad_() for values in tensors.values()]
    assert torch.autograd.gradcheck(op, inputs, fast_mode=True, eps=1e-7, atol=1e-5)


@pytest.mark.parametrize(
    "case, impl", [*product(SEEN, ["native"]), *product(FIRST, ["auto", "reference"])], ids=str
)
def test_compiles_into_one_graph(case, impl):
    given = case.cast(case.tensors(torch.float32, "channels_last"), torch.float32, "channels_last", "cpu")
    torch._dynamo.reset()
    compiled = torch.compile(lambda tensors: case.call(tensors, impl), fullgraph=True, backend="aot_eager")
    for found, expected in zip(compiled(given), case.call(given, impl), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        assert found.stride() == expected.stride()


def test_auto_takes_the_kernel_unless_a_gradient_is_needed():
    x = torch.ones(2, 3)
    assert implementation.use_native("bias_act", "auto", x, None)
    assert not implementation.use_native("bias_act", "auto", x.clone().requires_grad_())
    with torch.no_grad():
        assert implementation.use_native("bias_act", "auto", x.clone().requires_grad_())
    assert not implementation.use_native("bias_act", "auto", torch.ones(2, dtype=torch.int64))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own code for forward mode
def test_derivatives_that_are_carried_forth_are_not_lost():
    x, along = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    _, tangent = torch.func.jvp(lambda x: ops.bias_act(x, activation="lrelu"), (x,), (along,))
    expected = ops.bias_act(along, activation="linear") * torch.where(x > 0, 1.0, 0.2) * 2**0.5
    torch.testing.assert_close(tangent, expected)
    with pytest.raises(RuntimeError, match="impl='native' cannot run: a derivative is carried forth"):
        torch.func.jvp(lambda x: ops.bias_act(x, impl="native"), (x,), (along,))


@pytest.mark.parametrize("name", ["bias_act-swish", "modulated_conv2d-whole tail", "adain-plain"])
def test_gradients_of_gradients(name):
    """As R1 and path-length regularisation need them."""
    case = next(case for case in CASES if str(case) == name)
    tensors = case.tensors(torch.float64, "contiguous")
    second = {}
    for impl in ("native", "reference"):
        inputs = [values.clone().requires_grad_() for values in tensors.values()]
        first = inputs[0]
        # it enters twice: as itself, and through another argument made from it
        inputs[-1] = inputs[-1] + first.mean() * 0.1
        [result] = case.call(dict(zip(tensors, inputs, strict=True)), impl)
        [gradient] = torch.autograd.grad(result.square().sum(), first, create_graph=True)
        gradient.square().sum().backward()
        second[impl] = first.grad
    assert second["native"].abs().max() > 0
    torch.testing.assert_close(second["native"], second["reference"], rtol=1e-9, atol=1e-9)


def test_native_is_the_implementation_under_test():
    assert NATIVE.impl == "native" and not implementation.why_not_native(
        "modulated_conv2d", torch.device("cpu"), torch.float32
    )
