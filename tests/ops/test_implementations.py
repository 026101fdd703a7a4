"""Every op, in every implementation, dtype and layout, beside its reference in float64."""

from itertools import product

import pytest
import torch

from higan_fast.ops import finish_block, modulated_conv2d, to_rgb
from tests.ops.calls import LAYOUTS
from tests.ops.cases import CASES
from tests.ops.implementations import ALL, EMULATED
from tests.tolerances import REFERENCE_CHAIN, assert_near

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def runs():
    """Each case with each implementation that exists."""
    for case, param in product(CASES, ALL):
        implementation = param.values[0] if hasattr(param, "values") else param
        if not case.only or implementation.name in case.only:
            marks = getattr(param, "marks", ())
            yield pytest.param(case, implementation, id=f"{implementation.name}-{case}", marks=marks)


@pytest.fixture(autouse=True)
def full_float32():
    """Without TF32, whose ten bits would hide what is compared here."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


@pytest.mark.parametrize("case, implementation", list(runs()))
def test_equals_the_float64_reference(case, implementation):
    """In every layout and dtype; what fails is told together."""
    wrong = []
    for layout, dtype in product(LAYOUTS, DTYPES) if case.activations else [("contiguous", torch.float32)]:
        try:
            check(case, layout, dtype, implementation)
        except Exception as error:
            wrong.append(f"{layout}, {dtype}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


def check(case, layout, dtype, implementation):
    tensors = case.tensors(dtype, layout)
    exact = case.call(tensors, "reference")
    given = case.cast(tensors, dtype, layout, implementation.device)
    with implementation.active():
        found = case.call(given, implementation.impl)
    for value, wanted in zip(found, exact, strict=True):
        roundings = REFERENCE_CHAIN if implementation.impl == "reference" else case.roundings
        assert_near(value, wanted, dtype, roundings)
        is_rgb = case.op is to_rgb or (case.op is finish_block and value is found[-1])
        assert value.dtype == (torch.float32 if is_rgb else dtype)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_order_of_threads_changes_nothing(case):
    dtype = torch.float16 if case.only else torch.float32
    given = case.cast(case.tensors(dtype, "channels_last"), dtype, "channels_last", "cpu")
    results = []
    for order, seed in [("forward", 0), ("reverse", 0), ("shuffled", 1), ("shuffled", 2)]:
        with EMULATED.active(order, seed):
            results.append(case.call(given, "native"))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("case", [case for case in CASES if not case.only], ids=str)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_the_number_of_threads_changes_nothing(case, layout):
    given = case.cast(case.tensors(torch.float32, layout), torch.float32, layout, "cpu")
    before = torch.get_num_threads()
    results = []
    try:
        for num in (1, 3):
            torch.set_num_threads(num)
            results.append(case.call(given, "native"))
    finally:
        torch.set_num_threads(before)
    if case.op in (modulated_conv2d, finish_block):  # torch's convolution may sum in another order
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    else:
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("case", [case for case in CASES if not case.only], ids=str)
def test_float64_runs_on_the_cpu(case):
    given = case.cast(case.tensors(torch.float64, "channels_last"), torch.float64, "channels_last", "cpu")
    for value, wanted in zip(case.call(given, "native"), case.call(given, "reference"), strict=True):
        assert_near(value, wanted, torch.float64, 1)


@pytest.mark.parametrize("case", [case for case in CASES if case.activations and not case.only], ids=str)
def test_no_samples_have_gradients(case):
    given = case.cast(case.tensors(torch.float32, "empty"), torch.float32, "empty", "cpu")
    given = {name: t.requires_grad_(name in case.activations) for name, t in given.items()}
    results = case.call(given, "auto")
    asked = [given[name] for name in case.activations]
    found = torch.autograd.grad(sum(r.square().sum() for r in results), asked, materialize_grads=True)
    assert [gradient.shape for gradient in found] == [tensor.shape for tensor in asked]
