"""A kernel that gives wrong results is found before it draws an image."""

import warnings

import pytest
import torch

from higan_fast import _native
from higan_fast.ops import bias_act, implementation, self_test
from tests.ops.implementations import EMULATED, emulated

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def nothing_tested_yet(monkeypatch):
    monkeypatch.setattr(self_test, "_tested", set())
    monkeypatch.setattr(implementation, "_disabled", {})


def test_right_kernels_pass_silently():
    with EMULATED.active(), warnings.catch_warnings():
        warnings.simplefilter("error")
        self_test.self_test(CPU)
    assert implementation._disabled == {}


def test_the_examples_reach_every_op():
    def draw(*shape, small=False):
        return torch.zeros(shape)

    kernels = {name for name in dir(emulated().cuda) if not name.startswith("_")}
    assert set(self_test.examples(draw, fused=True)) == kernels - {"modulate", "conv_epilogue"}


class Broken:
    """The emulated kernels, one of which leaves its result as it found it, or fails."""

    def __init__(self, name, error=None):
        self.name, self.error = name, error

    def __getattr__(self, name):
        if name != self.name:
            return getattr(emulated().cuda, name)

        def kernel(*_):
            if self.error:
                raise RuntimeError(self.error)

        return kernel


@pytest.mark.parametrize(
    "kernel, op",
    [("bias_act", "bias_act"), ("conv_epilogue", "modulated_conv2d"), ("modulate", "modulated_conv2d"),
     ("to_rgb", "to_rgb"), ("perturb_styles", "perturb_styles"), ("upfirdn2d", "upfirdn2d")],
)  # fmt: skip
def test_a_wrong_kernel_is_disabled_with_one_warning(kernel, op, monkeypatch):
    monkeypatch.setattr(_native, "_stand_in", Broken(kernel))
    monkeypatch.setattr(torch, "empty_like", lambda x, **k: torch.full(x.shape, 1e3, dtype=x.dtype))
    with pytest.warns(RuntimeWarning, match=f"the {op} kernel failed its self-test on cpu"):
        self_test.self_test(CPU)
    assert op in {name for name, _ in implementation._disabled}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        self_test.self_test(CPU)  # not a second time


def test_the_reference_runs_in_its_place(monkeypatch):
    monkeypatch.setattr(_native, "_stand_in", Broken("bias_act", "no kernel image is available"))
    with pytest.warns(RuntimeWarning, match="no kernel image is available"):
        self_test.self_test(CPU)
    assert bias_act(torch.ones(2), gain=3).tolist() == [3, 3]
    with pytest.raises(RuntimeError, match="its self-test failed: no kernel image"):
        bias_act(torch.ones(2), impl="native")


def test_a_wrong_convolution_in_float32_leaves_the_library_to_others(monkeypatch):
    with EMULATED.active(), warnings.catch_warnings():
        warnings.simplefilter("error")
        self_test.self_test(CPU, implementation.SPLIT)
    assert implementation._disabled == {}
    self_test._tested.clear()
    monkeypatch.setattr(_native, "_stand_in", Broken("modulated_conv2d", "an illegal instruction"))
    with pytest.warns(RuntimeWarning, match="an illegal instruction.*the library's convolution runs instead"):
        self_test.self_test(CPU, implementation.SPLIT)
    assert list(implementation._disabled) == [(implementation.SPLIT, CPU)]
